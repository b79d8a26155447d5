"""Figures of data sets, against counts made the slow way and against the benchmark's real files."""

from __future__ import annotations

import itertools
import statistics as plain

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from varkit_datasets.folder import Folder
from varkit_datasets.ucfcrime_ar import UCFCrimeAR

from tests.support.faulty_data import change, make, write
from tests.support.ucfcrime_ar import make_real
from varkit.data.inspect.captions import caption_length, near_duplicates, vocabulary, words
from varkit.data.inspect.stats import Published, segments, statistics


@pytest.fixture
def rows(tmp_path):
    rows = make(tmp_path)
    rows[0]["caption"] = "A man runs."
    rows[2]["caption"] = "a  man runs"
    rows[3]["caption"] = "Two men beat a third, who falls"
    rows[3]["anomaly"] = "1-3; 5-6"
    rows[5]["caption"] = "A masked man robs a shop."
    rows[4]["label"] = 1
    write(tmp_path, rows)
    return rows


def opened(root):
    return Folder(root=str(root), streams={"object": "rgb", "motion": "flow"}, seconds_per_clip=0.5)


def test_every_figure_of_a_small_data_set(tmp_path, rows):
    found = statistics(opened(tmp_path))
    figures = found.figures
    for split in ("", "train", "test"):
        part = [row for row in rows if split in ("", row["split"])]
        clips = [20 + int(row["video"][1:]) for row in part]
        lengths = [len(row["caption"].split()) for row in part]
        expected = {
            "videos": len(part),
            "anomalous": sum(row["label"] for row in part),
            "normal": sum(not row["label"] for row in part),
            "unlabelled": 0,
            "queries": len(part),
            "classes": 2,
            "hours": sum(clips) / 2 / 3600,
            "seconds.mean": plain.mean(clips) / 2,
            "seconds.median": plain.median(clips) / 2,
            "seconds.max": max(clips) / 2,
            "clips.mean": plain.mean(clips),
            "clips.p50": plain.median(clips),
            "words.mean": plain.mean(lengths),
            "words.std": plain.pstdev(lengths),
            "words.min": min(lengths),
            "words.median": plain.median(lengths),
            "words.max": max(lengths),
            "duplicates.groups": int(split != "test"),
            "duplicates.captions": 2 * (split != "test"),
        }
        for key, value in expected.items():
            name = f"{key}.{split}" if split else key
            assert figures[name] == pytest.approx(value), name
    assert figures["anomaly.videos"] == 3
    assert figures["anomaly.segments"] == 4
    assert figures["anomaly.fraction.mean"] == pytest.approx((4 / 21 + 6 / 23 + 4 / 25) / 3)
    assert figures["anomaly.start.median"] == pytest.approx(2 / 23)
    assert figures["class.Fighting.videos"] == 3
    assert figures["class.Fighting.videos.test"] == 1
    assert figures["class.Fighting.seconds.median"] == 11.5
    assert figures["class.Normal.videos.train"] == 2
    assert "class.Normal.fraction.median" not in figures
    train, test = (
        {w.strip(",.") for row in part for w in row["caption"].lower().split()}
        for part in (rows[:4], rows[4:])
    )
    assert figures["vocabulary.unseen"] == len(test - train)
    assert figures["vocabulary.test"] == len(test)
    assert not any(np.isnan(value) for value in figures.values())


def test_lengths_of_sounds(tmp_path, rows):
    for i, row in enumerate(rows):
        np.save(tmp_path / f"{i}.sound.npy", np.ones((3 + i, 5), np.float32))
        row["audio"] = f"{i}.sound.npy"
    write(tmp_path, rows)
    options = {"root": str(tmp_path), "streams": {"object": "rgb"}, "query": "audio"}
    figures = statistics(Folder(**options)).figures
    assert figures["sound_clips.mean"] == 5.5
    assert figures["sound_clips.p50.test"] == 7.5
    assert "words.mean" not in figures


def test_no_numbers_are_read_where_headers_say_it(tmp_path, rows):
    before = statistics(opened(tmp_path)).figures
    for i in range(6):
        change(tmp_path / f"{i}.rgb.npy", lambda clips: clips * np.float32(np.nan))
    assert statistics(opened(tmp_path)).figures == before


@given(st.lists(st.booleans()))
def test_segments_are_the_runs_of_true(truth):
    found, place = [], 0
    for value, group in itertools.groupby(truth):
        length = len(list(group))
        if value:
            found.append((place, place + length))
        place += length
    assert segments(np.array(truth, bool)) == tuple(found)


@given(
    st.lists(st.lists(st.sampled_from("abcdefghij"), max_size=7).map(" ".join), max_size=12),
    st.sampled_from([0.3, 0.5, 2 / 3, 0.8, 0.9, 1.0]),
)
def test_near_duplicates_are_those_of_a_look_at_every_pair(captions, share):
    expected = []
    for i, j in itertools.combinations(range(len(captions)), 2):
        one, other = set(words(captions[i])), set(words(captions[j]))
        if one and other and 2 * len(one & other) / (len(one) + len(other)) >= share - 1e-9:
            expected.append((i, j))
    found = list(near_duplicates(captions, share))
    assert found == sorted(expected, key=lambda pair: pair[::-1])


def test_the_length_of_a_caption():
    assert caption_length("A man,  in red, ran away .") == 7
    assert caption_length("一名男子，在跑。") == 7
    assert caption_length("一名 男子在跑") == 6
    assert vocabulary(["A man, a dog.", "“Run!” the man’s dog"]) >= {"a", "man", "dog", "the"}
    assert vocabulary(["一名男子在跑。"]) == set("一名男子在跑")


@pytest.mark.parametrize(
    ("found", "published", "equal"),
    [
        (16.2947, 16.3, True),
        (16.2, 16.3, False),
        (128.4, 128, True),
        (127.07, 128, False),
        (1900, 1900, True),
        (None, 3, False),
    ],
)
def test_published_figures_are_compared_to_the_digits_printed(found, published, equal):
    assert Published("x", found, published, "Table I").equal is equal


@pytest.fixture(scope="module")
def benchmark(real_data, tmp_path_factory):
    root = tmp_path_factory.mktemp("ucf")
    make_real(root, real_data)
    return {"root": str(root), "streams": {"object": "rgb"}}


def test_the_benchmark_has_the_figures_of_its_paper(benchmark):
    found = statistics(UCFCrimeAR(**benchmark))
    figures = found.figures
    assert round(figures["words.mean"], 2) == 16.29
    assert round(figures["words.mean.train"], 2) == 15.81
    assert round(figures["words.mean.test"], 2) == 18.98
    assert (figures["words.min"], figures["words.median"], figures["words.max"]) == (4, 16, 46)
    assert (figures["vocabulary"], figures["vocabulary.unseen"]) == (1926, 185)
    assert (figures["duplicates.groups.train"], figures["duplicates.captions.train"]) == (26, 62)
    assert (figures["duplicates.groups.test"], figures["duplicates.captions.test"]) == (2, 4)
    assert (figures["anomaly.videos"], figures["anomaly.segments"]) == (140, 156)
    compared = {p.key: p.equal for p in found.beside(UCFCrimeAR.published)}
    assert all(compared[key] for key in ("words.mean", "videos.train", "videos.test"))
    # Whole clips of 16 frames lack what remains of a video, so hours are below the paper's.
    assert not compared["hours"]
    assert found.figures["hours"] == pytest.approx(127.35, abs=0.005)


def test_the_benchmark_in_chinese(benchmark):
    found = statistics(UCFCrimeAR(**benchmark, language="zh"))
    assert round(found.figures["characters.mean"], 1) == 22.4
    assert {p.key: p.equal for p in found.beside(UCFCrimeAR.published)}["characters.mean"]
    assert "words.mean" not in found.figures
