"""The folder of a run: making one, saying where it came from, and opening it again."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from varkit.data.batches import questions
from varkit.errors import RunError, did_you_mean
from varkit.interfaces import Dataset
from varkit.model.build import build_dataset, build_model
from varkit.model.retrieval import RetrievalModel
from varkit.plugins.loading import Plugins
from varkit.recipe.load import Recipe, load_recipe
from varkit.system.files import read_json, sha256, write_json, write_text
from varkit.train import checkpoint

PACKAGES = ("varkit", "torch", "numpy", "safetensors", "transformers", "tokenizers", "spacy")


@dataclass(frozen=True)
class Run:
    """An opened run.

    Attributes:
        folder: where it lies.
        recipe: as it was resolved when the run began.
        plugins: the plugins of now.
        facts: ``run.json``: where the run came from.
    """

    folder: Path
    recipe: Recipe
    plugins: Plugins
    facts: dict[str, Any]

    def seed_folder(self, seed: int) -> Path:
        """Return the folder of one of its trainings."""
        return self.folder / f"seed-{seed}"

    def reported(self, seed: int) -> Literal["best", "last"]:
        """Return which model of a training counts: of the selected epoch, if one was selected.

        Weights that are lost were selected all the same: whoever loads them says so.
        """
        folder = self.seed_folder(seed)
        if (folder / "models" / "best.safetensors").is_file():
            return "best"
        results = folder / "results.json"
        selected = results.is_file() and read_json(results)["best"] is not None
        return "best" if selected else "last"


def create_run(
    recipe: Recipe,
    plugins: Plugins,
    dataset: Dataset,
    *,
    out: Path,
    command: Sequence[str],
    started: datetime,
    device: str,
    threads: int,
) -> Run:
    """Make ``out/<recipe>/<time>-<short id>/`` with the resolved recipe and the provenance.

    Raises:
        RunError: it cannot be written.
    """
    name = f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
    folder = out / recipe.name / name
    facts = provenance(
        recipe,
        plugins,
        dataset,
        command=command,
        started=started,
        device=device,
        threads=threads,
    )
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    write_json(folder / "run.json", facts)
    return Run(folder, recipe, plugins, facts)


def provenance(
    recipe: Recipe,
    plugins: Plugins,
    dataset: Dataset,
    *,
    command: Sequence[str],
    started: datetime,
    device: str,
    threads: int,
) -> dict[str, Any]:
    """Return what ``run.json`` says: where a run comes from."""
    return {
        "schema": 1,
        "recipe": recipe.name,
        "digest": recipe.digest(),
        "dataset": dataset.name,
        "simulated": dataset.simulated,
        "embedded": recipe.embedded,
        "missing": list(recipe.missing),
        "fingerprint": dataset.fingerprint(),
        "questions": questions(dataset),
        "seeds": list(recipe.train.seeds),
        "selection": recipe.train.select,
        "versions": versions(),
        "plugins": {entry.plugin: entry.version for entry in plugins.registry},
        "plugin_files": {str(file): sha256(file) for file in recipe.plugin_files},
        "machine": f"{platform.platform()}, {platform.machine()}",
        "device": device,
        "threads": threads,
        "command": shlex.join(command),
        "started": started.isoformat(timespec="seconds"),
    }


def open_run(folder: Path) -> Run:
    """Open a run's recipe and provenance.

    Raises:
        RunError: the folder is no run, a file of it is damaged, or a plugin file has changed.
        RecipeError: the recipe no longer fits the installed plugins.
    """
    for name in ("run.json", "recipe.yaml"):
        if not (folder / name).exists():
            siblings = [str(p.parent) for p in folder.parent.glob("*/run.json")]
            siblings = [sibling for sibling in siblings if sibling != str(folder)]
            raise RunError(
                f"{folder} is no run: it has no {name}.{did_you_mean(str(folder), siblings)}",
                hint="name a folder runs/<recipe>/<time>-<id>",
            )
    facts = read_json(folder / "run.json")
    if not isinstance(facts, dict) or facts.get("schema") != 1:
        raise RunError(f"{folder / 'run.json'} is damaged, or of another version of varkit")
    recipe, plugins = load_recipe(folder / "recipe.yaml")
    recipe = replace(
        recipe,
        name=facts["recipe"],
        embedded=facts["embedded"],
        missing=tuple(facts["missing"]),
    )
    if recipe.digest() != facts["digest"]:
        raise RunError(
            f"{folder / 'recipe.yaml'} has changed since the run began, or the installed plugins "
            "have other defaults",
            hint="start a new run with varkit run",
        )
    for file, digest in facts["plugin_files"].items():
        if sha256(Path(file)) != digest:
            raise RunError(
                f"plugin file {file} has changed since the run began",
                hint="put it back as it was, or start a new run with varkit run",
            )
    return Run(folder, recipe, plugins, facts)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold a run's folder, so that no second process writes to it.

    The lock is the kernel's: it goes with the process that held it, however that ended, and is
    not inherited by processes that read features.

    Raises:
        RunError: another process holds it.
    """
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by process {file.read().strip() or 'unknown'}",
                hint="wait for it, or stop it with Ctrl-C: it saves what it has",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def identity(recipe: Recipe, dataset: Dataset, model: RetrievalModel) -> dict[str, str]:
    """Return what a checkpoint must agree on to fit: recipe, data, and weights it leaves out.

    An encoder may hold pretrained weights that are in no checkpoint because they never change,
    such as a frozen language model's; its ``fingerprint()`` then says which they are.
    """
    found = {"recipe": recipe.digest(), "data": dataset.fingerprint()}
    for side, encoder in (("video", model.video), ("query", model.query)):
        if hasattr(encoder, "fingerprint"):
            found[f"pretrained {side} encoder"] = encoder.fingerprint()
    return found


def load_model(
    folder: Path, seed: int | None = None, which: Literal["best", "last"] = "best"
) -> tuple[RetrievalModel, Dataset, Recipe]:
    """Load a trained model for search or evaluation: no pretext task, on the CPU.

    Args:
        folder: of the run.
        seed: of the training; None = the first.
        which: the epoch chosen on the selection part, or the last.

    Raises:
        RunError: the folder is no run, or has no such training.
        CheckpointError: the weights are damaged or belong to another recipe or data set.
    """
    run = open_run(folder)
    seed = run.recipe.train.seeds[0] if seed is None else seed
    if seed not in run.recipe.train.seeds:
        raise RunError(f"{folder} has no seed {seed}; it has {list(run.recipe.train.seeds)}")
    dataset = build_dataset(run.recipe, run.plugins)
    model = build_model(replace(run.recipe, pretexts={}), run.plugins, dataset)
    path = run.seed_folder(seed) / "models" / f"{which}.safetensors"
    load_trained(model, path, {**identity(run.recipe, dataset, model), "seed": seed})
    return model, dataset, run.recipe


def load_trained(model: RetrievalModel, path: Path, expected: dict[str, Any]) -> int:
    """Load trained weights into a model and return the number of epochs they had.

    Raises:
        CheckpointError: they are damaged, do not fit, or belong to another recipe or data set.
    """
    tensors, state = checkpoint.load(path, hint="start the run again with varkit run")
    checkpoint.check_identity(state, expected, path)
    checkpoint.load_weights(model, tensors, str(path))
    return int(state["epoch"])


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
