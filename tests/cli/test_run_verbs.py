"""``varkit run``, ``resume``, ``eval`` and ``report``, as a person calls them."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from varkit.cli import main
from varkit.system.tensors import load
from varkit.training import checkpoint

RECIPE = """\
# A small model of sounds, for tests.
version: 1
data: {{use: simulated, task: audio, size: small, test: 0.2, median_clips: 12, root: {root}}}
model: {{dim: 8, experts: [object, motion]}}
samplers:
  fixed: {{use: fixed_frame, count: 4}}
  anomaly: {{use: anomaly_led, count: 4}}
detector: {{use: temporal_convolution, hidden: [6, 4]}}
video: {{use: two_stream, heads: 2}}
query: {{use: audio, heads: 2}}
alignments:
  cls: {{use: cls, weight: 0.5}}
  avg: {{use: avg, weight: 0.5}}
objective: {{use: margin_ranking}}
train: {{epochs: 4, batch_size: 8, lr: 1.0e-2, checkpoint_steps: 1}}
"""


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("recipe")
    path = folder / "tiny.yaml"
    path.write_text(RECIPE.format(root=folder / "cache"))
    return path


def call(*arguments: object):
    return CliRunner().invoke(main, [str(a) for a in arguments])


def only_run(out: Path) -> Path:
    (run,) = out.glob("*/*/run.json")
    return run.parent


@pytest.fixture(scope="module")
def finished(recipe, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("out")
    result = call("run", recipe, "train.seeds=[0, 1]", "--out", out, "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "simulated" in result.stdout.lower()
    assert "n = 8" in result.stdout
    assert "average rank" in re.sub(r"\s+", " ", result.stdout)
    return only_run(out)


def test_a_run_leaves_everything_that_was_promised(finished):
    facts = json.loads((finished / "run.json").read_text())
    assert facts["simulated"] is True
    assert facts["seeds"] == [0, 1]
    assert {"varkit", "torch", "python"} <= facts["versions"].keys()
    results = json.loads((finished / "results.json").read_text())
    assert results["simulated"] is True
    assert results["summary"]["last"]["SumR"]["sd"] is not None
    for seed in (0, 1):
        folder = finished / f"seed-{seed}"
        assert {p.name for p in (folder / "models").iterdir()} >= {"last.safetensors"}
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert {line["kind"] for line in lines} == {"step", "validation"}
    page = (finished / "report.html").read_text()
    assert "simulated" in page.lower()
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert not list(finished.rglob(".*.part"))


def test_a_finished_run_is_only_shown_again(finished):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*.safetensors")}
    result = call("resume", finished, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == json.loads((finished / "results.json").read_text())
    assert before == {p: p.stat().st_mtime_ns for p in finished.rglob("*.safetensors")}


def test_report_writes_the_same_page_again(finished):
    page = finished / "report.html"
    before = page.read_bytes()
    page.unlink()
    result = call("report", finished)
    assert result.exit_code == 0, result.output
    assert page.read_bytes() == before


def test_another_version_of_the_recipe_is_not_resumed(finished, tmp_path):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(finished, copy)
    text = (copy / "recipe.yaml").read_text()
    (copy / "recipe.yaml").write_text(text.replace("batch_size: 8", "batch_size: 4"))
    result = call("resume", copy)
    assert result.exit_code == 1
    assert "has changed since the run began" in result.stderr


def test_a_folder_that_is_no_run(tmp_path):
    result = call("resume", tmp_path)
    assert result.exit_code == 1
    assert "is no run" in result.stderr


def test_an_unknown_device_is_one_line(recipe, tmp_path):
    result = call("run", recipe, "--device", "warp", "--out", tmp_path)
    assert result.exit_code == 1
    assert "--device warp" in result.stderr
    assert "Traceback" not in result.stderr


def test_selecting_on_test_is_said_in_the_table(recipe, tmp_path):
    result = call("run", recipe, "train.select=test", "train.epochs=1", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    assert "ON THE TEST SET" in re.sub(r"\s+", " ", result.stdout)
    assert "ON THE TEST SET" in (only_run(tmp_path) / "report.html").read_text()


def start(*arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "varkit", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def wait_for_steps(folder: Path, process: subprocess.Popen, steps: int) -> None:
    """Wait until the log has so many lines, or the process has ended."""
    while process.poll() is None:
        log = folder / "metrics.jsonl"
        if log.exists() and len(log.read_text().splitlines()) >= steps:
            return
        time.sleep(0.01)


@pytest.mark.slow
def test_killed_at_ten_moments_it_ends_with_the_same_weights(recipe, tmp_path):
    epochs = "train.epochs=12"
    whole = start("run", recipe, epochs, "--out", tmp_path / "whole", "--threads", 1)
    _, errors = whole.communicate()
    assert whole.returncode == 0, errors
    expected = only_run(tmp_path / "whole")

    randomness = random.Random(0)
    process = start("run", recipe, epochs, "--out", tmp_path / "cut", "--threads", 1)
    while not list((tmp_path / "cut").glob("*/*/run.json")):
        time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
    run = only_run(tmp_path / "cut")
    for kill in range(10):
        wait_for_steps(run / "seed-0", process, 2 * (kill + 1))  # of 48 lines
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
    ours, theirs = (json.loads((f / "results.json").read_text()) for f in (expected, run))
    assert ours == theirs


@pytest.mark.slow
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_signal_to_all_processes_saves_and_says_how_to_go_on(
    recipe, tmp_path, number, code, workers
):
    options = ("train.epochs=300", "train.checkpoint_steps=0", f"train.workers={workers}")
    process = start("run", recipe, *options, "--out", tmp_path)
    while not list(tmp_path.glob("*/*/run.json")):
        time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
    run = only_run(tmp_path)
    wait_for_steps(run / "seed-0", process, 2)
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
    assert (only_run(tmp_path) / "results.json").exists()
    assert done.stdout.count("SumR") >= 1
