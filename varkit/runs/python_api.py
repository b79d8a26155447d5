"""Training, measuring and opening data from Python, like the verbs of the command line."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from varkit.data.inspect.check import Depth, check_data
from varkit.evaluation.results import RunResults
from varkit.interfaces import Dataset
from varkit.interfaces.settings import Which
from varkit.model.build import build_dataset, prepare_dataset
from varkit.recipe.layers import changes_of
from varkit.recipe.load import load_recipe
from varkit.recipe.target import find_target
from varkit.runs.experiment import run_experiment
from varkit.runs.folder import Run, create_run, locked, open_run
from varkit.runs.measuring import measure_again
from varkit.runs.rehearsal import check_training
from varkit.training.log import Listener


def train(
    recipe: str | Path,
    *,
    out: str | Path = "runs",
    device: torch.device | str = "cpu",
    strict: bool = False,
    check: Depth = "full",
    listen: Callable[[int], Listener] | None = None,
    **overrides: Any,
) -> Run:
    """Train and measure a recipe, with as many threads as torch has now.

    Args:
        recipe: a file, or the name of a recipe that ships with varkit.
        out: gets ``<recipe>/<time>-<id>/``.
        device: where to compute.
        strict: refuse to use the embedded block.
        check: of the data before training: ``"full"`` reads every number, once for the same files,
            ``"quick"`` only headers.
        listen: seed -> listener for the records of its training.
        overrides: sections, as in ``train={"epochs": 3}``, which merge like blocks of a recipe, or
            keys with dots, as in ``**{"samplers.fixed.count": 24}``.

    Returns:
        The finished run; ``run.facts["embedded"]`` says whether the embedded block was used.

    Raises:
        RecipeError: everything that is wrong with the recipe and the overrides, or missing here.
        DataError: the data set is missing or faulty, or changed while the run trained.
        RunError: the loss is not finite, or the disk is full.
    """
    changes = changes_of(overrides, "varkit.train")
    resolved, plugins = load_recipe(recipe, changes, strict=strict)
    prepare_dataset(resolved, plugins)
    dataset = build_dataset(resolved, plugins)
    check_training(resolved, plugins, dataset)
    checked = check_data(dataset, check, workers=resolved.train.workers)
    run = create_run(
        resolved,
        plugins,
        dataset,
        checked,
        out=Path(out),
        command=["varkit", "run", str(recipe), *(change.text for change in changes)],
        started=datetime.now(UTC),
        device=str(device),
        threads=torch.get_num_threads(),
    )
    with locked(run.folder):
        run_experiment(run, dataset, checked, device=torch.device(device), listen=listen)
    return run


def evaluate(
    run: Run | str | Path,
    *,
    seed: int | None = None,
    which: Which | None = None,
    split: str = "test",
    accept_code: bool = False,
    device: torch.device | str = "cpu",
    **overrides: Any,
) -> RunResults:
    """Measure a trained model of a run again; nothing is written.

    Args:
        run: an opened run, or its folder.
        seed: of the training; None = the run's first.
        which: ``"best"`` or ``"last"``; None = of the selected epoch, where one was selected.
        split: part of the data set.
        accept_code: open the run even if the code that made it has changed since.
        device: where to compute.
        overrides: of the sections ``data``, ``samplers``, ``alignments`` and ``eval``, as in
            :func:`train`.

    Returns:
        The same as ``results.json`` of a run with only this model: recalls in percent.

    Raises:
        RecipeError: an override needs training, or does not fit the recipe.
        RunError: the folder is not a run, other code made it, or it has no such training.
        CheckpointError: the weights are damaged, or do not fit the recipe.
        DataError: the split does not exist, or the data set is faulty.
    """
    opened = run if isinstance(run, Run) else open_run(run, accept_code=accept_code)
    changes = changes_of(overrides, "varkit.evaluate")
    place = torch.device(device)
    return measure_again(opened, changes, seed=seed, which=which, split=split, device=place)


def open_dataset(name: str | Path, *, strict: bool = False, **options: Any) -> Dataset:
    """Open a data set.

    Args:
        name: a registered data set, or a recipe, whose data set is opened.
        strict: open a recipe's own data set, never that of its embedded block.
        options: of a data set, as in ``open_dataset("folder", root="data/mine", ...)``; for a
            recipe, overrides as in :func:`train`.

    Raises:
        RecipeError: the recipe or data set does not exist, or an option is wrong.
        DataError: the data are missing or faulty.
    """
    return find_target(str(name), changes_of(options, "varkit.open_dataset"), strict=strict).build()
