"""A run knows how its streams were extracted, and its model refuses others."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from tests.support.calls import call, failed, hint, passed
from tests.support.faulty_data import write
from tests.support.stores import clock, made, make_store, record
from varkit.media.extractors import fingerprint

RECIPE = """\
version: 1
data: {use: folder, root: ., store: store, streams: {object: image.features}, query: audio}
model: {dim: 8, experts: [object]}
video: {use: mean_pool}
query: {use: mean_pool}
alignments: {avg: {use: avg, weight: 1.0}}
objective: {use: margin_ranking}
train: {epochs: 1, batch_size: 4, select: last}
eval: {trec_depth: 0}
"""
NAMES = [f"v{i}.mp4" for i in range(6)]


def store(place, *, seed=0, **options):
    videos = {
        n: {"image": made("image", clock(9, 1.0), seed=seed + i)} for i, n in enumerate(NAMES)
    }
    return make_store(place, videos, options={"image": options})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    listed = []
    for i, name in enumerate(NAMES):
        np.save(folder / f"{i}.npy", np.random.default_rng(i).random((5, 3), "f4"))
        listed.append({"video": name, "split": ["train", "test"][i > 3], "audio": f"{i}.npy"})
    write(folder, listed)
    store(folder / "store", fps=1)
    (folder / "demo.yaml").write_text(RECIPE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        passed(call("run", "demo.yaml", "--device", "cpu", "--threads", torch.get_num_threads()))
    return folder


@pytest.fixture
def project(trained, tmp_path, monkeypatch):
    moved = shutil.copytree(trained, tmp_path / "project")
    monkeypatch.chdir(moved)
    return moved


def run_of(project):
    return next((project / "runs").rglob("run.json")).parent


def test_run_json_names_the_extractor_of_each_stream(project):
    facts = json.loads((run_of(project) / "run.json").read_text())["extractors"]["object"]
    assert facts["stream"] == "features"
    assert facts["fingerprint"] == fingerprint(record("image", fps=1))
    assert facts["record"]["options"] == {"fps": 1}


def test_streams_of_another_extractor_are_refused_with_both_fingerprints(project):
    store(project / "other", fps=2)
    run, threads = run_of(project), ("--device", "cpu", "--threads", torch.get_num_threads())
    marks = [fingerprint(record("image", fps=fps)) for fps in (1, 2)]
    result = call("eval", run, f"data.store={project / 'other'}", *threads)
    for part in (*marks, "'object'", "they differ in options.fps"):
        assert part in failed(result)
    assert "run.json lists" in hint(result)
    shutil.rmtree(project / "store")
    (project / "other").rename(project / "store")
    for words in (
        ("eval", run),
        ("embeddings", "export", run, "a.npz"),
        ("resume", run, "train.seeds=[0, 1]"),
    ):
        said = failed(call(*words, *threads))
        assert all(mark in said for mark in marks), said


def test_the_same_extractor_on_other_videos_is_measured(project):
    store(project / "other", seed=50, fps=1)
    passed(call("eval", run_of(project), f"data.store={project / 'other'}"))
    passed(call("eval", run_of(project), f"data.store={project / 'other'}", "--out", "again"))
    facts = json.loads((project / "again" / "run.json").read_text())
    assert (
        facts["extractors"] == json.loads((run_of(project) / "run.json").read_text())["extractors"]
    )
    assert facts["measured_from"]["data_differs"]
