"""Trains and measures every seed of a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from varkit.data.batches import carve_validation, remember_captions
from varkit.data.positives import positives_of
from varkit.errors import DataError
from varkit.evaluation.results import RunResults, summarize_seeds
from varkit.interfaces import Dataset, Item, derive_seed
from varkit.model.build import build_model
from varkit.runs.captions import read_captions, told
from varkit.runs.code import both, code_of
from varkit.runs.folder import Run
from varkit.runs.measuring import measure_training
from varkit.runs.trained import identity
from varkit.system import distributed
from varkit.system.files import read_json, write_json
from varkit.system.signals import StopRequest
from varkit.training.log import Listener
from varkit.training.loop import Trainer


def run_experiment(
    run: Run,
    dataset: Dataset,
    *,
    device: torch.device,
    listen: Callable[[int], Listener] | None = None,
    stop: StopRequest | None = None,
) -> RunResults:
    """Train and measure every seed that is not finished, and write the results.

    Args:
        run: a new run, or one to continue.
        dataset: the run's.
        device: where to compute.
        listen: seed -> listener for the records of its training.
        stop: checked after every training step.

    Returns:
        The content of ``results.json``.
    """
    # Raise faults before the training, not after it.
    tested = dataset.split("test")
    for item in tested:
        dataset.truth(item.video)
    positives_of(dataset, tested, run.recipe.eval.positives, run.recipe.eval.qrels)
    seeds = {}
    for seed in run.recipe.train.seeds:
        done = run.seed_folder(seed) / "results.json"
        if not done.is_file():
            _record_code(run)
            listener = listen(seed) if listen is not None else None
            _train(run, dataset, seed, device, listener, stop)
            if distributed.rank() == 0:
                _measure(run, dataset, seed, device, stop)
            distributed.barrier()
        seeds[seed] = read_json(done, hint=f"rm {done}, and varkit resume measures again")
    results = summarize_seeds(seeds)
    if distributed.rank() == 0:
        write_json(run.folder / "results.json", results)
    return results


def _record_code(run: Run) -> None:
    """Record in ``run.json`` that other code than the run's own continues it."""
    if run.other_code:
        run.facts["code"] = both(run.facts.get("code"), code_of(run.recipe, run.plugins))
        _write_facts(run)


def _record_captions(run: Run, encoder: object, dataset: Dataset, listen: Listener | None) -> None:
    """Record in ``run.json``, and tell, what the text encoder makes of the captions; only once."""
    if "captions" in run.facts or not (facts := read_captions(encoder, dataset)):
        return
    run.facts["captions"] = facts
    _write_facts(run)
    if listen is not None:
        for line in told(facts):
            listen({"kind": "remark", "text": line})


def _write_facts(run: Run) -> None:
    if distributed.rank() == 0:
        write_json(run.folder / "run.json", run.facts)


def training_parts(run: Run, dataset: Dataset) -> tuple[list[Item], list[Item]]:
    """Return the videos to train on and those to select the best epoch on (``train.select``).

    The latter are the data set's ``val`` split if it has one, otherwise a held-out part of train.
    """
    train = list(dataset.split("train"))
    options = run.recipe.train
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
    train_items, select_items = training_parts(run, dataset)
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
