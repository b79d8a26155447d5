"""Compares runs on the same test set."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from varkit.errors import RunError
from varkit.interfaces.settings import Which
from varkit.runs.find import find_run
from varkit_studies.code import different_code
from varkit_studies.comparison.clusters import by_cluster
from varkit_studies.comparison.estimates import Difference, Value, estimate
from varkit_studies.comparison.groups import GroupDifference, group_differences
from varkit_studies.comparison.moves import Flips, Move, flips, moves
from varkit_studies.comparison.ranked_run import RankedRun, load_ranked_run, mismatches


@dataclass(frozen=True)
class Comparison:
    """The result of :func:`compare`; ``docs/compare.md`` explains the intervals.

    Attributes:
        simulated: whether any run's data were made by a program.
        mismatches: differences in protocol that should not be there; empty = none.
        different_code: shared modules in which the runs' code differs.
        queries: how many queries searched for videos.
        videos: how many videos searched for queries.
        clusters: how many clusters of videos intervals and tests draw: videos that are right for
            the same query are one.
        largest: how many videos the largest of these has.
        resamples: for each interval and test.
        seed: of the resampling.
        runs: name -> provenance and protocol.
        values: every figure of every run.
        differences: of every pair and figure.
        groups: the same by groups of videos.
        flips: for each pair, how many answers are right in only one run.
        moves: for each pair, the queries with different ranks, largest moves first.
        skipped: runs that were left out since they are not finished.
    """

    simulated: bool
    mismatches: tuple[str, ...]
    different_code: tuple[str, ...]
    queries: int
    videos: int
    clusters: int
    largest: int
    resamples: int
    seed: int
    runs: dict[str, dict[str, Any]]
    values: tuple[Value, ...]
    differences: tuple[Difference, ...]
    groups: tuple[GroupDifference, ...]
    flips: tuple[Flips, ...]
    moves: tuple[Move, ...]
    skipped: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {"schema": 1, **asdict(self)}


def compare(
    folders: Sequence[Path],
    *,
    names: Sequence[str] | None = None,
    checkpoint: Which | None = None,
    all_pairs: bool = False,
    allow_mismatch: bool = False,
    resamples: int = 10_000,
    seed: int = 0,
) -> Comparison:
    """Compare measured runs, query by query; of several, those that are not finished are left out.

    Args:
        folders: of the runs; each is compared with the first.
        names: of the runs; None = letters.
        checkpoint: which model of each run; None = the selected one, if there is one.
        all_pairs: compare every run with every earlier one.
        allow_mismatch: compare despite different data, splits or rules, which the result lists.
        resamples: for each interval and test.
        seed: of the resampling; the same seed gives the same result.

    Raises:
        RunError: a folder cannot be used, or the runs cannot be compared.
    """
    folders = [find_run(folder) for folder in folders]
    names = _checked(folders, names)
    given, folders, names = folders, *_finished(folders, names)
    runs = [load_ranked_run(folder, checkpoint) for folder in folders]
    differ = mismatches(runs, names)
    if differ and not allow_mismatch:
        raise RunError(
            f"the runs were not measured alike: {'; '.join(differ)} ({_legend(names, folders)})",
            hint="measure them alike, or give --allow-mismatch; every table will then say so",
        )
    pairs = [(a, b) for a, b in combinations(range(len(runs)), 2) if a == 0 or all_pairs]
    ways = [row.direction for row in runs[0].rows]
    named = [(runs[a], runs[b], (names[a], names[b])) for a, b in pairs]
    counts, _ = by_cluster(runs)
    values, differences = estimate(runs, pairs, names, resamples=resamples, seed=seed)
    return Comparison(
        simulated=any(run.facts["simulated"] for run in runs),
        mismatches=differ,
        different_code=different_code(
            {
                name: run.facts.get("code")
                for name, run in zip(names, runs, strict=True)
                if "made_from" not in run.facts  # made from scores, so without code of its own
            }
        ),
        queries=ways.count("query_to_video"),
        videos=ways.count("video_to_query"),
        clusters=len(counts),
        largest=int(counts[:, 1].max()),
        resamples=resamples,
        seed=seed,
        runs={name: _described(run) for name, run in zip(names, runs, strict=True)},
        values=values,
        differences=differences,
        groups=tuple(group_differences(runs, pairs, names, resamples=resamples, seed=seed)),
        flips=tuple(flip for pair in named for flip in flips(*pair)),
        moves=tuple(move for pair in named for move in moves(*pair)),
        skipped=tuple(str(folder) for folder in given if folder not in folders),
    )


def _finished(
    folders: Sequence[Path], names: Sequence[str]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Return the finished runs and their names; a single run stays, finished or not.

    Raises:
        RunError: fewer than two of several runs are finished.
    """
    both = list(zip(folders, names, strict=True))
    done = [(folder, name) for folder, name in both if (folder / "results.json").exists()]
    if len(both) > 1 and len(done) < 2:
        waiting = [folder for folder in folders if not (folder / "results.json").exists()]
        raise RunError(
            f"fewer than two of these runs are finished; not {', '.join(map(str, waiting))}",
            hint=f"varkit resume {shlex.quote(str(waiting[0]))}",
        )
    kept, named = zip(*(done if len(both) > 1 else both), strict=True)
    return kept, named


def _checked(folders: Sequence[Path], names: Sequence[str] | None) -> Sequence[str]:
    """Return a name for each run: those given, or letters.

    Raises:
        RunError: a run is named twice, or there are too many; or two names are equal.
    """
    places = [folder.resolve() for folder in folders]
    for place, folder in zip(places, folders, strict=True):
        if places.count(place) > 1:
            raise RunError(f"{folder} is named twice: a run does not differ from itself")
    if len(folders) > len(ascii_uppercase):
        raise RunError(f"{len(folders)} runs are too many: at most {len(ascii_uppercase)}")
    if names is None:
        return ascii_uppercase[: len(folders)]
    if len(names) != len(folders) or len(set(names)) < len(names) or not all(names):
        raise RunError(
            f"{len(folders)} runs need as many names, all different; not {', '.join(names)}"
        )
    return names


def _legend(names: Sequence[str], folders: Sequence[Path]) -> str:
    return ", ".join(f"{name} is {folder}" for name, folder in zip(names, folders, strict=True))


def _described(run: RankedRun) -> dict[str, Any]:
    keys = ("recipe", "dataset", "fingerprint", "simulated", "embedded", "started")
    return {
        "folder": str(run.folder),
        **{key: run.facts.get(key) for key in keys},
        "checkpoint": run.checkpoint,
        "selection": run.selection,
        "seeds": list(run.seeds),
        "sampler_seeds": run.ranks.shape[1],
        **{key.replace(" ", "_"): value for key, value in run.protocol.items()},
    }
