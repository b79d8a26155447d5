"""Every recipe that ships with varkit trains, stops, resumes, is measured and loads again."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch

from varkit import checkpoint
from varkit.build import build_dataset
from varkit.errors import StoppedError
from varkit.experiment import run_experiment
from varkit.recipe import load_recipe
from varkit.runs import create_run, load_model, open_run
from varkit.signals import StopRequest

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.yaml"))
# One that reads a folder of one's own has no embedded block: tests/test_msrvtt.py runs it.
EMBEDDED = [path for path in RECIPES if "\nembedded:" in path.read_text(encoding="utf-8")]
TINY = (
    "data.size=small",
    "data.width=24",
    "model.dim=24",
    "train.epochs=1",
    "train.batch_size=8",
    "train.checkpoint_steps=1",
)


class AfterSteps(StopRequest):
    """Asks for a stop once so many training steps are done."""

    def __init__(self, steps: float) -> None:
        self.left = steps

    def __bool__(self) -> bool:
        self.left -= 1
        return self.left < 0


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")  # simulated data are written once, below it


def start(recipe, out):
    resolved, plugins = load_recipe(recipe, TINY)
    dataset = build_dataset(resolved, plugins)
    return create_run(
        resolved,
        plugins,
        dataset,
        out=out,
        command=["varkit", "run", str(recipe)],
        started=datetime.now(UTC),
        device="cpu",
        threads=1,
    ), dataset


def weights(run):
    return checkpoint.load(run.seed_folder(0) / "models" / "last.safetensors", hint="")[0]


def test_most_recipes_run_without_the_benchmarks():
    assert len(EMBEDDED) >= len(RECIPES) - 1 > 3


@pytest.mark.parametrize("recipe", EMBEDDED, ids=lambda path: path.stem)
def test_it_trains_resumes_is_measured_and_loads(recipe, tmp_path, home, monkeypatch):
    monkeypatch.chdir(home)
    cpu = torch.device("cpu")
    whole, dataset = start(recipe, tmp_path / "whole")
    run_experiment(whole, dataset, device=cpu)

    stopped, _ = start(recipe, tmp_path / "stopped")
    with pytest.raises(StoppedError):
        run_experiment(stopped, dataset, device=cpu, stop=AfterSteps(1))
    results = run_experiment(open_run(stopped.folder), dataset, device=cpu)

    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(stopped)[name]), name
    (found,) = results["seeds"].values()
    assert math.isfinite(found["last"]["SumR"])
    assert found["simulated"]

    model, _, loaded = load_model(stopped.folder, which="last")
    assert loaded.name == recipe.stem
    assert not model.pretexts
