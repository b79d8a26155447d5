"""What captions give away: the nearest training caption, by a slow TF-IDF, and the real ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from varkit_datasets.ucfcrime_ar import UCFCrimeAR

from tests.support.calls import call, failed
from tests.support.ucfcrime_ar import make_real
from varkit.data.inspect.leak import caption_leak, nearest_captions
from varkit.interfaces import Item

WORDS = ("a", "man", "car", "burns", "runs", "red", "Runs.", "man,")


def terms_of(caption):
    cleaned = "".join(c if c.isalnum() else " " for c in caption.lower())
    kept = [word for word in cleaned.split() if len(word) > 1]
    return kept + [f"{kept[i]} {kept[i + 1]}" for i in range(len(kept) - 1)]


def cosine(one, other, everything):
    """Of two captions, term by term."""

    def weight(term, caption):
        count = terms_of(caption).count(term)
        having = sum(term in terms_of(text) for text in everything)
        if not count:
            return 0.0
        return (1 + math.log(count)) * (1 + math.log((1 + len(everything)) / (1 + having)))

    terms = {*terms_of(one), *terms_of(other)}
    dot = sum(weight(t, one) * weight(t, other) for t in terms)
    norms = [math.sqrt(sum(weight(t, c) ** 2 for t in terms)) for c in (one, other)]
    return dot / (norms[0] * norms[1]) if all(norms) else 0.0


captions = st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join)


@settings(max_examples=30)
@given(st.lists(captions, min_size=1, max_size=5), st.lists(captions, min_size=1, max_size=3))
def test_the_nearest_is_that_of_a_slow_tf_idf(train, test):
    for caption, (place, similarity) in zip(test, nearest_captions(train, test), strict=True):
        expected = [cosine(caption, other, train + test) for other in train]
        assert similarity == pytest.approx(max(expected), abs=1e-12)
        if place is None:
            assert max(expected) == 0
        else:
            assert expected[place] == pytest.approx(max(expected), abs=1e-12)


def test_of_equally_near_captions_the_first_counts():
    assert nearest_captions(["red car", "red car"], ["a red car"])[0][0] == 0


def test_characters_are_the_words_of_chinese_captions():
    train = ["一名男子走路", "一辆汽车", "车祸"]
    assert [place for place, _ in nearest_captions(train, ["一名男子。", "汽车"])] == [0, 1]


class Told:
    """Videos of given captions, labels and classes."""

    name, simulated, query_kind = "Told", True, "captions"

    def __init__(self, train, test):
        self.rows = {"train": train, "test": test}

    def split(self, name):
        return [
            Item(f"{name}{v}", (f"{name}{v}#0",), label, classes)
            for v, (_, label, classes) in enumerate(self.rows[name])
        ]

    def query(self, query):
        split = "train" if query.startswith("train") else "test"
        return self.rows[split][int(query[len(split) : -2])][0]


def test_shares_and_what_chance_gives():
    train = [
        ("a red car burns", 1, ("Arson", "Explosion")),
        ("two men fight", 1, ("Fighting",)),
        ("people walk by", 0, ("Normal",)),
        ("something", None, ()),
    ]
    test = [
        ("A red car burns.", 1, ("Arson",)),  # literally in train
        ("men walk by", 1, ("Fighting",)),  # nearest is the normal video
        ("xyz", 0, ("Normal",)),  # no word in common
        ("something else", 1, ("Arson",)),  # of the nearest nothing is known
    ]
    found = caption_leak(Told(train, test))
    assert [row.neighbour for row in found.nearest] == ["train0#0", "train2#0", None, "train3#0"]
    assert [row.same_class for row in found.nearest] == [True, False, False, None]
    assert [row.same_label for row in found.nearest] == [True, False, False, None]
    assert (found.train, found.test, found.identical) == (4, 4, 1)
    assert found.same_class == found.same_label == pytest.approx(1 / 3)
    # Of 4 x 3 pairs with a known train video, each test video shares one class.
    assert found.same_class_chance == pytest.approx(4 / 12)
    assert found.same_label_chance == pytest.approx((2 + 2 + 1 + 2) / 12)
    assert found.simulated
    json.dumps(found.to_dict(), allow_nan=False)


def test_nothing_is_said_of_what_nobody_knows():
    found = caption_leak(Told([("a man", None, ())], [("a man", None, ())]))
    assert (found.same_class, found.same_label, found.same_class_chance) == (None, None, None)
    assert found.identical == 1


def test_the_command_prints_the_shares(tmp_path):
    arguments = ("simulated", "size=small", f"root={tmp_path}")
    result = call("data", "leak", *arguments)
    assert result.exit_code == 0
    assert "(simulated data)" in result.stdout
    assert "10 test captions, each with the nearest of 30 in train" in result.stdout
    found = json.loads(call("data", "leak", *arguments, "--json").stdout)
    assert f"{100 * found['same_class']:.1f} %" in result.stdout
    assert len(found["nearest"]) == 10
    assert ": queries are sounds" in failed(call("data", "leak", *arguments, "task=audio"))


def test_an_absent_split_is_refused(tmp_path):
    root = tmp_path / "data"
    root.mkdir()
    np.save(root / "a.npy", np.ones((3, 2), "f4"))
    (root / "manifest.csv").write_text("video,split,caption,rgb\na,test,a man,a.npy\n")
    result = call("data", "leak", "folder", f"root={root}", "streams={object: rgb}")
    assert "no split 'train'" in failed(result)


def test_the_real_captions_give_away_what_was_measured(real_data, tmp_path):
    """Design notes: the same class 67.9 %, the same of normal and anomalous 86.6 %."""
    make_real(tmp_path, real_data)
    found = caption_leak(UCFCrimeAR(root=str(tmp_path), streams={"object": "rgb"}))
    assert (found.train, found.test, found.identical) == (1610, 290, 0)
    assert round(290 * found.same_class) == 197
    assert round(290 * found.same_label) == 251
    assert f"{found.same_class:.1%} {found.same_label:.1%}" == "67.9% 86.6%"
    # 800 of 1,610 training videos are normal, and 150 of 290 test videos.
    assert found.same_label_chance == pytest.approx((150 * 800 + 140 * 810) / (290 * 1610))
