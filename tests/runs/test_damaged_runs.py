"""A full disk, a signal, a damaged file: one line says so, and the run goes on from there."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.calls import call, failed, hint, passed
from tests.support.tiny_runs import log_of, make_data, only_run, read, run
from varkit.errors import RunError
from varkit.runs.folder import locked
from varkit.system.tensors import load
from varkit.training import checkpoint
from varkit.training.log import MetricsLog


@pytest.fixture
def recipe(tmp_path) -> Path:
    return make_data(tmp_path / "data")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    recipe = make_data(tmp_path_factory.mktemp("finished") / "data")
    passed(run(recipe, "train.keep=2"))
    return only_run(recipe)


@pytest.fixture
def cut(finished, tmp_path) -> Path:
    """A run that was killed before it was measured."""
    copy = shutil.copytree(finished, tmp_path / "cut")
    for name in ("results.json", "seed-0/results.json"):
        (copy / name).unlink()
    return copy


def newest(run: Path) -> Path:
    return checkpoint.checkpoints(run / "seed-0" / "checkpoints")[-1]


@pytest.mark.parametrize("call_number", [1, 3, 5, 7, 11, 15, 20, 24])
def test_a_full_disk_at_any_write_ends_with_one_line_and_resumes(
    recipe, finished, monkeypatch, call_number
):
    real, calls = os.fsync, 0

    def full(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call_number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    result = run(recipe, "--check", "quick")
    monkeypatch.undo()
    assert "No space left on device" in failed(result)
    assert hint(result).startswith("free at least")
    if call_number < 7:  # the run's folder itself could not be made: nothing to go on from
        assert not list((recipe.parent.parent / "runs").glob("*/*/run.json"))
        return
    _, _, command = hint(result).partition("varkit ")
    passed(call(*command.split()))
    ours, theirs = (read(run / "results.json")["seeds"] for run in (only_run(recipe), finished))
    assert ours == theirs
    assert not list(only_run(recipe).rglob(".*.part"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("when", ["step", "validation"])
def test_a_signal_ends_with_a_command_that_goes_on(
    recipe, finished, monkeypatch, number, code, when
):
    write, sent = MetricsLog.write, []

    def interrupt(self, record):
        write(self, record)
        # During the last validation no training step is left to stop at, only the measuring.
        if not sent and record["kind"] == when and (when == "step" or record["epoch"] == 2):
            sent.append(record)
            os.kill(os.getpid(), number)

    monkeypatch.setattr(MetricsLog, "write", interrupt)
    result = run(recipe)
    monkeypatch.undo()
    assert "saved" in failed(result, code)
    assert hint(result) == f"varkit resume {only_run(recipe)}"
    passed(call("resume", only_run(recipe)))
    ours, theirs = (read(run / "results.json")["seeds"] for run in (only_run(recipe), finished))
    assert ours == theirs


@pytest.mark.parametrize("damage", ["flip", "truncate"])
def test_a_damaged_checkpoint_is_refused_and_the_one_before_serves(cut, finished, damage):
    file = newest(cut)
    data = bytearray(file.read_bytes())
    data[-5] ^= 1
    file.write_bytes(data if damage == "flip" else data[: len(data) // 2])
    result = call("resume", cut)
    assert str(file) in failed(result)
    assert hint(result).startswith(f"rm {file}")
    file.unlink()
    passed(call("resume", cut))
    ours, theirs = (
        load(folder / "seed-0" / "models" / "last.safetensors")[0] for folder in (cut, finished)
    )
    assert all((ours[key] == theirs[key]).all() for key in theirs)


def test_a_checkpoint_of_another_recipe_is_refused(recipe, cut):
    passed(run(recipe, "train.lr=0.5", "train.keep=2"))
    shutil.rmtree(cut / "seed-0" / "checkpoints")
    shutil.copytree(newest(only_run(recipe)).parent, cut / "seed-0" / "checkpoints")
    assert "belongs to another recipe" in failed(call("resume", cut))


def test_trained_weights_that_are_damaged_or_gone(cut):
    weights = cut / "seed-0" / "models" / "last.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert f"checkpoint {weights}" in failed(call("eval", cut, "--checkpoint", "last"))
    weights.unlink()
    assert f"no checkpoint {weights}" in failed(call("eval", cut, "--checkpoint", "last"))


@pytest.mark.filterwarnings("default:.*measured again")
@pytest.mark.parametrize("damage", ["{", "[]", "chance", "best.SumR"])
def test_results_that_are_damaged_are_made_again(cut, finished, damage):
    done = cut / "seed-0" / "results.json"
    content = read(finished / "seed-0" / "results.json")
    if damage == "chance":
        del content["chance"]
    elif damage == "best.SumR":
        content["best"]["SumR"] = "high"
    done.write_text(damage if damage in "{[]" else json.dumps(content))
    said = passed(call("resume", cut)).stderr
    assert said.count(f"{done} is damaged") == said.count("measured again") == 1
    assert (cut / "results.json").read_text() == (finished / "results.json").read_text()


def test_a_selected_model_that_is_gone_is_not_replaced_by_the_last(finished, tmp_path):
    run = shutil.copytree(finished, tmp_path / "run")
    selected = run / "seed-0" / "models" / "best.safetensors"
    passed(call("eval", run))
    selected.unlink()
    for command in (("eval", run), ("embeddings", "export", run, tmp_path / "a.npz")):
        assert str(selected) in failed(call(*command))
    passed(call("eval", run, "--checkpoint", "last"))


def test_a_run_whose_provenance_or_recipe_is_damaged_or_gone(cut):
    before = (cut / "run.json").read_text()
    for change, key in (
        ({"schema": 2}, "schema"),
        ({"seeds": "0"}, "seeds"),
        ({"seeds": [0, "1"]}, "seeds.1"),
        ({"embedded": "no"}, "embedded"),
        ({"threads": None}, "threads"),
        ({"code": ["a"]}, "code"),
        ({"measured_from": {"run": 3}}, "measured_from.run"),
    ):
        (cut / "run.json").write_text(json.dumps(json.loads(before) | change))
        for verb in ("resume", "eval", "report", "compare")[: 2 if key == "threads" else None]:
            said = failed(call(verb, cut))
            assert f"run.json is damaged, or of another version of varkit: {key}: " in said
    for content in ("{", "[]", '{"schema": 1}', ""):
        (cut / "run.json").write_text(content)
        for verb in ("resume", "eval", "report", "compare"):
            assert "run.json is damaged" in failed(call(verb, cut))
    (cut / "run.json").write_text(before)
    for name in ("recipe.yaml", "run.json"):
        (cut / name).unlink()
        said = failed(call("resume", cut))
        assert f"is not a run: it has no {name}" in said
        assert f"mean '{cut}'" not in said


def test_a_log_goes_on_with_whole_lines_after_a_lost_end_and_a_damaged_line_is_named(cut):
    log = cut / "seed-0" / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    passed(call("report", cut))  # as while the last line is being written
    passed(call("resume", cut))
    assert all(log_of(cut))
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text("".join([first[:20] + "\n", *rest]))
    assert "metrics.jsonl, line 1, is damaged" in failed(call("report", cut))


def test_a_split_or_seed_that_the_run_has_not(finished):
    assert "no split 'tset'; it has test, train" in failed(call("eval", finished, "--split=tset"))
    assert "has no seed 7; it has [0]" in failed(call("eval", finished, "--seed=7"))


def test_a_second_process_cannot_write_to_a_run(tmp_path):
    script = (
        "import sys; from pathlib import Path; from varkit.runs.folder import locked\n"
        "with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(RunError, match=f"is in use by process {first.pid}"), locked(tmp_path):
            pass
        first.kill()  # the system releases the lock, however the process ends
    with locked(tmp_path):
        pass
