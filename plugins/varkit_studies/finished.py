"""A study with trained and measured rows: what exhibits read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from varkit.errors import RunError, VarkitError
from varkit.evaluation.results import RunResults
from varkit.interfaces import Dataset
from varkit.interfaces.settings import Which
from varkit.model.retrieval import RetrievalModel
from varkit.recipe.load import Recipe
from varkit.runs.folder import open_run
from varkit.runs.trained import open_model
from varkit.system.records import read_json
from varkit_studies.comparison.compare import Comparison, compare
from varkit_studies.comparison.estimates import Difference, Value
from varkit_studies.comparison.ranked_run import RankedRun, load_ranked_run
from varkit_studies.plan import Planned
from varkit_studies.study_file import Row, Study


@dataclass(frozen=True)
class FinishedRow:
    """A row that was measured.

    Attributes:
        row: of the study.
        folder: its run; rows with the same recipe share one.
        trained: the run whose weights were measured; ``folder`` if the row trains.
        recipe: the recipe that it was measured under.
        dataset: what it was measured on.
        ranked: the rank of every query, training and sampler seed.
        results: its ``results.json``.
        other_code: modules in which its code differs from the present code; empty = none.
    """

    row: Row
    folder: Path
    trained: Path
    recipe: Recipe
    dataset: Dataset
    ranked: RankedRun
    results: Mapping[str, Any]
    other_code: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Its name in the study."""
        return self.row.name

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.row.label

    @property
    def facts(self) -> Mapping[str, Any]:
        """Its ``run.json``: provenance, ``simulated``, ``embedded``, ``versions``."""
        return self.ranked.facts

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of its trainings."""
        return self.ranked.seeds

    @property
    def which(self) -> Which:
        """Which model of each training is reported."""
        which = self.ranked.checkpoint
        assert which != "given"  # a study trains its rows
        return which

    def model(self, seed: int | None = None) -> RetrievalModel:
        """Load the reported model of a training, on the CPU and without pretext tasks.

        Args:
            seed: of the training; None = the first.

        Raises:
            CheckpointError: the weights are damaged.
        """
        run = open_run(self.trained, accept_code=bool(self.other_code))
        return open_model(
            run, seed=seed, which=self.which, recipe=self.recipe, dataset=self.dataset
        ).model


@dataclass(frozen=True)
class DataRow:
    """A row of which only the data are used.

    Attributes:
        row: of the study.
        recipe: whose data they are.
        dataset: the data.
    """

    row: Row
    recipe: Recipe
    dataset: Dataset


@dataclass(frozen=True)
class FinishedStudy:
    """A study, with the rows that are finished.

    Attributes:
        study: the checked file.
        overrides: the command line's changes to all rows.
        rows: the finished rows, by name, in the file's order.
        unfinished: row -> why it is missing.
        resamples: for each interval and test.
        seed: of the resampling.
        data: the rows that run nothing, by name.
    """

    study: Study
    overrides: tuple[str, ...]
    rows: Mapping[str, FinishedRow]
    unfinished: Mapping[str, str]
    resamples: int = 10_000
    seed: int = 0
    data: Mapping[str, DataRow] = field(default_factory=dict)

    @property
    def simulated(self) -> bool:
        """Whether any row's data were made by a program."""
        return any(row.facts["simulated"] for row in self.rows.values()) or any(
            row.dataset.simulated for row in self.data.values()
        )

    @property
    def embedded(self) -> bool:
        """Whether any row is the embedded variant of its recipe."""
        return any(row.facts["embedded"] for row in self.rows.values()) or any(
            row.recipe.embedded for row in self.data.values()
        )

    def mark(self) -> str:
        """Return the end of every title: simulated data, embedded recipes, rows left out."""
        marks = ["simulated data"] * self.simulated + ["embedded variant"] * self.embedded
        rows, left_out = len(self.study.rows), len(self.study.left_out)
        marks += [f"partial: {rows} of {rows + left_out} rows"] if left_out else []
        return f" ({', '.join(marks)})" if marks else ""

    @property
    def text(self) -> bool:
        """Whether queries are captions; otherwise they are sounds."""
        if self.study.options.queries is not None:
            return self.study.options.queries == "text"
        ranked = (query for row in self.rows.values() for query in row.ranked.rows)
        return any(query.text is not None for query in ranked)

    @property
    def datasets(self) -> dict[str, tuple[Recipe, Dataset]]:
        """The recipe and the data of every row, also of rows that run nothing."""
        datasets = {name: (row.recipe, row.dataset) for name, row in self.rows.items()}
        return datasets | {name: (row.recipe, row.dataset) for name, row in self.data.items()}

    @cached_property
    def comparisons(self) -> tuple[Comparison, ...]:
        """Comparisons of rows, by name; the first contains the reference, if that is finished.

        Only rows that ranked the same queries by the same rules can be compared: each such group
        has a comparison of its own.
        """
        groups: dict[Any, dict[Path, str]] = {}
        first = self.study.reference
        for name in sorted(self.rows, key=lambda name: name != first):
            row = self.rows[name]
            queries = tuple((query.direction, query.id) for query in row.ranked.rows)
            alike = groups.setdefault((tuple(row.ranked.protocol.items()), queries), {})
            alike.setdefault(row.folder, name)
        return tuple(
            compare(
                list(group),
                names=list(group.values()),
                resamples=self.resamples,
                seed=self.seed,
            )
            for group in groups.values()
        )

    def values(self, name: str) -> dict[str, Value]:
        """Return every figure of a finished row, by :data:`comparison.resampling.FIGURES`."""
        twin = self._twin(name)
        return {
            value.figure: value
            for comparison in self.comparisons
            for value in comparison.values
            if value.run == twin
        }

    def differences(self, name: str) -> dict[str, Difference]:
        """Return every figure's difference to the reference.

        Empty for the reference itself, a row that shares its run, and rows that were not measured
        like it.
        """
        reference = self.study.reference
        if reference not in self.rows:
            return {}
        twin = self._twin(name)
        return {
            difference.figure: difference
            for difference in self.comparisons[0].differences
            if (difference.run, difference.against) == (twin, reference)
        }

    def unlike(self, name: str) -> str:
        """Return how a row was measured differently from the reference; empty = alike."""
        reference = self.rows.get(self.study.reference)
        if reference is None:
            return ""
        own, other = self.rows[name].ranked, reference.ranked
        differ = [key for key, value in other.protocol.items() if own.protocol[key] != value]
        if not differ and len(own.rows) != len(other.rows):
            differ = ["queries"]
        return ", ".join(differ)

    def _twin(self, name: str) -> str:
        """Return the row whose name a comparison uses for this row's run."""
        folder = self.rows[name].folder
        order = sorted(self.rows, key=lambda name: name != self.study.reference)
        return next(row for row in order if self.rows[row].folder == folder)


def open_study(
    study: Study,
    plan: Mapping[str, Planned],
    unfinished: Mapping[str, str],
    *,
    overrides: Sequence[str] = (),
    resamples: int = 10_000,
    seed: int = 0,
) -> FinishedStudy:
    """Open the finished rows of a study.

    Args:
        study: the study.
        plan: the state of its rows.
        unfinished: row -> why it is missing, if known.
        overrides: the command line's changes to all rows.
        resamples: for each interval and test.
        seed: of the resampling.

    Raises:
        RunError: no row is finished.
    """
    rows: dict[str, FinishedRow] = {}
    missing: dict[str, str] = {}
    data: dict[str, DataRow] = {}
    for name, planned in plan.items():
        row = planned.resolved.row
        if not row.options.runs:
            data[name] = DataRow(row, planned.resolved.recipe, planned.dataset)
            continue
        if planned.state != "cached" or planned.folder is None:
            missing[name] = unfinished.get(name, "not finished")
            continue
        trained = plan[row.base].folder
        assert trained is not None  # a measured row has a trained base
        try:
            ranked = load_ranked_run(planned.folder)
            results = read_json(planned.folder / "results.json", RunResults)
        except VarkitError as error:
            missing[name] = error.line
            continue
        rows[name] = FinishedRow(
            row=row,
            folder=planned.folder,
            trained=trained,
            recipe=planned.resolved.recipe,
            dataset=planned.dataset,
            ranked=ranked,
            results=results,
            other_code=planned.other_code,
        )
    if not rows and not data:
        why = "; ".join(f"{name}: {reason}" for name, reason in missing.items())
        raise RunError(f"no row of {study.name} is finished: {why}")
    return FinishedStudy(study, tuple(overrides), rows, missing, resamples, seed, data)
