"""Bad recipes, plugins and data: one line says what, where and why, and nothing is lost."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path

import numpy as np
import psutil
import pytest

from tests.support.calls import call, failed, hint, passed
from tests.support.tiny_runs import log_of, make_data, only_run, run
from varkit.training.log import MetricsLog


@pytest.fixture
def recipe(tmp_path) -> Path:
    return make_data(tmp_path / "data")


# Recipes and places


def test_every_wrong_key_name_and_type_at_once(recipe):
    wrong = ("train.epoch=3", "objective.use=margin_rankin", "train.lr=fast", "modle.dim=3")
    result = run(recipe, *wrong)
    assert failed(result, 2) == "error: 4 problems"
    nearest = [f"Did you mean '{key}'?" for key in ("epochs", "margin_ranking", "model")]
    for said in (*nearest, "a number above 0"):
        assert said in result.stderr
    assert not (recipe.parent.parent / "runs").exists()


def test_places_that_are_missing_or_something_else_are_named(recipe, tmp_path):
    assert failed(run(recipe.parent, out=recipe.parent), 2).endswith("it is a folder, not a file")
    assert run(recipe, out=recipe).exit_code == 2  # click: it is a file
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "tiny").write_text("a file where the recipe's folder goes")
    result = run(recipe, out=tmp_path / "blocked")
    assert "Not a directory" in failed(result)
    assert hint(result).startswith("make ")
    result = run(recipe, f"data.root={tmp_path / 'nowhere'}")
    assert "nowhere/manifest.csv: put the data there, or set data.root" in failed(result, 2)


def test_runs_started_in_the_same_second_do_not_meet(recipe):
    for seed in (0, 1):
        passed(run(recipe, f"train.seeds=[{seed}]", "train.epochs=1"))
    assert len(list((recipe.parent.parent / "runs").glob("*/*/results.json"))) == 2


def test_without_spacy_and_hub_every_way_out_is_named(tmp_path, monkeypatch):
    real = importlib.util.find_spec

    def find(name, package=None):
        return None if name.startswith("en_core_web") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    strict = call("run", "alan_ucf", "--strict", "--out", tmp_path)
    assert failed(strict, 2) == "error: 3 problems"
    for said in ("data get ucfcrime_ar", "hf download google-bert", "spacy download en_core_web"):
        assert said in strict.stderr
    result = call("run", "alan_ucf", "--out", tmp_path)
    assert "python -m spacy download en_core_web_sm" in failed(result, 2)
    assert hint(result) == "its embedded block needs it"


# Plugins


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("samplers.anomaly={use: early, fault: flat}", r"anomaly.*\(2, N\).*\(2,\)"),
        ("samplers.anomaly={use: early, fault: behind}", "anomaly.* positions of real clips"),
        ("samplers.anomaly={use: early, fault: measured}", r"anomaly.*\(\d, N\).*\(1, 3\)"),
        ("detector={use: steep, fault: deep}", r"detector: confidence .*\(2, \d+, 1\)"),
        ("detector={use: steep, fault: loss}", r"loss detector .*\(\); it is shape \(4,\)"),
        ("alignments.cls={use: near, fault: deep}", r"alignments\.cls: video factors .*\(2, K\)"),
        ("alignments.cls={use: near, fault: short}", r"query factors .*\(4, 16\).*\(4, 11\)"),
        ("alignments.cls={use: near, fault: row}", r"\.cls: similarity .*\(2, 2\).*\(1, 2\)"),
        ("alignments.cls={use: half}", "alignment 'half' of plugin .* has no factors"),
    ],
)
def test_a_plugin_that_returns_a_wrong_shape_is_named(recipe, override, said):
    result = run(recipe, override)
    assert re.search(said, failed(result)), result.stderr


def test_the_hint_for_a_faulty_plugin_runs_the_kit_on_it(recipe):
    result = run(recipe, "alignments.cls={use: half}")
    verb, *arguments = hint(result).removeprefix("varkit ").split()
    again = call(verb, *arguments)
    assert again.exit_code == 1
    assert "half" in again.stdout


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("import math\n\nmath.sqrt(-1)\n", r"ValueError: .* at \S+parts\.py:3"),
        ("def f(:\n", r"SyntaxError: invalid syntax \(parts.py, line 1\)"),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 at \S+parts\.py:2"),
        ("import no_such_module\n", r"No module named 'no_such_module' at \S+parts\.py:1"),
        ("import varkit\n@varkit.hookimpl\ndef register_sampler(r): ...\n", "register_sampler"),
    ],
)
def test_a_plugin_that_fails_on_import_is_named_with_its_line(recipe, source, said):
    (recipe.parent / "parts.py").write_text(source)
    message = failed(run(recipe))
    assert "parts.py failed to load" in message
    assert re.search(said, message)


def test_a_component_whose_module_ends_the_program(recipe, tmp_path, monkeypatch):
    (tmp_path / "leaves_at_once.py").write_text("raise SystemExit(0)\n")
    monkeypatch.syspath_prepend(tmp_path)
    result = run(recipe, "alignments.cls={use: leaves}")
    assert "cannot import 'leaves_at_once:Class'" in failed(result, 2)


# Data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not numpy", "does not begin like a .npy file"),
        ("truncated", "is truncated: its header promises shape (20, 6)"),
        (np.array([{"a": 1}], dtype=object), "holds Python objects, not numbers"),
        (np.full((20, 6), np.nan, np.float32), "holds nothing but NaN in clips 0 to 19"),
        (np.zeros((0, 6), np.float32), "is empty: shape (0, 6)"),
        (np.zeros((20, 5), np.float32), "has shape (20, 5); expected (T, 6)"),
    ],
    ids=["unreadable", "truncated", "objects", "nan", "empty", "width"],
)
def test_a_bad_feature_file_is_named_with_its_video(recipe, content, said):
    file = recipe.parent / "train2.npy"
    if isinstance(content, np.ndarray):
        np.save(file, content, allow_pickle=True)
    else:
        file.write_bytes(file.read_bytes()[:-8] if content == "truncated" else content)
    result = run(recipe)
    assert "data has 1 fault" in failed(result)
    assert f"video 'train2', stream 'object': {file} {said}" in result.stderr
    assert hint(result) == f"varkit data verify {recipe}"


def test_a_missing_feature_file_is_found_before_anything_runs(recipe):
    (recipe.parent / "train2.npy").unlink()
    result = run(recipe)
    assert "data has 1 fault" in failed(result)
    assert "missing: 'train2' (the first is " in result.stderr
    assert not (recipe.parent.parent / "runs").exists()


def test_a_bad_annotation_is_found_before_anything_is_trained(recipe):
    manifest = recipe.parent / "manifest.csv"
    head, *rows = manifest.read_text().splitlines()
    wrong = [f"{head},anomaly", *(f"{row},{'900-950' * row.startswith('test1,')}" for row in rows)]
    manifest.write_text("\n".join(wrong))
    result = run(recipe)
    assert "data has 1 fault" in failed(result)
    assert "video 'test1': most of the anomaly at 900.0-950.0 s" in result.stderr
    assert not [*(recipe.parent.parent / "runs").rglob("*.safetensors")], "nothing was trained"


def test_nan_in_the_middle_of_a_training_keeps_what_was_done(recipe):
    # The file spoils between two epochs, as on a failing disk; its size and time stay.
    file = recipe.parent / "train2.npy"
    good, status = file.read_bytes(), file.stat()
    spoilt = np.load(file)
    spoilt[7] = np.nan
    write = MetricsLog.write

    def spoil(self, record):
        write(self, record)
        if record["kind"] == "validation":
            np.save(file, spoilt)
            os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MetricsLog, "write", spoil)
        message = failed(run(recipe))
    assert "video 'train2', stream 'object'" in message
    assert "clip 7 holds NaN" in message
    file.write_bytes(good)
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    passed(call("resume", only_run(recipe)))


def test_a_data_set_without_a_test_split(tmp_path):
    recipe = make_data(tmp_path / "data", test=())
    result = run(recipe)
    assert "data has 1 fault" in failed(result)
    assert "has no split 'test'; it has train" in result.stderr


def test_one_video_can_be_trained_and_measured_but_not_under_batch_normalisation(tmp_path):
    recipe = make_data(tmp_path / "data", train=(5,), test=(1,))
    assert "n = 1 queries" in passed(run(recipe)).stdout
    passed(call("eval", only_run(recipe)))
    result = run(recipe, "query.gate_norm=batch")
    assert "cannot train on a batch of 1" in failed(result)
    assert "query.gate_norm=layer" in hint(result)


def test_a_batch_larger_than_the_data_is_all_of_them(recipe):
    passed(run(recipe, "train.batch_size=1000"))
    assert [record["kind"] for record in log_of(only_run(recipe))] == ["step", "validation"] * 2


def test_videos_of_one_and_of_61_000_clips_in_bounded_memory(tmp_path, monkeypatch):
    recipe = make_data(tmp_path / "data", train=(1, 61_000, 15, 61_000), test=(61_000, 1, 16))
    process, seen = psutil.Process(), []
    write = MetricsLog.write

    def weigh(self, record):
        seen.append(process.memory_info().rss)
        write(self, record)

    monkeypatch.setattr(MetricsLog, "write", weigh)
    before = process.memory_info().rss
    passed(run(recipe, "train.epochs=1", "train.batch_size=2", "train.max_clips=64"))
    # Four such videos are 6 MB, and what is imported 250 MB; a (T, T) matrix of one is 15 GB.
    assert max(*seen, process.memory_info().rss) - before < 1e9
