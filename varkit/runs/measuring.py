"""Measures trained models: after training, or again under changes that need no training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from varkit.errors import RecipeError, RunError, did_you_mean
from varkit.evaluation.encoding import Progress
from varkit.evaluation.evaluate import evaluate, save
from varkit.evaluation.examples import examples
from varkit.evaluation.metrics import Report, chance
from varkit.evaluation.results import (
    RunResults,
    TrainingResults,
    summarize_seeds,
    training_results,
)
from varkit.interfaces import Dataset
from varkit.interfaces.settings import Measured, Which
from varkit.plugins.loading import Plugins
from varkit.recipe.layers import Change, read_changes
from varkit.recipe.load import Recipe, changed_recipe
from varkit.runs.code import both
from varkit.runs.data import open_data
from varkit.runs.folder import Run, recipe_provenance
from varkit.runs.trained import open_model
from varkit.system.files import write_json, write_text
from varkit.system.records import read_json

MEASURABLE = ("data", "samplers", "alignments", "eval")
"""Sections of a recipe that may change for a trained model, though its weights may not fit."""


def measure_training(
    run: Run,
    seed: int,
    *,
    which: Which | None = None,
    recipe: Recipe | None = None,
    dataset: Dataset,
    split: str = "test",
    device: torch.device,
    folder: Path | None,
    progress: Progress | None = None,
) -> TrainingResults:
    """Measure the models of one training.

    Args:
        run: of the training.
        seed: of the training.
        which: only this model; None = the last, and that of the selected epoch if there is one.
        recipe: measure them under this recipe instead of the run's own.
        dataset: of the recipe.
        split: part of the data set.
        device: where to compute.
        folder: gets ``results.json``, ``examples.json``, ``ranks/`` and ``trec/``; None = nothing
            is written.
        progress: called with the progress for each model.

    Raises:
        RunError: the run has no such training.
        CheckpointError: the weights are damaged, or do not fit the recipe.
        DataError: the split does not exist, or an embedding is not finite.
        WriteError: the disk is full or not writable.
    """
    recipe = recipe or run.recipe
    items = dataset.split(split)
    models: tuple[Which, ...] = ("last", "best") if run.reported(seed) == "best" else ("last",)
    reports: dict[Measured, Report] = {}
    for each in models if which is None else (which,):
        trained = open_model(run, seed=seed, which=each, recipe=recipe, dataset=dataset)
        measured = evaluate(
            trained.model.to(device),
            dataset,
            items,
            options=recipe.eval,
            device=device,
            progress=progress,
        )
        shown = examples(measured, dataset)  # before anything is written
        report = save(measured, dataset, folder, each, trec_depth=recipe.eval.trec_depth)
        reports[each] = {"epoch": trained.epoch, **report}
    results = training_results(
        reports,
        dataset=dataset.name,
        simulated=dataset.simulated,
        selection=recipe.train.select,
        chance=chance(measured.positives),
    )
    if folder is not None:
        write_json(folder / "examples.json", shown)
        write_json(folder / "results.json", results)
    return results


def measure_again(
    run: Run,
    changes: Sequence[str | Change] = (),
    *,
    seed: int | None = None,
    which: Which | None = None,
    split: str = "test",
    device: torch.device,
    out: Path | None = None,
    command: Sequence[str] = (),
) -> RunResults:
    """Measure the trained models of a run again; nothing in the run changes.

    Args:
        run: of the trainings.
        changes: ``dotted.key=value``, or changes that know their place, of the sections
            :data:`MEASURABLE`.
        seed: only this training; None = all with ``out``, otherwise the run's first.
        which: only this model of a training; None = with ``out`` the last and the selected,
            otherwise the selected, if there is one.
        split: part of the data set.
        device: where to compute.
        out: folder that gets the measurement as a run of its own, replacing an earlier one; None =
            nothing is written.
        command: for ``run.json``.

    Returns:
        The content of ``results.json``.

    Raises:
        RecipeError: a change needs training, or does not fit the recipe.
        RunError: the run has no such training, or ``out`` holds a run that trained.
        CheckpointError: as in :func:`measure_training`; so are the other errors.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    recipe = measured_recipe(run.recipe, run.plugins, changes)
    run.check_trainings()
    if seed is not None:
        run.check_seed(seed)
    dataset = open_data(run, recipe)
    if out is None:
        seed = run.recipe.train.seeds[0] if seed is None else seed
        which = which or run.reported(seed)
    else:
        _clear(out)
    trainings = {
        each: measure_training(
            run,
            each,
            which=which,
            recipe=recipe,
            dataset=dataset,
            split=split,
            device=device,
            folder=None if out is None else out / f"seed-{each}",
        )
        for each in (recipe.train.seeds if seed is None else (seed,))
    }
    results = summarize_seeds(trainings, split=split)
    if out is None:
        return results
    facts = recipe_provenance(
        recipe,
        run.plugins,
        dataset,
        out,
        seeds=list(trainings),
        command=command,
        started=started,
        device=str(device),
        threads=torch.get_num_threads(),
    )
    facts["code"] = both(run.facts.get("code"), facts["code"])
    facts["measured_from"] = {
        "run": str(run.folder),
        "changes": [change.text for change in read_changes(changes)],
        "recipe_differs": recipe.digest() != run.facts["digest"],
        "data_differs": dataset.fingerprint() != run.facts["fingerprint"],
        "dataset": run.facts["dataset"],
        "weights": run.weights(),
        "seconds": time.perf_counter() - clock,
    }
    write_text(out / "recipe.yaml", recipe.to_yaml())
    write_json(out / "results.json", results)
    write_json(out / "run.json", facts)  # the last: without it the folder is not a run
    return results


def measured_recipe(recipe: Recipe, plugins: Plugins, overrides: Sequence[str | Change]) -> Recipe:
    """Return a recipe with changes that need no training.

    Raises:
        RecipeError: everything that is wrong with the changes.
    """
    changes = read_changes(overrides)
    fixed = [
        change.problem(
            f"cannot change without training again.{did_you_mean(change.path[0], MEASURABLE)} "
            f"Allowed: {', '.join(MEASURABLE)}."
        )
        for change in changes
        if change.path[0] not in MEASURABLE
    ]
    if fixed:
        raise RecipeError(fixed, hint="varkit run trains under any change")
    return changed_recipe(recipe, plugins, changes) if changes else recipe


def _clear(out: Path) -> None:
    """Prepare a folder for writing; an earlier measurement in it stops being a run.

    Raises:
        RunError: it holds a run that was not measured from another.
    """
    facts = out / "run.json"
    if facts.exists():
        if "measured_from" not in read_json(facts, dict[str, Any]):
            raise RunError(f"{out} holds a training", hint="name another folder for --out")
        facts.unlink()  # so that an incomplete measurement does not look like the earlier one
