"""A run tells, records and shows what its text encoder makes of the captions, before it trains."""

from types import SimpleNamespace

import numpy as np
import pytest

from tests.support.calls import call, failed, passed
from tests.support.tiny_captions import Captioned
from tests.support.tiny_runs import read, run_in
from varkit.blocks.tiny_language import write_tiny_language
from varkit.errors import DataError, PluginError, RecipeError
from varkit.interfaces import CaptionFacts
from varkit.runs.captions import read_captions, told
from varkit.runs.report import write_report

RECIPE = """\
# Mean pooling and a tiny language model, on a folder of one's own.
version: 1
data: {use: folder, root: data, query: text, streams: {object: rgb}}
model: {dim: 8, experts: [object]}
video: {use: mean_pool}
query: {use: bert, model: language, finetune: false, gate_norm: layer, max_tokens: 5}
alignments: {avg: {use: avg, weight: 1.0}}
objective: {use: margin_ranking}
train: {epochs: 1, batch_size: 2, select: last}
"""
TRAIN = ["a man runs", "a man runs away", "a man runs slowly", "a dog", "男 man"]
TEST = ["two people", "two people"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a recipe; call it with the captions to train on."""
    monkeypatch.chdir(tmp_path)
    write_tiny_language(tmp_path / "language")
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    (tmp_path / "data").mkdir()

    def write(train):
        rows, random = ["video,split,caption,rgb"], np.random.default_rng(0)
        for split, captions in (("train", train), ("test", TEST)):
            for i, caption in enumerate(captions):
                np.save(f"data/{split}{i}.npy", random.normal(size=(4, 3)))
                rows.append(f"{split}{i},{split},{caption},{split}{i}.npy")
        (tmp_path / "data" / "manifest.csv").write_text("\n".join(rows))
        return tmp_path

    return write


def test_it_is_told_before_the_first_step_recorded_and_on_the_page(here):
    folder = here(TRAIN)
    said = passed(call("run", "recipe.yaml", "train.seeds=[0, 1]", "--out", "runs")).stderr
    line = (
        "train captions: 5 distinct; 6.7% of their 15 tokens are unknown to the text encoder; "
        "2 are cut, 3 are then equal to another"
    )
    assert said.count(line) == 1  # not by every seed
    assert "remark: do the train captions and the text encoder have the same language?" in said
    assert "read more tokens (query.max_tokens) to tell all train captions apart" in said
    assert said.index("train captions:") < said.index("test captions: 1 distinct; 0.0% of")
    run = run_in(folder / "runs")
    facts = read(run / "run.json")["captions"]
    assert facts["train"] == {"captions": 5, "tokens": 15, "unknown": 1, "cut": 2, "equal": 3}
    assert facts["test"] == {"captions": 1, "tokens": 2, "unknown": 0, "cut": 0, "equal": 0}
    assert line in write_report(run).read_text()


@pytest.mark.parametrize("verb", [["run"], ["validate", "--build"]])
def test_captions_of_unknown_words_are_refused_before_the_first_step(here, verb):
    folder = here(["男子", "一 人", "男 子", "man"])
    said = failed(call(*verb, "recipe.yaml"), 2)
    assert "does not know 86% of the words or word pieces in the train captions" in said
    assert not list(folder.glob("runs/*/*/seed-*"))


@pytest.mark.parametrize("verb", ["run", "validate"])
def test_a_model_folder_without_its_tokenizer_is_refused_before_the_first_step(here, verb):
    folder = here(TRAIN)
    (folder / "language" / "vocab.txt").unlink()
    said = failed(call(verb, "recipe.yaml"), 2)
    assert "folder language has no tokenizer file (tokenizer.json, or vocab.txt, or" in said
    assert not (folder / "runs").exists()


class Splits(Captioned):
    """Captions by split; there is no validation split."""

    def split(self, name):
        if name == "val":
            raise DataError("there is no split val")
        return self.items()


def encoder(facts):
    return SimpleNamespace(caption_facts=lambda texts: facts)


@pytest.mark.parametrize(
    ("unknown", "refused", "remarked"), [(0, 0, 0), (1, 0, 0), (2, 0, 1), (10, 0, 1), (11, 1, 1)]
)
def test_any_text_encoder_may_count(unknown, refused, remarked):
    facts = CaptionFacts(captions=1, tokens=20, unknown=unknown, cut=0, equal=0)
    if refused:
        with pytest.raises(RecipeError, match="does not know 55%") as caught:
            read_captions(encoder(facts), Splits([["a"]]))
        assert len(caught.value.problems) == 2  # of train and of test
        return
    read = read_captions(encoder(facts), Splits([["a"]]))
    assert list(read) == ["train", "test"]
    assert len(list(told(read))) == 2 * (1 + remarked)


def test_what_does_not_count_is_not_asked_and_what_miscounts_is_named():
    data = Splits([["a"]])
    assert read_captions(object(), data) == {}
    nothing = CaptionFacts(captions=0, tokens=0, unknown=0, cut=0, equal=0)
    assert read_captions(encoder(nothing), data)["test"]["tokens"] == 0
    with pytest.raises(PluginError, match="caption_facts returned dict instead of CaptionFacts"):
        read_captions(encoder({}), data)
    data.query_kind = "clips"
    assert read_captions(encoder(nothing), data) == {}
