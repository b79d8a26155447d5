"""``varkit run``, ``resume``, ``eval`` and ``report``, as a person calls them."""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.support.calls import call, failed, passed, printed, start, wait_for
from tests.support.tiny_runs import log_of, read, recipe_of, run_in
from varkit.system.tensors import load
from varkit.training import checkpoint


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    """A small model of simulated sounds."""
    folder = tmp_path_factory.mktemp("recipe")
    data = {"use": "simulated", "task": "audio", "size": "small", "test": 0.2, "median_clips": 12}
    path = folder / "tiny.yaml"
    path.write_text(
        recipe_of(
            data=data | {"root": str(folder / "cache")},
            model={"dim": 8, "experts": ["object", "motion"]},
            query={"use": "audio", "heads": 2},
            train={"epochs": 4, "batch_size": 8, "lr": 0.01, "checkpoint_steps": 1},
        )
    )
    return path


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    result = passed(call("run", recipe, "train.seeds=[0, 1]", "--out", out, "--threads", 1))
    assert "simulated" in result.stdout.lower()
    assert "n = 8" in result.stdout
    assert "Ties are in random order" in re.sub(r"\s+", " ", result.stdout)
    return run_in(out)


def test_a_run_leaves_everything_that_was_promised(finished):
    facts, results = (read(finished / f"{name}.json") for name in ("run", "results"))
    assert facts["simulated"] is True
    assert facts["seeds"] == [0, 1]
    assert {"varkit", "torch", "python"} <= facts["versions"].keys()
    assert results["simulated"] is True
    assert results["summary"]["last"]["SumR"]["sd"] is not None
    for seed in (0, 1):
        assert (finished / f"seed-{seed}/models/last.safetensors").is_file()
        assert {record["kind"] for record in log_of(finished, seed)} == {"step", "validation"}
    page = (finished / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not list(finished.rglob(".*.part"))


def test_a_finished_run_is_only_shown_again_and_its_page_written_again(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*.safetensors")}
    assert printed(call("resume", finished, "--json")) == read(finished / "results.json")
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("*.safetensors")}
    page = finished / "report.html"
    shown = page.read_bytes()
    page.unlink()
    passed(call("report", finished))
    assert page.read_bytes() == shown


def test_another_version_of_the_recipe_is_not_resumed(finished, tmp_path):
    copy = shutil.copytree(finished, tmp_path / "copy")
    text = (copy / "recipe.yaml").read_text()
    (copy / "recipe.yaml").write_text(text.replace("batch_size: 8", "batch_size: 4"))
    assert "has changed since the run began" in failed(call("resume", copy))


def test_no_run_and_no_device_are_one_line(recipe, tmp_path):
    assert "is not a run" in failed(call("resume", tmp_path))
    assert "--device warp" in failed(call("run", recipe, "--device", "warp", "--out", tmp_path))


def test_selecting_on_test_is_said_in_the_table(recipe, tmp_path):
    result = passed(call("run", recipe, "train.select=test", "train.epochs=1", "--out", tmp_path))
    assert "ON THE TEST SET" in re.sub(r"\s+", " ", result.stdout)
    assert "ON THE TEST SET" in (run_in(tmp_path) / "report.html").read_text()


def saved_run(out: Path, process: subprocess.Popen) -> Path:
    return wait_for(process, lambda: list(out.glob("*/*/run.json")))[0].parent


def wait_for_steps(run: Path, process: subprocess.Popen, steps: int) -> None:
    log = run / "seed-0" / "metrics.jsonl"
    wait_for(process, lambda: log.exists() and len(log.read_text().splitlines()) >= steps)


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_with_the_same_weights(recipe, tmp_path):
    epochs = "train.epochs=12"
    whole = start("run", recipe, epochs, "--out", tmp_path / "whole", "--threads", 1)
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors
    expected = run_in(tmp_path / "whole")

    randomness = random.Random(0)
    process = start("run", recipe, epochs, "--out", tmp_path / "cut", "--threads", 1)
    run = saved_run(tmp_path / "cut", process)
    for kill in range(10):
        wait_for_steps(run, process, 2 * (kill + 1))  # of 48 lines
        time.sleep(randomness.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL, "the run ended before it could be killed"
        process = start("resume", run)
    _, errors = process.communicate()
    assert process.returncode == 0, errors

    for name in ("best", "last"):
        ours, theirs = (
            load(folder / "seed-0" / "models" / f"{name}.safetensors")[0]
            for folder in (expected, run)
        )
        assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert read(expected / "results.json") == read(run / "results.json")


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_to_all_processes_saves_and_says_how_to_go_on(
    recipe, tmp_path, number, code, workers
):
    options = ("train.epochs=300", "train.checkpoint_steps=0", f"train.workers={workers}")
    process = start("run", recipe, *options, "--out", tmp_path)
    run = saved_run(tmp_path, process)
    wait_for_steps(run, process, 2)
    os.killpg(process.pid, number)  # as a terminal and a scheduler do
    _, errors = process.communicate()
    assert process.returncode == code, errors
    assert f"varkit resume {run}" in re.sub(r"\s+", " ", errors)
    assert "Traceback" not in errors
    assert checkpoint.load_newest(run / "seed-0" / "checkpoints") is not None


@pytest.mark.slow
def test_two_processes_under_torchrun(recipe, tmp_path):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"),
            *("--standalone", "-m", "varkit", "run", str(recipe), "train.epochs=1"),
            *("--out", str(tmp_path), "--threads", "1"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (run_in(tmp_path) / "results.json").exists()
    assert done.stdout.count("SumR") >= 1
