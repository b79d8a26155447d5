"""Bad input through the command line: one line that says what, where and why; nothing is lost."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import psutil
import pytest
from click.testing import CliRunner, Result

from varkit import checkpoint
from varkit.cli import main

RECIPE = """\
# ALAN in a few numbers, on a folder of one's own.
version: 1
plugins: [parts.py]
data: {{use: folder, root: {root}, query: audio, streams: {{object: rgb}}}}
model: {{dim: 8, experts: [object]}}
samplers:
  fixed: {{use: fixed_frame, count: 4}}
  anomaly: {{use: anomaly_led, count: 4}}
detector: {{use: temporal_convolution, hidden: [6, 4]}}
video: {{use: two_stream, heads: 2}}
query: {{use: audio, heads: 2, gate_norm: layer}}
alignments:
  cls: {{use: cls, weight: 0.5}}
  avg: {{use: avg, weight: 0.5}}
objective: {{use: margin_ranking}}
train: {{epochs: 2, batch_size: 4, lr: 1.0e-2, checkpoint_steps: 1}}
"""
PARTS = """\
import torch
from torch import nn

from varkit import hookimpl
from varkit.interfaces import Item, Sequences


class Early:
    def __init__(self, *, fault: str = ""):
        self.fault = fault

    def __call__(self, scores, mask, draws, *, training):
        picks = torch.zeros(len(mask), 3, dtype=torch.int64)
        if self.fault == "flat":
            return picks[:, 0]
        if self.fault == "behind":
            return picks + 1000
        return picks[:1] if self.fault == "measured" and not training else picks


class Steep(nn.Module):
    def __init__(self, width: int, *, fault: str = ""):
        super().__init__()
        self.linear = nn.Linear(width, 1)
        self.fault = fault

    def forward(self, features, mask):
        scores = self.linear(features).sigmoid().squeeze(-1) * mask
        return scores[..., None] if self.fault == "deep" else scores

    def loss(self, scores, mask, label):
        return scores.mean(1) if self.fault == "loss" else scores.mean()


class Near:
    def __init__(self, *, fault: str = ""):
        self.fault = fault

    def similarity(self, video, query):
        return (video.vectors["cls"].flatten(1) @ query.vectors["cls"].flatten(1).T)[
            : 1 if self.fault == "row" else None
        ]

    def factors(self, representation, side):
        found = representation.vectors["cls"]
        if self.fault == "row":
            return None
        if self.fault == "deep":
            return found
        return found.flatten(1)[:, : 3 if (side, self.fault) == ("query", "short") else None]


class Half:
    def similarity(self, video, query):
        return None


@hookimpl
def register_samplers(register):
    register("early", Early, summary="the first clip")


@hookimpl
def register_detectors(register):
    register("steep", Steep, summary="a linear function")


@hookimpl
def register_alignments(register):
    register("near", Near, summary="an inner product")
    register("half", Half, summary="half of an alignment")
    register("leaves", "leaves_at_once:Class", summary="its module ends the program")
"""


def make_data(
    folder: Path, *, train: tuple[int, ...] = (5, 9, 20, 3, 7, 16), test: tuple[int, ...] = (5, 30)
) -> Path:
    """Write videos of these lengths, a sound each, a manifest and a recipe; return the recipe."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True)
    rows = ["video,split,audio,label,rgb"]
    for split, lengths in (("train", train), ("test", test)):
        for i, length in enumerate(lengths):
            video = f"{split}{i}"
            for name, shape in ((video, (length, 6)), (f"{video}-sound", (2 + i, 3))):
                np.save(folder / f"{name}.npy", random.standard_normal(shape).astype(np.float32))
            rows.append(f"{video},{split},{video}-sound.npy,{i % 2},{video}.npy")
    (folder / "manifest.csv").write_text("\n".join(rows))
    (folder / "parts.py").write_text(PARTS)
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE.format(root=folder))
    return recipe


@pytest.fixture
def recipe(tmp_path) -> Path:
    return make_data(tmp_path / "data")


def call(*arguments: object) -> Result:
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    return result


def run(recipe: Path, *arguments: object, out: Path | None = None) -> Result:
    out = recipe.parent.parent / "runs" if out is None else out
    return call("run", recipe, *arguments, "--out", out, "--threads", 1)


def failed(result: Result, code: int = 1) -> str:
    """Return the one line that says what failed, after a look at the exit code."""
    assert result.exit_code == code, result.output
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, result.stderr
    assert "  cause: " not in result.stderr
    return lines[0]


def hint(result: Result) -> str:
    (line,) = (line for line in result.stderr.splitlines() if line.startswith("hint: "))
    return line.removeprefix("hint: ")


def only_run(recipe: Path) -> Path:
    (found,) = (recipe.parent.parent / "runs").glob("*/*/run.json")
    return found.parent


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    recipe = make_data(tmp_path_factory.mktemp("finished") / "data")
    assert run(recipe).exit_code == 0
    return only_run(recipe)


@pytest.fixture
def cut(finished, tmp_path) -> Path:
    """A run that was killed before it was measured."""
    copy = tmp_path / "cut"
    shutil.copytree(finished, copy)
    for name in ("results.json", "seed-0/results.json"):
        (copy / name).unlink()
    return copy


def newest(run: Path) -> Path:
    return checkpoint.checkpoints(run / "seed-0" / "checkpoints")[-1]


# Recipes and places


def test_a_recipe_that_is_a_folder(recipe):
    assert failed(run(recipe.parent, out=recipe.parent), 2).endswith("data: not a file")


def test_every_wrong_key_name_and_type_at_once(recipe):
    wrong = ("train.epoch=3", "objective.use=margin_rankin", "train.lr=fast", "modle.dim=3")
    result = run(recipe, *wrong)
    assert failed(result, 2) == "error: 4 problems"
    for said in ("Did you mean 'epochs'?", "Did you mean 'margin_ranking'?", "a number above 0"):
        assert said in result.stderr
    assert "Did you mean 'model'?" in result.stderr
    assert not (recipe.parent.parent / "runs").exists()


def test_an_out_folder_that_cannot_be_written(recipe, tmp_path):
    assert run(recipe, out=recipe).exit_code == 2  # click: it is a file
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "tiny").write_text("a file where the recipe's folder goes")
    result = run(recipe, out=tmp_path / "blocked")
    assert "Not a directory" in failed(result)
    assert hint(result).startswith("make ")


def test_runs_started_in_the_same_second_do_not_meet(recipe):
    for seed in (0, 1):
        assert run(recipe, f"train.seeds=[{seed}]", "train.epochs=1").exit_code == 0
    found = list((recipe.parent.parent / "runs").glob("*/*/results.json"))
    assert len(found) == 2


def test_missing_data_say_where_to_put_them(recipe, tmp_path):
    result = run(recipe, f"data.root={tmp_path / 'nowhere'}")
    assert "nowhere/manifest.csv: put the data there, or set data.root" in failed(result, 2)


def test_without_spacy_and_hub_every_way_out_is_named(tmp_path, monkeypatch):
    real = importlib.util.find_spec

    def find(name, package=None):
        return None if name.startswith("en_core_web") else real(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", find)
    strict = call("run", "alan_ucf", "--strict", "--out", tmp_path)
    assert failed(strict, 2) == "error: 3 problems"
    for said in ("put the data there", "hf download google-bert", "spacy download en_core_web_sm"):
        assert said in strict.stderr
    result = call("run", "alan_ucf", "--out", tmp_path)
    assert "python -m spacy download en_core_web_sm" in failed(result, 2)
    assert hint(result) == "its embedded block needs it"


# Plugins


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("samplers.anomaly={use: early, fault: flat}", r"anomaly.*\(4, N\).*\(4,\)"),
        ("samplers.anomaly={use: early, fault: behind}", "anomaly.* not in the video"),
        ("samplers.anomaly={use: early, fault: measured}", r"anomaly.*\(\d, N\).*\(1, 3\)"),
        ("detector={use: steep, fault: deep}", r"detector: confidence .*\(4, \d+, 1\)"),
        ("detector={use: steep, fault: loss}", r"loss detector .*\(\); it is shape \(4,\)"),
        ("alignments.cls={use: near, fault: deep}", r"alignments\.cls: video factors .*\(4, K\)"),
        ("alignments.cls={use: near, fault: short}", r"query factors .*\(4, 16\).*\(4, 11\)"),
        (
            "alignments.cls={use: near, fault: row}",
            r"alignments\.cls: similarity .*\(4, 4\).*\(1, 4\)",
        ),
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
        ("import math\n\nmath.sqrt(-1)\n", r"ValueError: .* \(line 3\)"),
        ("def f(:\n", r"SyntaxError: invalid syntax \(parts.py, line 1\)"),
        ("import sys\nsys.exit(0)\n", r"SystemExit: 0 \(line 2\)"),
        ("import no_such_module\n", r"No module named 'no_such_module' \(line 1\)"),
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
    assert "cannot import 'leaves_at_once:Class'" in failed(
        run(recipe, "alignments.cls={use: leaves}"), 2
    )


def test_a_plugin_file_that_changed_is_not_resumed_with(recipe):
    assert run(recipe, "train.epochs=1").exit_code == 0
    (recipe.parent / "parts.py").write_text(PARTS + "\n# another version\n")
    result = call("resume", only_run(recipe))
    assert "parts.py has changed since the run began" in failed(result)


# Data


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"not numpy", "cannot be read"),
        ("truncated", "is truncated: its header promises shape (20, 6)"),
        (np.array([{"a": 1}], dtype=object), "holds Python objects, not numbers"),
        (np.full((20, 6), np.nan, np.float32), "clip 0 holds NaN or infinity"),
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
    message = failed(run(recipe))
    assert f"video 'train2', stream 'object': {file} {said}" in message


def test_a_missing_feature_file_is_found_before_anything_runs(recipe):
    (recipe.parent / "train2.npy").unlink()
    result = run(recipe)
    assert "manifest.csv has 1 fault" in failed(result)
    assert "video 'train2': there is no file" in result.stderr
    assert not (recipe.parent.parent / "runs").exists()


def test_nan_in_the_middle_of_a_training_keeps_what_was_done(recipe):
    # The file spoils between two epochs, as on a failing disk; its size and time stay.
    file = recipe.parent / "train2.npy"
    good, status = file.read_bytes(), file.stat()
    run(recipe, "train.epochs=1")
    spoilt = np.load(file)
    spoilt[7] = np.nan
    shutil.rmtree(recipe.parent.parent / "runs")
    from varkit.metrics_log import MetricsLog

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
    assert call("resume", only_run(recipe)).exit_code == 0


def test_a_data_set_without_a_test_split(tmp_path):
    recipe = make_data(tmp_path / "data", test=())
    assert "has no split 'test'; it has train" in failed(run(recipe))


def test_a_single_video_can_be_trained_and_measured(tmp_path):
    recipe = make_data(tmp_path / "data", train=(5,), test=(1,))
    result = run(recipe)
    assert result.exit_code == 0, result.output
    assert "n = 1 queries" in result.stdout
    said = call("eval", only_run(recipe))
    assert said.exit_code == 0, said.output


def test_a_batch_of_one_under_batch_normalisation_says_what_to_set(tmp_path):
    recipe = make_data(tmp_path / "data", train=(5,))
    result = run(recipe, "query.gate_norm=batch")
    assert "cannot train on a batch of 1" in failed(result)
    assert "query.gate_norm=layer" in hint(result)


def test_a_batch_larger_than_the_data_is_all_of_them(recipe):
    assert run(recipe, "train.batch_size=1000").exit_code == 0
    log = (only_run(recipe) / "seed-0" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["kind"] for line in log] == ["step", "validation"] * 2


def test_videos_of_one_and_of_61_000_clips_in_bounded_memory(tmp_path, monkeypatch):
    recipe = make_data(tmp_path / "data", train=(1, 61_000, 15, 61_000), test=(61_000, 1, 16))
    from varkit.metrics_log import MetricsLog

    process, seen = psutil.Process(), []
    write = MetricsLog.write

    def weigh(self, record):
        seen.append(process.memory_info().rss)
        write(self, record)

    monkeypatch.setattr(MetricsLog, "write", weigh)
    before = process.memory_info().rss
    result = run(recipe, "train.epochs=1", "train.batch_size=2", "train.max_clips=64")
    assert result.exit_code == 0, result.output
    # Four such videos are 6 MB; a (T, T) matrix of one would be 15 GB.
    assert max(*seen, process.memory_info().rss) - before < 300e6


# Disk, signals and damage


@pytest.mark.parametrize("call_number", [1, 3, 5, 9, 13, 18, 22])
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
    result = run(recipe)
    monkeypatch.undo()
    assert "No space left on device" in failed(result)
    assert hint(result).startswith("free at least")
    if call_number < 5:  # the run's folder itself could not be made: nothing to go on from
        assert not list((recipe.parent.parent / "runs").glob("*/*/run.json"))
        return
    _, _, command = hint(result).partition("varkit ")
    assert call(*command.split()).exit_code == 0
    ours, theirs = (
        json.loads((folder / "results.json").read_text())["seeds"]
        for folder in (only_run(recipe), finished)
    )
    assert ours == theirs
    assert not list(only_run(recipe).rglob(".*.part"))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("when", ["step", "validation"])
def test_a_signal_ends_with_a_command_that_goes_on(
    recipe, finished, monkeypatch, number, code, when
):
    from varkit.metrics_log import MetricsLog

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
    assert call("resume", only_run(recipe)).exit_code == 0
    results = json.loads((only_run(recipe) / "results.json").read_text())
    assert results["seeds"] == json.loads((finished / "results.json").read_text())["seeds"]


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
    assert call("resume", cut).exit_code == 0
    ours, theirs = (
        checkpoint.load(folder / "seed-0" / "models" / "last.safetensors")[0]
        for folder in (cut, finished)
    )
    assert all((ours[key] == theirs[key]).all() for key in theirs)


def test_a_checkpoint_of_another_recipe_is_refused(recipe, cut):
    assert run(recipe, "train.lr=0.5").exit_code == 0
    shutil.rmtree(cut / "seed-0" / "checkpoints")
    shutil.copytree(newest(only_run(recipe)).parent, cut / "seed-0" / "checkpoints")
    assert "belongs to another recipe" in failed(call("resume", cut))


def test_trained_weights_that_are_damaged_or_gone(cut):
    weights = cut / "seed-0" / "models" / "last.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert f"checkpoint {weights}" in failed(call("eval", cut, "--checkpoint", "last"))
    weights.unlink()
    assert f"no checkpoint {weights}" in failed(call("eval", cut, "--checkpoint", "last"))


def test_results_that_are_damaged_can_be_made_again(cut, finished):
    done = cut / "seed-0" / "results.json"
    done.write_text("{")
    result = call("resume", cut)
    assert f"{done} is damaged" in failed(result)
    assert hint(result).startswith(f"rm {done}")
    done.unlink()
    assert call("resume", cut).exit_code == 0
    assert (cut / "results.json").read_text() == (finished / "results.json").read_text()


@pytest.mark.parametrize("name", ["run.json", "recipe.yaml"])
def test_a_run_without_one_of_its_files(cut, name):
    (cut / name).unlink()
    assert f"is no run: it has no {name}" in failed(call("resume", cut))


@pytest.mark.parametrize("content", ["{", "[]", '{"schema": 2}'])
def test_a_run_whose_provenance_is_damaged(cut, content):
    (cut / "run.json").write_text(content)
    assert "run.json is damaged" in failed(call("resume", cut))


def test_a_log_that_lost_its_end_is_shown_and_goes_on_with_whole_lines(cut):
    log = cut / "seed-0" / "metrics.jsonl"
    log.write_bytes(log.read_bytes()[:-20])
    assert call("report", cut).exit_code == 0  # as while the last line is being written
    assert call("resume", cut).exit_code == 0
    assert all(json.loads(line) for line in log.read_text().splitlines())


def test_a_log_that_is_damaged_names_the_line(cut):
    log = cut / "seed-0" / "metrics.jsonl"
    first, *rest = log.read_text().splitlines(keepends=True)
    log.write_text("".join([first[:20] + "\n", *rest]))
    assert "metrics.jsonl is damaged in line 1" in failed(call("report", cut))


def test_a_split_or_seed_that_the_run_has_not(finished):
    assert "no split 'tset'; it has test, train" in failed(call("eval", finished, "--split=tset"))
    assert "has no seed 7; it has [0]" in failed(call("eval", finished, "--seed=7"))
