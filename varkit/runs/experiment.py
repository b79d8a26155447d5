"""Trains and measures every seed of a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from varkit.data.batches import carve_validation, remember_captions
from varkit.data.inspect.check import Check
from varkit.data.positives import positives_of
from varkit.errors import DataError, RunError
from varkit.evaluation.results import RunResults, TrainingResults, summarize_seeds
from varkit.interfaces import Dataset, Item, derive_seed
from varkit.model.build import build_dataset, build_model
from varkit.recipe.load import Recipe
from varkit.runs.captions import read_captions, told
from varkit.runs.code import both, code_of
from varkit.runs.folder import Run
from varkit.runs.measuring import measure_training
from varkit.runs.trained import identity
from varkit.system import distributed
from varkit.system.files import write_json
from varkit.system.records import read_json
from varkit.system.signals import StopRequest
from varkit.training.checkpoint import checkpoints, prune
from varkit.training.log import Listener
from varkit.training.loop import Trainer

SHOWN = 3
"""Most changed files that an error names."""


def run_experiment(
    run: Run,
    dataset: Dataset,
    check: Check | None,
    *,
    device: torch.device,
    listen: Callable[[int], Listener] | None = None,
    stop: StopRequest | None = None,
) -> RunResults:
    """Train and measure every seed that is not finished, and write the results.

    Args:
        run: a new run, or one to continue.
        dataset: the run's.
        check: of the data set; what changed since is recorded in ``run.json``. None on ranks other
            than 0.
        device: where to compute.
        listen: seed -> listener for the records of its training.
        stop: checked after every training step.

    Returns:
        The content of ``results.json``.

    Raises:
        DataError: features changed while the run trained. Everything is written.
    """
    evaluation = run.recipe.eval  # its faults are found before the training, not after it
    positives_of(dataset, dataset.split("test"), evaluation.positives, evaluation.qrels)
    seeds = {}
    for seed in run.recipe.train.seeds:
        results = _results(run, seed)
        if results is None:
            _record_code(run)
            if _checkpoints_left(run, seed) or not run.model_file(seed, "last").is_file():
                listener = listen(seed) if listen is not None else None
                _train(run, dataset, seed, device, listener, stop)
            if distributed.rank() == 0:
                _measure(run, dataset, seed, device, stop)
            distributed.barrier("rank 0, which measures the trained models")
            results = read_json(_results_file(run, seed), TrainingResults)
        if run.recipe.train.keep is None and distributed.rank() == 0:
            prune(_checkpoints(run, seed), 0)
        seeds[seed] = results
    summary = summarize_seeds(seeds)
    if distributed.rank() == 0:
        write_json(run.folder / "results.json", summary)
    if check is not None:
        _refuse_changes(run, dataset, check)
    return summary


def finished_results(run: Run) -> RunResults | None:
    """Return the results of a run of which nothing is left to do, or None.

    Nothing is written and the data are not opened.
    """
    seeds = run.recipe.train.seeds
    try:
        known = {s: read_json(_results_file(run, s), TrainingResults) for s in seeds}
        written = read_json(run.folder / "results.json", RunResults)
    except RunError:  # one is missing or damaged, and can be written again
        return None
    return written if written == summarize_seeds(known) else None


def _results_file(run: Run, seed: int) -> Path:
    return run.seed_folder(seed) / "results.json"


def _results(run: Run, seed: int) -> TrainingResults | None:
    """Return the results of a training; None if they must be measured."""
    file = _results_file(run, seed)
    if not file.is_file():
        return None
    try:
        return read_json(file, TrainingResults)
    except RunError as error:
        warnings.warn(f"{error.what}; the training is measured again", stacklevel=2)
        return None


def _refuse_changes(run: Run, dataset: Dataset, check: Check) -> None:
    """Record and refuse features that changed while the run trained."""
    try:
        if not hasattr(dataset, "files"):  # it may keep its fingerprint
            dataset = build_dataset(run.recipe, run.plugins)
        changed = check.changed(dataset)
    except DataError as error:
        changed = [error.what]
    if not changed:
        return
    run.record({"data_changed": changed})
    more = f" and {len(changed) - SHOWN:,} more" if len(changed) > SHOWN else ""
    raise DataError(
        f"{dataset.name} changed while {run.folder} trained, so its figures mix two states of the "
        f"data: {', '.join(changed[:SHOWN])}{more}",
        hint="train again with varkit run",
    )


def _checkpoints(run: Run, seed: int) -> Path:
    return run.seed_folder(seed) / "checkpoints"


def _checkpoints_left(run: Run, seed: int) -> bool:
    """Return whether a training can go on; one that has models but no checkpoints is complete."""
    return bool(checkpoints(_checkpoints(run, seed)))


def _record_code(run: Run) -> None:
    """Record in ``run.json`` that other code than the run's own continues it."""
    if run.other_code and distributed.rank() == 0:
        run.record({"code": both(run.facts.get("code"), code_of(run.recipe, run.plugins))})


def _record_captions(run: Run, encoder: object, dataset: Dataset, listen: Listener | None) -> None:
    """Record in ``run.json``, and tell, what the text encoder makes of the captions; only once."""
    if "captions" in run.facts or not (facts := read_captions(encoder, dataset)):
        return
    if distributed.rank() == 0:
        run.record({"captions": facts})
    if listen is not None:
        for line in told(facts):
            listen({"kind": "remark", "text": line})


def training_parts(recipe: Recipe, dataset: Dataset) -> tuple[list[Item], list[Item]]:
    """Return the videos to train on and those to select the best epoch on (``train.select``).

    The latter are the data set's ``val`` split if it has one, otherwise a held-out part of train.
    """
    train = list(dataset.split("train"))
    options = recipe.train
    if options.select == "test":
        return train, list(dataset.split("test"))
    if options.select == "last":
        return train, []
    try:
        return train, list(dataset.split("val"))
    except DataError:  # the data set has no such split
        # The same part for every seed, so that seeds differ only in training.
        return carve_validation(train, options.validation, seed=0)


def _train(
    run: Run,
    dataset: Dataset,
    seed: int,
    device: torch.device,
    listener: Listener | None,
    stop: StopRequest | None,
) -> None:
    recipe = run.recipe
    torch.manual_seed(derive_seed(seed, "weights"))
    model = build_model(recipe, run.plugins, dataset).to(device)
    _record_captions(run, model.query, dataset, listener)
    train_items, select_items = training_parts(recipe, dataset)
    trainer = Trainer(
        model,
        dataset,
        train_items,
        select_items,
        train=recipe.train,
        evaluation=replace(recipe.eval, qrels=None),  # they judge the split that is measured
        seed=seed,
        folder=run.seed_folder(seed),
        identity=identity(recipe, dataset, model),
        listener=listener,
        stop=stop,
    )

    def tell(done: int, total: int) -> None:
        if listener is not None:
            listener({"kind": "captions", "done": done, "of": total})
        if stop:
            raise stop.error("stopped while encoding captions", run.folder)

    # Whole splits, because other runs may hold out another part of the training videos.
    for items in (dataset.split("train"), select_items, dataset.split("test")):
        remember_captions(model.query, dataset, items, tell)
    trainer.run()


def _measure(
    run: Run, dataset: Dataset, seed: int, device: torch.device, stop: StopRequest | None
) -> None:
    """Measure the best and the last model of a training on the test split."""

    def pause(done: int, total: int) -> None:
        if stop:
            raise stop.error("stopped while measuring; the training is saved", run.folder)

    folder = run.seed_folder(seed)
    measure_training(run, seed, dataset=dataset, device=device, folder=folder, progress=pause)
