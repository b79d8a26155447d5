"""What of a study is done already, and what the rest is likely to cost. Nothing is trained here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from varkit.errors import DataError, RecipeError, VarkitError
from varkit.interfaces import Dataset
from varkit.model.build import build_dataset
from varkit.recipe import yaml
from varkit.recipe.load import Recipe
from varkit.runs.folder import open_run
from varkit.system.files import sha256
from varkit_studies.rows import ResolvedRow
from varkit_studies.study import Study

State = Literal["cached", "partial", "missing"]


@dataclass(frozen=True)
class Identity:
    """What makes two runs the same: recipe, data, and what plugin files hold."""

    recipe: str
    data: str
    plugin_files: frozenset[tuple[str, str]]


@dataclass(frozen=True)
class FoundRun:
    """A run below the output folder.

    Attributes:
        folder: where it lies.
        facts: its ``run.json``.
    """

    folder: Path
    facts: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it was trained and measured to its end, and its results can be read."""
        try:
            results = json.loads((self.folder / "results.json").read_text("utf-8"))
        except (OSError, ValueError):
            return False
        return isinstance(results, dict) and "seeds" in results

    @property
    def identity(self) -> Identity:
        """What the run was made of."""
        files = frozenset((Path(f).name, sha) for f, sha in self.facts["plugin_files"].items())
        return Identity(self.facts["digest"], self.facts["fingerprint"], files)

    @cached_property
    def seconds(self) -> float | None:
        """How long its training steps took so far; None where its logs are not to be read."""
        try:
            return math.fsum(
                record["seconds"]
                for file in self.folder.glob("seed-*/metrics.jsonl")
                for record in map(json.loads, file.read_text("utf-8").splitlines())
                if record["kind"] == "step"
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True)
class Planned:
    """A row and where it stands.

    Attributes:
        resolved: the row.
        dataset: what it is measured on.
        identity: what its run must be made of.
        state: cached = finished; partial = can be resumed, also where only its results are
            damaged; missing = nothing there.
        folder: the run; of a missing measuring row where it will be; else None.
        same_as: the earlier row whose run this one shares; None = it has its own.
        seconds: of training steps that are left, by an earlier run; None = unknown.
        estimated_from: that run.
    """

    resolved: ResolvedRow
    dataset: Dataset
    identity: Identity
    state: State
    folder: Path | None
    same_as: str | None
    seconds: float | None
    estimated_from: Path | None

    @property
    def name(self) -> str:
        """The row's."""
        return self.resolved.row.name

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        recipe = self.resolved.recipe
        return {
            "row": self.name,
            "label": self.resolved.row.label,
            "state": self.state,
            "run": None if self.folder is None else str(self.folder),
            "same_as": self.same_as,
            "measures": None if self.resolved.row.options.of is None else self.resolved.row.base,
            "recipe": recipe.name,
            "digest": self.identity.recipe,
            "overrides": list(self.resolved.overrides),
            "seeds": list(recipe.train.seeds),
            "embedded": recipe.embedded,
            "dataset": self.dataset.name,
            "simulated": self.dataset.simulated,
            "fingerprint": self.identity.data,
            "seconds": self.seconds,
            "estimated_from": None if self.estimated_from is None else str(self.estimated_from),
        }


class Planner:
    """Finds the runs of a study's rows.

    Args:
        study: the study.
        rows: resolved.
        out: the folder of runs.

    Raises:
        RecipeError: a row's data cannot be opened; with all that cannot.
    """

    def __init__(self, study: Study, rows: Mapping[str, ResolvedRow], out: Path) -> None:
        self.study = study
        self.rows = rows
        self.out = out
        self.folder = out / "studies" / study.name
        # The tables of some rows must not replace those of all.
        self.results = self.folder / "partial" if study.left_out else self.folder
        self.datasets: dict[str, Dataset] = {}
        self.identities: dict[str, Identity] = {}
        problems = []
        for name, resolved in rows.items():
            try:
                self.identities[name] = self._identity(resolved)
            except DataError as error:
                problems.append(f"{study.at('rows', name)}: {error.what}")
        if problems:
            raise RecipeError(list(dict.fromkeys(problems)))

    def plan(self) -> dict[str, Planned]:
        """Look at what is there now."""
        runs = list(_runs(self.out))
        found: dict[str, Planned] = {}
        first: dict[tuple[Identity, Identity], str] = {}
        for name in sorted(self.rows, key=lambda name: not self.rows[name].row.trains):
            if not self.rows[name].row.options.runs:
                found[name] = self._planned(name, "cached", None, 0.0)
                continue
            # The same recipe trained, and measured with the weights of another, are two things.
            what = self.identities[name], self.identities[self.rows[name].row.base]
            if what in first:
                twin = found[first[what]]
                found[name] = self._planned(
                    name, twin.state, twin.folder, twin.seconds, twin.estimated_from, twin.name
                )
                continue
            row = self.rows[name].row
            found[name] = (
                self._trained(name, runs)
                if row.trains
                else self._measured(name, found[row.base].folder)
            )
            first[what] = name
        return {name: found[name] for name in self.rows}

    def _trained(self, name: str, runs: Sequence[FoundRun]) -> Planned:
        own = [run for run in runs if run.identity == self.identities[name]]
        finished = [run for run in own if run.finished]
        if finished:
            return self._planned(name, "cached", finished[-1].folder, 0.0)
        whole, source = self._estimate(name, runs)
        if not own:
            return self._planned(name, "missing", None, whole, source)
        done = own[-1].seconds
        left = None if whole is None or done is None else max(0.0, whole - done)
        return self._planned(name, "partial", own[-1].folder, left, source)

    def _measured(self, name: str, base: Path | None) -> Planned:
        folder = self.folder / "measured" / name
        run = _run(folder / "run.json")
        seconds = None
        if run is not None and base is not None and "measured_from" in run.facts:
            source = run.facts["measured_from"]
            try:
                weights = open_run(base).weights() if (base / "results.json").is_file() else None
            except VarkitError:
                weights = None  # its row says what is wrong with it
            seconds = source["seconds"]
            same = run.identity == self.identities[name] and source["weights"] == weights
            if same and run.finished:
                return self._planned(name, "cached", folder, 0.0)
        estimated = None if seconds is None else folder
        return self._planned(name, "missing", folder, seconds, estimated)

    def _estimate(self, name: str, runs: Sequence[FoundRun]) -> tuple[float | None, Path | None]:
        """Scale the newest finished run of the same recipe and data to this one's epochs."""
        recipe = self.rows[name].recipe
        for run in reversed(runs):
            known = run.facts["recipe"], run.facts["fingerprint"]
            if known != (recipe.name, self.identities[name].data) or not run.finished:
                continue
            epochs = _epochs(run.folder / "recipe.yaml")
            if run.seconds and epochs:
                trainings = len(recipe.train.seeds) / len(run.facts["seeds"])
                return run.seconds * trainings * recipe.train.epochs / epochs, run.folder
        return None, None

    def _planned(
        self,
        name: str,
        state: State,
        folder: Path | None,
        seconds: float | None,
        source: Path | None = None,
        same_as: str | None = None,
    ) -> Planned:
        resolved = self.rows[name]
        return Planned(
            resolved=resolved,
            dataset=self.datasets[_data_key(resolved.recipe)],
            identity=self.identities[name],
            state=state,
            folder=folder,
            same_as=same_as,
            seconds=seconds,
            estimated_from=source,
        )

    def _identity(self, resolved: ResolvedRow) -> Identity:
        recipe, key = resolved.recipe, _data_key(resolved.recipe)
        if key not in self.datasets:
            self.datasets[key] = build_dataset(recipe, resolved.plugins)
        files = frozenset((file.name, sha256(file)) for file in recipe.plugin_files)
        return Identity(recipe.digest(), self.datasets[key].fingerprint(), files)


def _runs(out: Path) -> Iterable[FoundRun]:
    """Yield the runs below a folder that can be read, the oldest first."""
    found = [run for file in out.glob("*/*/run.json") if (run := _run(file)) is not None]
    return sorted(found, key=lambda run: (run.facts["started"], run.folder.name))


def _run(file: Path) -> FoundRun | None:
    """Return a run; None where it is none, or damaged: a study then makes its own."""
    needed = ("digest", "fingerprint", "plugin_files", "started", "recipe", "seeds")
    try:
        facts = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    whole = isinstance(facts, dict) and facts.get("schema") == 1 and all(k in facts for k in needed)
    return FoundRun(file.parent, facts) if whole else None


def _epochs(file: Path) -> int | None:
    try:
        return int(yaml.load(file).value["train"]["epochs"])
    except (VarkitError, KeyError, TypeError, ValueError):
        return None


def _data_key(recipe: Recipe) -> str:
    return json.dumps(recipe.to_dict()["data"], sort_keys=True)
