"""Which rows of a study are done, and how long the rest may take. Nothing is trained here."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch

from varkit.errors import DataError, RecipeError, RunError, VarkitError
from varkit.evaluation.results import RunResults
from varkit.interfaces import Dataset
from varkit.model.build import build_dataset
from varkit.recipe import yaml
from varkit.recipe.load import Recipe
from varkit.runs.code import code_of, differing
from varkit.runs.folder import RecipeFacts, open_run
from varkit.runs.rehearsal import Cost, measure_cost
from varkit.system.records import read_json
from varkit.training.log import read_log
from varkit_studies.rows import ResolvedRow
from varkit_studies.study_file import Study

State = Literal["cached", "partial", "missing"]


@dataclass(frozen=True)
class Identity:
    """What two equal runs have in common: recipe, data and code."""

    recipe: str
    data: str
    code: frozenset[tuple[str, str]]

    def but_for_code(self) -> tuple[str, str]:
        """Return the parts that do not depend on the code."""
        return self.recipe, self.data


@dataclass(frozen=True)
class FoundRun:
    """A run below the output folder.

    Attributes:
        folder: where it lies.
        facts: its ``run.json``.
    """

    folder: Path
    facts: RecipeFacts

    @property
    def finished(self) -> bool:
        """Whether training and measuring are complete and the results can be read."""
        try:
            read_json(self.folder / "results.json", RunResults)
        except RunError:
            return False
        return True

    @property
    def identity(self) -> Identity:
        """What the run was made of."""
        code = frozenset(self.facts.get("code", {}).items())
        return Identity(self.facts["digest"], self.facts["fingerprint"], code)

    def other_code(self, identity: Identity) -> tuple[str, ...]:
        """Return the modules in which the run's code differs from that of ``identity``."""
        return differing(self.facts.get("code"), dict(identity.code))

    @cached_property
    def seconds(self) -> float | None:
        """How long its training steps took so far; None = its logs cannot be read."""
        return _seconds(self.folder)


@dataclass(frozen=True)
class Planned:
    """A row and where it stands.

    Attributes:
        resolved: the row.
        dataset: what it is measured on.
        identity: what its run must be made of.
        state: cached = finished; partial = can be resumed, also if only its results are damaged;
            missing = there is no run.
        folder: the run; for a missing measuring row, where it will be; otherwise None.
        same_as: the earlier row whose run this one shares; None = it has its own.
        seconds: estimated time of the remaining training steps; None = unknown.
        estimated_from: the earlier run that the estimate is based on.
        cost: of one training, measured here, if the estimate is based on that.
        other_code: modules in which the present code differs from that of ``folder``, if that was
            accepted; for a missing row, from that of an earlier run that is otherwise equal.
    """

    resolved: ResolvedRow
    dataset: Dataset
    identity: Identity
    state: State
    folder: Path | None
    same_as: str | None
    seconds: float | None
    estimated_from: Path | None
    other_code: tuple[str, ...]
    cost: Cost | None = None

    @property
    def trainings(self) -> int:
        """How many trainings the row still needs."""
        if self.state == "cached" or self.same_as or not self.resolved.row.trains:
            return 0
        seeds = self.resolved.recipe.train.seeds
        done = () if self.folder is None else self.folder.glob("seed-*/results.json")
        return len(seeds) - len({file.parent.name for file in done} & {f"seed-{s}" for s in seeds})

    @property
    def disk(self) -> int | None:
        """Bytes of the models that its trainings will leave; None = unknown."""
        if self.cost is not None:
            models = 1 if self.resolved.recipe.train.select == "last" else 2
            return self.trainings * models * self.cost.model
        if self.trainings and self.estimated_from is not None:
            models = len(list(self.estimated_from.glob("seed-*/models")))
            files = self.estimated_from.glob("seed-*/models/*.safetensors")
            return self.trainings * sum(f.stat().st_size for f in files) // max(1, models)
        return None if self.trainings else 0

    @property
    def name(self) -> str:
        """The row's name."""
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
            "cost": None if self.cost is None else asdict(self.cost),
            "disk": self.disk,
            "estimated_from": None if self.estimated_from is None else str(self.estimated_from),
            "other_code": list(self.other_code),
        }


class Planner:
    """Finds the runs of a study's rows.

    Args:
        study: the study.
        rows: resolved.
        out: the folder of runs.
        accept_code: use a run that other code made if the present code made none.

    Raises:
        RecipeError: rows' data cannot be opened; all of them are listed.
    """

    def __init__(
        self,
        study: Study,
        rows: Mapping[str, ResolvedRow],
        out: Path,
        *,
        accept_code: bool = False,
    ) -> None:
        self.accept_code = accept_code
        self.study = study
        self.rows = rows
        self.out = out
        self.folder = out / "studies" / study.name
        # The tables of a partial study must not replace those of the whole.
        self.results = self.folder / "partial" if study.left_out else self.folder
        self.datasets: dict[str, Dataset] = {}
        self.identities: dict[str, Identity] = {}
        problems = []
        for name, resolved in rows.items():
            try:
                self.identities[name] = self._identity(resolved)
            except DataError as error:
                problems.append(f"{study.at('rows', name)}: {error.line}")
        if problems:
            raise RecipeError(list(dict.fromkeys(problems)))

    def plan(self) -> dict[str, Planned]:
        """Return the present state of every row."""
        runs = list(_runs(self.out))
        plan: dict[str, Planned] = {}
        first: dict[tuple[Identity, Identity], str] = {}
        for name in sorted(self.rows, key=lambda name: not self.rows[name].row.trains):
            if not self.rows[name].row.options.runs:
                plan[name] = self._planned(name, "cached", None, 0.0)
                continue
            # A recipe that trains differs from the same recipe measuring another row's weights.
            what = self.identities[name], self.identities[self.rows[name].row.base]
            if what in first:
                twin = plan[first[what]]
                plan[name] = replace(twin, resolved=self.rows[name], same_as=twin.name)
                continue
            row = self.rows[name].row
            plan[name] = (
                self._trained(name, runs)
                if row.trains
                else self._measured(name, plan[row.base].folder)
            )
            first[what] = name
        return {name: plan[name] for name in self.rows}

    def _trained(self, name: str, runs: Sequence[FoundRun]) -> Planned:
        identity = self.identities[name]
        own = [run for run in runs if run.identity == identity]
        alike = [
            run
            for run in runs
            if run.identity.but_for_code() == identity.but_for_code()
            and run.identity not in self.identities.values()  # not another row's own run
        ]
        taken = own or (alike if self.accept_code else [])
        finished = [run for run in taken if run.finished]
        known = finished or taken or alike
        other_code = known[-1].other_code(identity) if known else ()
        if finished:
            return self._planned(name, "cached", finished[-1].folder, 0.0, other_code=other_code)
        whole, source = self._estimate(name, runs)
        if not taken:
            return self._planned(name, "missing", None, whole, source, other_code)
        done = taken[-1].seconds
        left = None if whole is None or done is None else max(0.0, whole - done)
        return self._planned(name, "partial", taken[-1].folder, left, source, other_code)

    def _measured(self, name: str, base: Path | None) -> Planned:
        folder = self.folder / "measured" / name
        run = _run(folder / "run.json")
        seconds: float | None = None
        other_code: tuple[str, ...] = ()
        if run is not None and base is not None and "measured_from" in run.facts:
            source = run.facts["measured_from"]
            try:
                # Faults of the base, and its code, are reported by the base's own row.
                trained = open_run(base, accept_code=True)
                weights = trained.weights() if (base / "results.json").is_file() else None
            except VarkitError:
                weights = None
            seconds, identity = source["seconds"], self.identities[name]
            same = run.identity.but_for_code() == identity.but_for_code()
            if same and source["weights"] == weights:
                other_code = run.other_code(identity)
                if run.finished and (self.accept_code or not other_code):
                    return self._planned(name, "cached", folder, 0.0, other_code=other_code)
        estimated = None if seconds is None else folder
        return self._planned(name, "missing", folder, seconds, estimated, other_code)

    def _estimate(self, name: str, runs: Sequence[FoundRun]) -> tuple[float | None, Path | None]:
        """Scale the time of the newest finished run of the same recipe and data by epochs."""
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
        other_code: tuple[str, ...] = (),
    ) -> Planned:
        resolved = self.rows[name]
        return Planned(
            resolved=resolved,
            dataset=self.datasets[_data_key(resolved.recipe)],
            identity=self.identities[name],
            state=state,
            folder=folder,
            same_as=None,
            seconds=seconds,
            estimated_from=source,
            other_code=other_code,
        )

    def _identity(self, resolved: ResolvedRow) -> Identity:
        recipe, key = resolved.recipe, _data_key(resolved.recipe)
        if key not in self.datasets:
            self.datasets[key] = build_dataset(recipe, resolved.plugins)
        code = code_of(recipe, resolved.plugins)
        if resolved.row.base != resolved.row.name:  # the code that trained counts too
            base = self.rows[resolved.row.base]
            code |= code_of(base.recipe, base.plugins)
        fingerprint = self.datasets[key].fingerprint()
        return Identity(recipe.digest(), fingerprint, frozenset(code.items()))


def with_costs(
    plan: Mapping[str, Planned], device: torch.device, tell: Callable[[str], None]
) -> dict[str, Planned]:
    """Return a plan with times by a few steps, taken here, where no earlier run tells them.

    Rows whose recipes differ only in seeds and epochs are measured once.

    Args:
        plan: the rows.
        device: where to take the steps.
        tell: called with a row's name before its steps are taken.

    Raises:
        RecipeError: a row's options do not fit each other; so are the other errors of a training.
    """
    measured: dict[tuple[str, str], Cost] = {}
    costs: dict[str, Planned] = {}
    for name, planned in plan.items():
        costs[name] = planned
        if not planned.trainings or planned.seconds is not None:
            continue
        recipe, plugins = planned.resolved.recipe, planned.resolved.plugins
        alike = replace(recipe, train=replace(recipe.train, epochs=1)).digest(seeds=False)
        key = alike, planned.identity.data
        if key not in measured:
            tell(name)
            measured[key] = measure_cost(recipe, plugins, planned.dataset, device=device)
        cost = measured[key]
        whole = cost.step * cost.steps * recipe.train.epochs * len(recipe.train.seeds)
        done = 0.0 if planned.folder is None else _seconds(planned.folder) or 0.0
        costs[name] = replace(planned, cost=cost, seconds=max(0.0, whole - done))
    return costs


def _runs(out: Path) -> Iterable[FoundRun]:
    """Return the readable runs below a folder, oldest first."""
    runs = [run for file in out.glob("*/*/run.json") if (run := _run(file)) is not None]
    return sorted(runs, key=lambda run: (run.facts["started"], run.folder.name))


def _run(file: Path) -> FoundRun | None:
    """Return a run; None if it is not a run or is damaged, so that the study makes its own."""
    try:
        return FoundRun(file.parent, read_json(file, RecipeFacts))
    except RunError:
        return None


def _seconds(folder: Path) -> float | None:
    try:
        return math.fsum(
            record["seconds"]
            for file in folder.glob("seed-*/metrics.jsonl")
            for record in read_log(file)
            if record["kind"] == "step"
        )
    except RunError:
        return None


def _epochs(file: Path) -> int | None:
    try:
        return int(yaml.load(file).value["train"]["epochs"])
    except (VarkitError, KeyError, TypeError, ValueError):
        return None


def _data_key(recipe: Recipe) -> str:
    return json.dumps(recipe.to_dict()["data"], sort_keys=True)
