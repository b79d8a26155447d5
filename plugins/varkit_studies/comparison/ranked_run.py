"""Reads the ranks of a run, and checks whether runs can be compared."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired

import numpy as np
from numpy.typing import NDArray
from typing_extensions import TypedDict

from varkit.errors import RunError
from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank_files import RankRow, read_ranks
from varkit.evaluation.results import MODELS
from varkit.interfaces.settings import Measured, Which
from varkit.runs.folder import Facts
from varkit.system.records import read_json


class _Report(TypedDict):
    SumR: float
    positives: str
    tie_rule: str


class _Training(TypedDict):
    best: _Report | None
    last: _Report | None
    given: NotRequired[_Report]


class _Results(TypedDict):
    split: str
    seeds: dict[str, _Training]


@dataclass(frozen=True)
class RankedRun:
    """A run that was measured.

    Attributes:
        folder: of the run.
        facts: its ``run.json``.
        checkpoint: which model of each training was measured.
        selection: how ``best`` was selected (``train.select``).
        protocol: name -> value of everything that must be equal for figures to be comparable.
        seeds: of its S trainings.
        rows: the N queries and videos that searched, sorted by direction and identifier.
        ranks: (S, P, N) float64, by training, sampler seed and row.
        hits: (S, P, N, 3) float64, the chances of a right answer among the first 1, 5 and 10.
    """

    folder: Path
    facts: Facts
    checkpoint: Measured
    selection: str
    protocol: Mapping[str, str]
    seeds: tuple[int, ...]
    rows: tuple[RankRow, ...]
    ranks: NDArray[np.float64]
    hits: NDArray[np.float64]

    @property
    def trained(self) -> tuple[str, ...]:
        """``(recipe, name)`` of the run whose weights were measured: this run, or another.

        These are the last two parts of its folder: the rest depends on the working directory.
        """
        source = self.facts.get("measured_from")
        return (self.folder.resolve() if source is None else Path(source["run"])).parts[-2:]


def load_ranked_run(folder: Path, checkpoint: Which | None = None) -> RankedRun:
    """Read a run's provenance, results and ranks.

    Args:
        folder: of the run.
        checkpoint: which model; None = the selected one, if there is one. Given scores, of which
            it is unknown, are read whatever is asked for.

    Raises:
        RunError: the folder is not a run, the run is not finished, has no ranks or no such
            checkpoint, or one of its files is damaged.
    """
    facts = _facts(folder)
    path = folder / "results.json"
    if not path.exists():
        raise RunError(
            f"{folder} is not finished: it has no results.json",
            hint=f"varkit resume {shlex.quote(str(folder))}",
        )
    results = read_json(path, _Results)
    seeds = tuple(facts["seeds"])
    lacking = [str(seed) for seed in seeds if str(seed) not in results["seeds"]]
    if lacking or not seeds:
        raise RunError(f"{path} is damaged: it has no results of seed {', '.join(lacking) or 0}")
    trainings = [results["seeds"][str(seed)] for seed in seeds]
    measured = [which for which in MODELS if trainings[0].get(which) is not None]
    if not measured:
        raise RunError(f"{path} is damaged: it has no results of any checkpoint")
    which = measured[0] if checkpoint is None or measured == ["given"] else checkpoint
    reports = [report for training in trainings if (report := training.get(which)) is not None]
    if len(reports) < len(seeds):
        raise RunError(
            f"{folder} has no {which} checkpoint: its selection is {facts['selection']!r}",
            hint=f"give --checkpoint {measured[0]}",
        )
    protocol = {
        "questions": facts["questions"],
        "simulated": "yes" if facts["simulated"] else "no",
        "split": results["split"],
        "positives rule": reports[0]["positives"],
        "tie rule": reports[0]["tie_rule"],
    }
    sums = [report["SumR"] for report in reports]
    files = [folder / f"seed-{seed}" / "ranks" / f"{which}.jsonl" for seed in seeds]
    again = [_measure_again(folder, seed, facts) for seed in seeds]
    read = [_read(file, hint) for file, hint in zip(files, again, strict=True)]
    for file, (rows, ranks, hits), total, hint in zip(files, read, sums, again, strict=True):
        if ranks.shape != read[0][1].shape or _keys(rows) != _keys(read[0][0]):
            raise RunError(f"{file} and {files[0]} hold different queries or sampler seeds")
        summed = _sum_of_recalls(rows, hits)
        if abs(summed - total) > 1e-6:
            raise RunError(
                f"{file} and {path} are of different measurements: SumR {summed:.4f} and "
                f"{total:.4f}",
                hint=hint,
            )
    return RankedRun(
        folder=folder,
        facts=facts,
        checkpoint=which,
        selection=facts["selection"],
        protocol=protocol,
        seeds=seeds,
        rows=read[0][0],
        ranks=np.stack([ranks for _, ranks, _ in read]),
        hits=np.stack([hits for _, _, hits in read]),
    )


def mismatches(runs: Sequence[RankedRun], names: Sequence[str]) -> tuple[str, ...]:
    """Return the entries of the protocol in which runs differ, with each run's value.

    Raises:
        RunError: the runs ranked different queries, so they cannot be paired.
    """
    for run, name in zip(runs, names, strict=True):
        if _keys(run.rows) != _keys(runs[0].rows):
            here, there = set(_keys(run.rows)), set(_keys(runs[0].rows))
            way, some = min(here ^ there)
            raise RunError(
                f"{names[0]} and {name} ranked different queries: {len(here - there)} only in "
                f"{run.folder}, {len(there - here)} only in {runs[0].folder}, such as "
                f"{way} {some!r}",
                hint="compare runs on the same split of the same data",
            )
    differing = []
    for key in runs[0].protocol:
        values = [run.protocol[key] for run in runs]
        if len(set(values)) > 1:
            each = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            differing.append(f"{key}: {each}")
    return tuple(differing)


def _facts(folder: Path) -> Facts:
    return read_json(folder / "run.json", Facts)


def _read(
    file: Path, hint: str | None
) -> tuple[tuple[RankRow, ...], NDArray[np.float64], NDArray[np.float64]]:
    """Return the rows of the first sampler seed, (P, N) ranks and (P, N, 3) hits."""
    if not file.exists():
        raise RunError(f"the ranks of a training are missing: {file}", hint=hint)
    try:
        unsorted = read_ranks(file)
    except RunError as error:
        raise RunError(error.what, hint=hint) from error
    rows = sorted(unsorted, key=lambda row: (row.repeat, row.direction, row.id))
    repeats = rows[-1].repeat + 1
    ranks = np.array([row.rank for row in rows], dtype=np.float64).reshape(repeats, -1)
    hits = np.array([row.hits for row in rows]).reshape(*ranks.shape, -1)
    return tuple(rows[: ranks.shape[1]]), ranks, hits


def _measure_again(folder: Path, seed: int, facts: Facts) -> str | None:
    """Return the command that writes the ranks of a training again, if it is known."""
    if "measured_from" in facts or "made_from" in facts:
        return facts.get("command")
    results = folder / f"seed-{seed}" / "results.json"
    return f"rm -f {shlex.quote(str(results))} && varkit resume {shlex.quote(str(folder))}"


def _keys(rows: Sequence[RankRow]) -> list[tuple[str, str]]:
    return [(row.direction, row.id) for row in rows]


def _sum_of_recalls(rows: Sequence[RankRow], hits: NDArray[np.float64]) -> float:
    ways = np.array([row.direction for row in rows])
    return sum(100 * float(hits[:, ways == w].mean(axis=(0, 1)).sum()) for w in DIRECTIONS)
