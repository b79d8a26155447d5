"""The folder of a run: create it, record its provenance, and open it again."""

from __future__ import annotations

import fcntl
import os
import platform
import secrets
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from varkit.data.inspect.check import Check
from varkit.errors import DataError, RunError
from varkit.evaluation.results import TrainingResults
from varkit.interfaces import Dataset
from varkit.interfaces.settings import Which
from varkit.media.catalogue import differences
from varkit.media.reader import Origin
from varkit.plugins.loading import Plugins
from varkit.recipe.load import Recipe, kept_plugin, load_recipe
from varkit.runs.captions import CaptionCounts
from varkit.runs.code import code_of, differing, refusal
from varkit.runs.find import find_run
from varkit.system.files import sha256, write_bytes, write_json, write_text
from varkit.system.inputs import read_user_file
from varkit.system.records import checked, read_json

TESTED = "test"
"""The split whose data a run recognises on their own."""
PACKAGES = ("varkit", "torch", "numpy", "safetensors", "transformers", "tokenizers", "spacy")


class MeasuredFrom(TypedDict):
    """The run whose weights were measured."""

    run: str
    changes: list[str]
    recipe_differs: bool
    data_differs: bool
    dataset: str
    weights: dict[str, str]
    seconds: float


class DataCheck(TypedDict):
    """How the data were checked before the training: :class:`varkit.data.inspect.check.Check`."""

    numbers: Literal["read", "kept", "unread"]
    remarks: list[str]


class Facts(TypedDict):
    """The content of ``run.json``: the provenance of a run.

    The first block is in every run, the second in runs that trained (``captions`` if its queries
    are captions, ``extractors`` if its data set says how its streams were made). The last names the
    sources of runs that were measured from another run, or made from scores.
    """

    schema: Literal[1]
    recipe: str
    dataset: str
    simulated: bool
    embedded: bool
    missing: list[str]
    fingerprint: str
    questions: str
    seeds: list[int]
    selection: str
    versions: dict[str, str]
    machine: str
    command: str
    started: str

    code: NotRequired[dict[str, str]]
    captions: NotRequired[dict[str, CaptionCounts]]
    extractors: NotRequired[dict[str, Origin]]
    data_check: NotRequired[DataCheck]
    data_changed: NotRequired[list[str]]

    measured_from: NotRequired[MeasuredFrom]
    made_from: NotRequired[list[dict[str, Any]]]
    made_how: NotRequired[dict[str, Any]]


class RecipeFacts(Facts):
    """The content of ``run.json`` of a run of a recipe.

    ``directory`` and ``folder`` are the working directory and the run's own when it began, and
    ``tested`` is the fingerprint of the test split alone.
    """

    digest: str
    directory: str
    folder: str
    query_kind: Literal["captions", "clips"]
    widths: dict[str, int]
    query_widths: dict[str, int]
    tested: str | None
    plugins: dict[str, str]
    device: str
    threads: int


@dataclass(frozen=True)
class Run:
    """An opened run.

    Attributes:
        folder: of the run.
        recipe: as resolved when the run began.
        plugins: the present plugins.
        facts: ``run.json``: the provenance of the run.
        other_code: modules in which the present code differs from the run's, if that was accepted.
    """

    folder: Path
    recipe: Recipe
    plugins: Plugins
    facts: RecipeFacts
    other_code: tuple[str, ...] = ()

    def seed_folder(self, seed: int) -> Path:
        """Return the folder of one of its trainings."""
        return self.folder / f"seed-{seed}"

    def model_file(self, seed: int, which: Which) -> Path:
        """Return the file of a trained model."""
        return self.seed_folder(seed) / "models" / f"{which}.safetensors"

    def weights(self) -> dict[str, str]:
        """Return the SHA-256 of all trained models, by their path in the run."""
        files = sorted(self.folder.glob("seed-*/models/*.safetensors"))
        return {str(file.relative_to(self.folder)): sha256(file) for file in files}

    def check_trainings(self) -> None:
        """Check that the run has models of its own.

        Raises:
            RunError: it was measured from another run, which is named.
        """
        if source := self.facts.get("measured_from"):
            raise RunError(
                f"{self.folder} has no models: it was measured from {source['run']}",
                hint=f"name {source['run']} instead",
            )

    def check_seed(self, seed: int) -> None:
        """Check that the run has a training.

        Raises:
            RunError: it has not; those that it has are named.
        """
        seeds = self.recipe.train.seeds
        if seed not in seeds:
            raise RunError(f"{self.folder} has no seed {seed}; it has {list(seeds)}")

    def check_same_data(self, dataset: Dataset) -> None:
        """Check that a data set is the one that the run began with.

        Raises:
            DataError: it is another one, or it has changed.
        """
        self.check_same_extractors(dataset)
        before, now = self.facts["fingerprint"], dataset.fingerprint()
        if now != before:
            raise DataError(
                f"the data of {self.folder} have changed since it began: {now:.12}, not "
                f"{before:.12}",
                hint="start a new run with varkit run",
            )

    def check_same_extractors(self, dataset: Dataset) -> None:
        """Check that no stream of a data set was made in another way than the run's.

        Streams of which the run or the data set does not know how they were made are accepted.

        Raises:
            DataError: one was; both fingerprints are shown.
        """
        made: Mapping[str, Origin] = getattr(dataset, "made_by", {})
        for stream, before in self.facts.get("extractors", {}).items():
            now = made.get(stream, before)
            if all(now[key] == before[key] for key in ("stream", "fingerprint")):
                continue
            one, other = ({"stream": x["stream"], **x["record"]} for x in (before, now))
            keys = differences(one, other)
            raise DataError(
                f"stream {stream!r} of {dataset.name} was made in another way than that of "
                f"{self.folder}: the extractor's fingerprint is {now['fingerprint']}, the run's "
                f"was {before['fingerprint']}; they differ in {', '.join(keys) or 'class names'}",
                hint="extract the videos with the run's options, which run.json lists under "
                "extractors, into another store",
            )

    def reported(self, seed: int) -> Which:
        """Return which model of a training is reported: of the selected epoch, if there is one.

        That holds even if its weights are lost; loading them then fails.
        """
        if self.model_file(seed, "best").is_file():
            return "best"
        results = self.seed_folder(seed) / "results.json"
        selected = results.is_file() and read_json(results, TrainingResults)["best"] is not None
        return "best" if selected else "last"

    def record(self, facts: Mapping[str, Any]) -> None:
        """Add facts to ``run.json``."""
        self.facts.update(facts)  # type: ignore[typeddict-item]  # callers name keys of it
        write_json(self.folder / "run.json", self.facts)


def create_run(
    recipe: Recipe,
    plugins: Plugins,
    dataset: Dataset,
    check: Check,
    *,
    out: Path,
    command: Sequence[str],
    started: datetime,
    device: str,
    threads: int,
) -> Run:
    """Create ``out/<recipe>/<time>-<short id>/`` with the resolved recipe and the provenance.

    It also gets copies of the recipe's plugin files, for when these are gone.

    Args:
        recipe: resolved.
        plugins: of the recipe.
        dataset: of the recipe.
        check: of the data set.
        out: folder of runs.
        command: the command line.
        started: time of the start.
        device: where to compute.
        threads: of the CPU.

    Raises:
        RunError: it cannot be written.
    """
    folder = new_folder(out, recipe.name, started)
    facts = recipe_provenance(
        recipe,
        plugins,
        dataset,
        folder,
        command=command,
        started=started,
        device=device,
        threads=threads,
    )
    for index, file in enumerate(recipe.plugin_files):
        write_bytes(kept_plugin(folder, index, file), read_user_file(file))
    facts["data_check"] = {
        "numbers": check.numbers,
        "remarks": [remark.text for remark in check.remarks],
    }
    write_text(folder / "recipe.yaml", recipe.to_yaml())
    write_json(folder / "run.json", facts)
    return Run(folder, recipe, plugins, facts)


def new_folder(out: Path, name: str, started: datetime) -> Path:
    """Return the path of a new run, ``out/<name>/<time>-<short id>``."""
    return out / name / f"{started:%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def provenance(
    name: str,
    dataset: Dataset,
    *,
    seeds: Sequence[int],
    selection: str,
    embedded: bool,
    missing: Sequence[str] = (),
    command: Sequence[str],
    started: datetime,
) -> Facts:
    """Return the part of ``run.json`` that every run has."""
    return {
        "schema": 1,
        "recipe": name,
        "dataset": dataset.name,
        "simulated": dataset.simulated,
        "embedded": embedded,
        "missing": list(missing),
        "fingerprint": dataset.fingerprint(),
        "questions": dataset.questions(),
        "seeds": list(seeds),
        "selection": selection,
        "versions": versions(),
        "machine": f"{platform.platform()}, {platform.machine()}",
        "command": shlex.join(command),
        "started": started.isoformat(timespec="seconds"),
    }


def recipe_provenance(
    recipe: Recipe,
    plugins: Plugins,
    dataset: Dataset,
    folder: Path,
    *,
    seeds: Sequence[int] | None = None,
    command: Sequence[str],
    started: datetime,
    device: str,
    threads: int,
) -> RecipeFacts:
    """Return ``run.json`` of a run of a recipe in a folder, by default of all its seeds."""
    facts = provenance(
        recipe.name,
        dataset,
        seeds=recipe.train.seeds if seeds is None else seeds,
        selection=recipe.train.select,
        embedded=recipe.embedded,
        missing=recipe.missing,
        command=command,
        started=started,
    )
    if made := getattr(dataset, "made_by", None):
        facts["extractors"] = dict(made)
    return {
        **facts,
        "digest": recipe.digest(),
        "directory": str(Path.cwd()),
        "folder": str(folder.resolve()),
        "query_kind": dataset.query_kind,
        "widths": dict(dataset.widths),
        "query_widths": dict(dataset.query_widths),
        "tested": tested(dataset),
        "plugins": {entry.plugin: entry.version for entry in plugins.registry},
        "code": code_of(recipe, plugins),
        "device": device,
        "threads": threads,
    }


def tested(dataset: Dataset) -> str | None:
    """Return the fingerprint of the test split alone; None if the data set gives none."""
    fingerprint = getattr(dataset, "split_fingerprint", None)
    return None if fingerprint is None else str(fingerprint(TESTED))


def open_run(folder: str | Path, *, accept_code: bool = False) -> Run:
    """Open a run's recipe and provenance, whether or not its data are on this machine.

    Args:
        folder: of the run, or a name as in :func:`varkit.runs.find.find_run`.
        accept_code: open it even if the code that made it has changed since.

    Raises:
        RunError: the folder is not a run, a file of it is damaged, or other code made it.
        RecipeError: the recipe no longer fits the installed plugins.
    """
    folder = find_run(folder)
    known = read_json(folder / "run.json", Facts)
    if "made_from" in known:
        raise RunError(
            f"{folder} was made from other runs or files; it holds ranks, but no models",
            hint="name one of the sources that its run.json lists under made_from",
        )
    if not (folder / "recipe.yaml").exists():
        raise RunError(f"{folder} is not a run: it has no recipe.yaml")
    facts = checked(known, RecipeFacts, str(folder / "run.json"))
    recipe, plugins = load_recipe(folder / "recipe.yaml", incomplete=True)
    recipe = replace(
        recipe.located(plugins, _began(folder, facts)),
        name=facts["recipe"],
        embedded=facts["embedded"],
        missing=tuple(facts["missing"]),
    )
    if "measured_from" not in facts:  # seeds may have been added
        recipe = replace(recipe, train=replace(recipe.train, seeds=tuple(facts["seeds"])))
    if recipe.digest() != facts["digest"]:
        raise RunError(
            f"{folder / 'recipe.yaml'} has changed since the run began, or the installed plugins "
            "have other defaults",
            hint="start a new run with varkit run",
        )
    other_code = differing(facts.get("code"), code_of(recipe, plugins))
    if other_code and not accept_code:
        raise refusal(folder, other_code)
    return Run(folder, recipe, plugins, facts, other_code)


def _began(folder: Path, facts: RecipeFacts) -> list[Path]:
    """Return the folders in which a run may have begun: as seen from where it lies now, as it was.

    The former is another one if a whole project was moved or copied.
    """
    there = Path(os.path.relpath(facts["directory"], facts["folder"]))
    return [(folder.resolve() / there).resolve(), Path(facts["directory"])]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock a run's folder, so that no second process writes to it.

    The kernel holds the lock and releases it when the process ends, however it ends. Processes
    that read features do not inherit it.

    Raises:
        RunError: another process has locked it.
    """
    with (folder / ".lock").open("a+") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            raise RunError(
                f"{folder} is in use by process {file.read().strip() or 'unknown'}",
                hint="wait for it, or stop it with Ctrl-C: it then saves its state",
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that can change a result."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed
