"""A trained run as an index: it answers exactly as the run ranks."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest

import varkit
from varkit.errors import DataError
from varkit.search.care import verify
from varkit.search.make import make_index


@pytest.fixture(scope="module", autouse=True)
def here(tmp_path_factory):
    """A folder for the states of captions, which a run keeps below the working directory."""
    with contextlib.chdir(tmp_path_factory.mktemp("here")):
        yield


@pytest.fixture(scope="module", params=["mean_pool_ucf", "alan_ucf", "mean_pool_xd", "xml_ucf"])
def trained(request, tmp_path_factory):
    """Runs asked in words, one with a detector, one asked by sounds, one without factors."""
    root = tmp_path_factory.mktemp(request.param)
    task = "audio" if request.param.endswith("_xd") else "text"
    data = {"use": "simulated", "size": "small", "width": 24, "root": str(root), "task": task}
    model = {"dim": 24}
    run = varkit.train(
        request.param, out=root, data=data, model=model, train={"epochs": 1, "batch_size": 8}
    )
    with varkit.index(out=root / "index", recipe=run.folder) as index:
        yield varkit.load(run.folder), index


def test_the_ranking_is_that_of_the_run(trained):
    model, index = trained
    videos, queries = model.encode_videos(), model.encode_queries()
    similarity = model.similarity(videos, queries)
    assert index.videos == list(videos.ids)
    for column, query in enumerate(queries.ids):
        # As varkit eval does: float64 products, rounded to float32; ties by the order of videos.
        scores = similarity[:, column].astype(np.float64)
        if model.dataset.query_kind == "captions":
            hits = index.search(model.dataset.query(query), k=len(videos))
        else:
            hits = index.search_vector(queries.vectors[column], k=len(videos))
        by_name = dict(zip(videos.ids, scores, strict=True))
        got = [by_name[hit.video] for hit in hits]
        assert len({hit.video for hit in hits}) == len(videos)
        assert got == pytest.approx(sorted(got, reverse=True), abs=2e-6)
        assert [hit.score for hit in hits] == pytest.approx(got, abs=2e-5)


def test_moments_and_anomaly_lie_inside_the_video(trained):
    model, index = trained
    if model.dataset.query_kind != "captions":
        pytest.skip("it is asked by sounds")
    hit = index.search("a car crash at night", k=1)[0]
    reader = model.dataset.open(hit.video)
    assert (hit.start, hit.end) == (reader.times[0, 0], reader.times[-1, 1])
    for moment in hit.moments:
        assert hit.start <= moment.start < moment.end <= hit.end
    if model.recipe.detector is not None:
        assert 0 <= hit.anomaly <= 1
        assert hit.concept is None


def test_nothing_is_encoded_again_and_another_run_is_refused(trained, tmp_path):
    model, index = trained
    again = make_index(None, index.root, with_=str(model.run.folder))
    assert again.added == []
    assert verify(index.root) == []
    with pytest.raises(DataError, match="another way"):
        make_index(None, index.root, with_=str(model.run.folder), accept_code=True)
