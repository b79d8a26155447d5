"""Every recipe that ships with varkit trains, stops, resumes, is measured, loads and exports."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.calls import call
from tests.support.reference.retrieval_metrics import by_id, ranks
from tests.support.tiny_runs import ranks_of
from varkit.data.inspect.check import check_data
from varkit.errors import StoppedError
from varkit.model.build import build_dataset
from varkit.recipe.load import load_recipe
from varkit.recipe.shipped import shipped_recipes
from varkit.runs.experiment import run_experiment
from varkit.runs.folder import create_run, open_run
from varkit.runs.trained import open_model
from varkit.system.signals import StopRequest
from varkit.system.tensors import load

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted(shipped_recipes().values())  # without search recipes, which train nothing
# The one that reads a folder has no embedded block: tests/datasets/test_msrvtt.py runs it.
EMBEDDED = [path for path in RECIPES if "\nembedded:" in path.read_text(encoding="utf-8")]
assert len(EMBEDDED) >= len(RECIPES) - 1 > 3
DENSE = ("varcmp_ucf", "varcmp_xd", "x_clip_ucf", "x_clip_xd", "xml_ucf", "xml_xd")
"""Their similarity is not an inner product, so it is exported itself."""
TINY = (
    *("data.size=small", "data.width=24", "model.dim=24", "train.epochs=1"),
    *("train.batch_size=8", "train.checkpoint_steps=1"),
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
    how = {"command": ["varkit", "run", str(recipe)], "device": "cpu", "threads": 1}
    check = check_data(dataset, "quick")
    run = create_run(resolved, plugins, dataset, check, out=out, started=datetime.now(UTC), **how)
    return run, dataset, check


def weights(run):
    return load(run.seed_folder(0) / "models" / "last.safetensors", hint="")[0]


def exported_ranks(found, items):
    """Rank by the scores of a file, one query and one video after another."""
    if "similarity" in found:
        scores = found["similarity"]
    else:
        scores = (found["videos"].astype("f8") @ found["queries"].astype("f8").T).astype("f4")
    videos, queries = found["video_ids"].tolist(), found["query_ids"].tolist()
    assert videos == [item.video for item in items]
    assert queries == [query for item in items for query in item.queries]
    owner = [v for v, item in enumerate(items) for _ in item.queries]
    return by_id(queries, videos, *ranks(scores, owner))


@pytest.mark.parametrize("recipe", EMBEDDED, ids=lambda path: path.stem)
def test_it_trains_resumes_is_measured_loads_and_exports(recipe, tmp_path, home, monkeypatch):
    monkeypatch.chdir(home)
    cpu = torch.device("cpu")
    whole, *data = start(recipe, tmp_path / "whole")
    run_experiment(whole, *data, device=cpu)

    stopped, *_ = start(recipe, tmp_path / "stopped")
    with pytest.raises(StoppedError):
        run_experiment(stopped, *data, device=cpu, stop=AfterSteps(1))
    results = run_experiment(open_run(stopped.folder), *data, device=cpu)

    for name, tensor in weights(whole).items():
        assert torch.equal(tensor, weights(stopped)[name]), name
    (found,) = results["seeds"].values()
    assert math.isfinite(found["last"]["SumR"])
    assert found["simulated"]

    trained = open_model(str(stopped.folder), which="last")
    assert trained.recipe.name == recipe.stem
    assert not trained.model.pretexts

    file = tmp_path / "export.npz"
    threads = ("--device", "cpu", "--threads", torch.get_num_threads())
    result = call("embeddings", "export", stopped.folder, file, "--checkpoint", "last", *threads)
    assert "(simulated data)" in result.stdout
    assert exported_ranks(np.load(file), data[0].split("test")) == ranks_of(stopped.folder)
