"""A run is refused before it begins on data with faults, and says so if they change under it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

import varkit
from tests.support.calls import call, failed, hint, passed
from tests.support.faulty_data import change
from tests.support.tiny_runs import make_data, only_run, read, run
from varkit.data.inspect import check as module
from varkit.errors import DataError
from varkit.training.log import MetricsLog


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


@pytest.fixture
def recipe(tmp_path):
    return make_data(tmp_path / "data")


def nan(array):
    array[-1, 0] = np.nan
    return array


def test_faults_are_refused_before_a_folder_is_made(recipe, tmp_path):
    change(recipe.parent / "test1.npy", nan)
    result = run(recipe)
    assert "data has 1 fault" in failed(result)
    assert "test1.npy clip 29 holds NaN" in result.stderr
    assert hint(result) == f"varkit data verify {recipe}"
    with pytest.raises(DataError, match="clip 29 holds NaN"):
        varkit.train(recipe, out=tmp_path / "runs")
    assert not (tmp_path / "runs").exists()


def test_a_quick_check_reads_headers_only(recipe):
    change(recipe.parent / "test1.npy", nan)
    assert "clip 29 holds NaN" in failed(run(recipe, "--check", "quick"))  # by the measuring
    assert read(only_run(recipe) / "run.json")["data_check"]["numbers"] == "unread"
    change(recipe.parent / "test0.npy", lambda array: array[:, :-1])
    shutil.rmtree(recipe.parent.parent / "runs")
    assert "data has 1 fault" in failed(run(recipe, "--check", "quick"))
    assert not (recipe.parent.parent / "runs").exists()


def test_the_second_run_says_that_nothing_has_changed(recipe):
    first, second = (passed(run(recipe, "train.epochs=1")).stderr for _ in range(2))
    assert "numbers read in" in first
    assert "no file has changed since all numbers were read" in second
    for said in (first, second):
        assert "remark: videos of fewer than 16 clips: 5" in said
    facts = [read(file)["data_check"] for file in recipe.parent.parent.glob("runs/*/*/run.json")]
    assert sorted(fact["numbers"] for fact in facts) == ["kept", "read"]
    assert all(any("16 clips" in text for text in fact["remarks"]) for fact in facts)


def test_a_stopped_run_is_checked_again_when_it_goes_on(recipe, tmp_path):
    passed(run(recipe))
    cut = only_run(recipe)
    for name in ("results.json", "seed-0/results.json"):
        (cut / name).unlink()
    change(recipe.parent / "test1.npy", nan)
    result = call("resume", cut)
    assert "clip 29 holds NaN" in result.stderr
    assert hint(result) == f"varkit data verify {cut / 'recipe.yaml'}"
    assert not (cut / "results.json").exists()


def test_features_that_change_under_a_run_are_told(recipe, monkeypatch):
    write = MetricsLog.write

    def overwrite(self, record):
        write(self, record)
        if record["kind"] == "validation" and record["epoch"] == 1:
            change(recipe.parent / "train0.npy", lambda array: array + 1)

    monkeypatch.setattr(MetricsLog, "write", overwrite)
    result = run(recipe)
    monkeypatch.undo()
    file = str(recipe.parent / "train0.npy")
    assert f"changed while {only_run(recipe)} trained" in failed(result)
    assert file in failed(result)
    assert hint(result) == "train again with varkit run"
    assert read(only_run(recipe) / "run.json")["data_changed"] == [file]
    assert json.loads((only_run(recipe) / "results.json").read_text())
    shown = passed(call("resume", only_run(recipe)))
    assert f"WARNING: the data changed while this run trained: {file}" in shown.stderr
    assert "SumR" in shown.stdout


def test_a_finished_run_is_shown_without_writing_anything(recipe):
    passed(run(recipe))
    finished = only_run(recipe)

    def state():
        files = [finished, *sorted(finished.rglob("*"))]
        return [(file, file.stat().st_mtime_ns, file.stat().st_ctime_ns) for file in files]

    before = state()
    shown = passed(call("resume", finished))
    assert "SumR" in shown.stdout
    assert f"report: {finished / 'report.html'}" in shown.stderr
    assert state() == before
