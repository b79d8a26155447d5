"""varkit in Python: what a model encodes, compares and ranks, against the slow way."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import numpy as np
import pytest

import varkit
from tests.support.reference.retrieval_metrics import ranks
from varkit.errors import CheckpointError, DataError, RecipeError, RunError, VarkitError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "python.md"


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    """A folder for the states of captions, which a run keeps below the working directory."""
    with contextlib.chdir(tmp_path_factory.mktemp("here")):
        yield


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Options of a small simulated data set, which is written once."""
    root = str(tmp_path_factory.mktemp("simulated"))
    return {"use": "simulated", "size": "small", "width": 24, "root": root}


@pytest.fixture(scope="module", params=["mean_pool_ucf", "mean_pool_xd", "xml_ucf"])
def model(request, small, tmp_path_factory):
    """A model of captions, one of sounds, and one whose similarity is not an inner product."""
    train = {"epochs": 1, "batch_size": 8}
    out = tmp_path_factory.mktemp("runs")
    data = {**small, "task": "audio" if request.param.endswith("_xd") else "text"}
    run = varkit.train(request.param, out=out, data=data, model={"dim": 24}, train=train)
    return varkit.load(run.folder)


def test_the_notebook_of_the_page_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    *lines, last = code.strip().splitlines()
    assert len([line for line in (*lines, last) if line]) == 5
    names = {}
    exec("\n".join(lines), names)
    first, second, third = eval(last, names)
    assert isinstance(first, varkit.Match)
    assert {hit.id for hit in (first, second, third)} <= set(names["videos"].ids)
    assert first.score >= second.score >= third.score


def test_a_model_ranks_as_its_run_was_measured(model):
    """The rank of each query's own video, counted by hand, is the one that the run saved."""
    videos, queries = model.encode_videos(), model.encode_queries()
    similarity = model.similarity(videos, queries)
    assert similarity.shape == (len(videos), len(queries))
    own = {query: item.video for item in model.dataset.split("test") for query in item.queries}
    of_queries, _ = ranks(similarity, [videos.ids.index(own[query]) for query in queries.ids])
    figures = varkit.evaluate(model.run)["summary"]["best"]
    assert figures["query_to_video.MnR"]["mean"] == pytest.approx(np.mean(of_queries))


def test_what_is_asked_in_words_is_what_the_data_set_asks(model):
    if model.dataset.query_kind == "clips":
        with pytest.raises(VarkitError, match="queries of mean_pool_xd are clips, not captions"):
            model.encode_captions(["a door"])
        return
    for captions in ([], [" "], ["a man", ""]):
        with pytest.raises(DataError, match="give captions of at least one word"):
            model.encode_captions(captions)
    queries = model.encode_queries()
    captions = model.encode_captions(model.dataset.query(query) for query in queries.ids)
    videos = model.encode_videos()
    np.testing.assert_allclose(
        model.similarity(videos, captions), model.similarity(videos, queries), rtol=0, atol=1e-5
    )
    first = captions.ids[0]
    hits = model.rank(first, videos)
    scores = model.similarity(videos, model.encode_captions([first]))[:, 0]
    assert [hit.id for hit in hits] == [videos.ids[v] for v in np.argsort(-scores, kind="stable")]
    assert [hit.score for hit in hits] == sorted(scores.tolist(), reverse=True)
    assert model.rank(first, videos, top=2) == hits[:2]


def test_a_video_asks_for_queries(model):
    videos, queries = model.encode_videos(), model.encode_queries()
    one = model.encode_videos([videos.ids[3]])
    (hit,) = model.rank(one, queries, top=1)
    column = model.similarity(one, queries)[0]
    assert hit == varkit.Match(queries.ids[int(column.argmax())], float(column.max()))


def test_vectors_are_factors_of_the_similarity(model):
    videos, queries = model.encode_videos(), model.encode_queries()
    if model.recipe.name == "xml_ucf":
        with pytest.raises(VarkitError, match="has no vectors"):
            _ = videos.vectors
        return
    product = videos.vectors @ queries.vectors.T
    np.testing.assert_allclose(product, model.similarity(videos, queries), rtol=0, atol=1e-5)


def test_mistakes_are_told(model, tmp_path):
    videos, queries = model.encode_videos(), model.encode_queries()
    with pytest.raises(DataError, match=f"named '{videos.ids[0]}x'. Did you mean"):
        model.encode_videos([f"{videos.ids[0]}x"])
    with pytest.raises(DataError, match="no split"):
        model.encode_videos(split="tset")
    with pytest.raises(VarkitError, match="takes videos, then queries; not query, then video"):
        model.similarity(queries, videos)
    with pytest.raises(VarkitError, match="rank takes one query or one video at a time; not 10"):
        model.rank(videos, queries)
    with pytest.raises(RecipeError, match=r"varkit.evaluate: train: cannot change without"):
        varkit.evaluate(model.run, train={"epochs": 3})
    with pytest.raises(RecipeError, match=r"varkit.train: train.epoch: no such option. .*epochs"):
        varkit.train(model.recipe.path, train={"epoch": 3})
    with pytest.raises(RunError, match="has no seed 5"):
        varkit.load(model.run, seed=5)
    with pytest.raises(RunError, match="no run"):
        varkit.load(tmp_path)
    with pytest.raises(CheckpointError):
        varkit.load(model.run, which="first")
    with pytest.raises(AttributeError, match="no attribute 'laod'"):
        _ = varkit.laod


def test_a_data_set_opens_by_name_or_by_recipe(small):
    options = {name: value for name, value in small.items() if name != "use"}
    named = varkit.open_dataset("simulated", **options)
    with pytest.raises(RecipeError, match=r"varkit.open_dataset: sise: .*Did you mean 'size'"):
        varkit.open_dataset("simulated", sise="small")
    assert named.fingerprint() == varkit.open_dataset("mean_pool_ucf", data=small).fingerprint()
