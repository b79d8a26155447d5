"""A trained run measured again under changed options: other samplers, weights, rules or data."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from varkit.data.positives import positives_of
from varkit.errors import RunError
from varkit.evaluate.figures import chance
from varkit.evaluate.measurement import Which, measure
from varkit.evaluate.results import summarize_seeds
from varkit.interfaces import Dataset
from varkit.model.build import build_dataset, build_model
from varkit.model.retrieval import RetrievalModel
from varkit.recipe.load import Recipe, changed_recipe
from varkit.runs.folder import Run, identity, load_trained, open_run, provenance
from varkit.system.files import read_json, sha256, write_json, write_text

MODELS: tuple[Which, ...] = ("last", "best")


def remeasure(
    folder: Path,
    changes: Sequence[str],
    *,
    out: Path,
    device: torch.device,
    threads: int,
    command: Sequence[str],
) -> dict[str, Any]:
    """Measure every training of a run under changed options, and write it as a run of its own.

    Args:
        folder: of the run; nothing in it changes.
        changes: ``dotted.key=value``.
        out: the folder to write; what was measured there before is replaced.
        device: where to compute.
        threads: for ``run.json``.
        command: for ``run.json``.

    Returns:
        What ``results.json`` holds.

    Raises:
        RunError: ``folder`` is no finished run, or ``out`` holds a training.
        RecipeError: the changes do not fit the recipe.
        CheckpointError: the weights do not fit the changed recipe.
    """
    started, clock = datetime.now(UTC), time.perf_counter()
    _check_free(out)
    run = open_run(folder)
    recipe = changed_recipe(run.recipe, run.plugins, changes)
    dataset = build_dataset(recipe, run.plugins)
    items = dataset.split("test")
    seeds: dict[int, dict[str, Any]] = {}
    for seed in recipe.train.seeds:
        seeds[seed] = {
            "schema": 1,
            "simulated": dataset.simulated,
            "dataset": dataset.name,
            "selection": recipe.train.select,
            "best": None,
            "last": None,
        }
        for which in MODELS:
            if which == "best" and run.reported(seed) != "best":
                continue
            model, epoch = load_for(run, recipe, dataset, seed, which)
            _, report = measure(
                model.to(device),
                dataset,
                items,
                options=recipe.eval,
                device=device,
                folder=out / f"seed-{seed}",
                which=which,
            )
            seeds[seed][which] = {"epoch": epoch, **report}
        write_json(out / f"seed-{seed}" / "results.json", seeds[seed])
    positives = positives_of(dataset, items, recipe.eval.positives)[2]
    results = summarize_seeds(seeds, chance=chance(positives))
    facts = provenance(
        recipe,
        run.plugins,
        dataset,
        command=command,
        started=started,
        device=str(device),
        threads=threads,
    )
    facts["measured_from"] = {
        "run": str(folder),
        "changes": list(changes),
        "recipe_differs": recipe.digest() != run.facts["digest"],
        "data_differs": dataset.fingerprint() != run.facts["fingerprint"],
        "dataset": run.facts["dataset"],
        "weights": weights_of(run),
        "seconds": time.perf_counter() - clock,
    }
    write_text(out / "recipe.yaml", recipe.to_yaml())
    write_json(out / "results.json", results)
    write_json(out / "run.json", facts)  # the last: without it the folder is no run
    return results


def load_for(
    run: Run, recipe: Recipe, dataset: Dataset, seed: int, which: Which
) -> tuple[RetrievalModel, int]:
    """Load a run's trained weights into the model of a changed recipe, on the CPU.

    The weights must be those of the run's own recipe and data, and any pretrained weights that
    are not in them the same; recipe and data that are measured now may be others.

    Returns:
        The model, and how many epochs it was trained.

    Raises:
        CheckpointError: the weights are damaged, or do not fit the changed recipe.
    """
    model = build_model(replace(recipe, pretexts={}), run.plugins, dataset)
    trained = {"recipe": run.facts["digest"], "data": run.facts["fingerprint"], "seed": seed}
    expected = identity(recipe, dataset, model) | trained
    path = run.seed_folder(seed) / "models" / f"{which}.safetensors"
    return model, load_trained(model, path, expected)


def weights_of(run: Run) -> dict[str, str]:
    """Return the SHA-256 of a run's trained models, by their place in the run."""
    files = sorted(run.folder.glob("seed-*/models/*.safetensors"))
    return {str(file.relative_to(run.folder)): sha256(file) for file in files}


def _check_free(out: Path) -> None:
    facts = out / "run.json"
    if facts.exists():
        if "measured_from" not in read_json(facts):
            raise RunError(f"{out} holds a training", hint="name another folder for --out")
        facts.unlink()  # what follows replaces it; half of it must not pass for it
