"""Reads the ranks of a run, and checks whether runs can be compared."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.errors import RunError, did_you_mean
from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank_files import RankRow, read_ranks
from varkit.evaluation.results import MODELS
from varkit.interfaces.settings import Measured, Which
from varkit.system.files import read_json


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
    facts: Mapping[str, Any]
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
    results = read_json(path)
    seeds = tuple(facts["seeds"])
    try:
        trainings = [results["seeds"][str(seed)] for seed in seeds]
        measured = [which for which in MODELS if trainings[0].get(which) is not None]
        which = measured[0] if checkpoint is None or measured == ["given"] else checkpoint
        if any(training[which] is None for training in trainings):
            raise RunError(
                f"{folder} has no {which} checkpoint: its selection is {facts['selection']!r}",
                hint=f"give --checkpoint {measured[0]}",
            )
        reports = [training[which] for training in trainings]
        protocol = {
            "questions": str(facts.get("questions", facts["fingerprint"])),
            "simulated": "yes" if facts["simulated"] else "no",
            "split": str(results["split"]),
            "positives rule": str(reports[0]["positives"]),
            "tie rule": str(reports[0]["tie_rule"]),
        }
        sums = [float(report["SumR"]) for report in reports]
    except (KeyError, IndexError, TypeError, AttributeError, ValueError) as error:
        raise RunError(f"{path} is damaged, or of another version of varkit: {error!r}") from error
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
        selection=str(facts["selection"]),
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
        if key == "questions" and len({run.facts["fingerprint"] for run in runs}) == 1:
            continue  # an older run did not record them, and has the fingerprint in their place
        if len(set(values)) > 1:
            each = ", ".join(f"{name} {value}" for name, value in zip(names, values, strict=True))
            differing.append(f"{key}: {each}")
    return tuple(differing)


def _facts(folder: Path) -> Mapping[str, Any]:
    path = folder / "run.json"
    if not path.exists():
        near = [str(p.parent) for pattern in ("*", "*/*") for p in _runs(folder.parent, pattern)]
        raise RunError(
            f"{folder} is not a run: it has no run.json.{did_you_mean(str(folder), near)}",
            hint="name folders runs/<recipe>/<time>-<id>",
        )
    facts = read_json(path)
    if not isinstance(facts, dict) or facts.get("schema") != 1:
        raise RunError(f"{path} is damaged, or of another version of varkit")
    kinds = {"seeds": list, "selection": str, "fingerprint": str, "simulated": bool}
    wrong = [key for key, kind in kinds.items() if not isinstance(facts.get(key), kind)]
    if wrong:
        raise RunError(f"{path} is damaged: without {', '.join(wrong)}, or not as varkit writes it")
    return facts


def _runs(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(f"{pattern}/run.json")) if folder.is_dir() else []


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


def _measure_again(folder: Path, seed: int, facts: Mapping[str, Any]) -> str | None:
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
