"""Figures of runs and their differences, with intervals and p-values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from varkit_studies.comparison.clusters import by_cluster, figures_of_seeds
from varkit_studies.comparison.ranked_run import RankedRun
from varkit_studies.comparison.resampling import (
    FIGURES,
    LIMITS,
    Floats,
    bootstrap,
    figures,
    holm,
    interval,
    interval_with_trainings,
    randomisation_test,
)

Limits = tuple[float, float]


@dataclass(frozen=True)
class Value:
    """A figure of a run.

    Attributes:
        run: its name.
        figure: one of :data:`varkit_studies.comparison.resampling.FIGURES`.
        value: mean over trainings and sampler seeds.
        interval: 95 %, over test videos, for these trainings.
        interval_trainings: 95 %, over test videos and trainings; None for a single training.
        sd_trainings: standard deviation over trainings; None for a single training.
    """

    run: str
    figure: str
    value: float
    interval: Limits
    interval_trainings: Limits | None
    sd_trainings: float | None


@dataclass(frozen=True)
class Difference:
    """How much higher a figure is in one run than in another.

    Attributes:
        run: name of the run.
        against: name of the run that it is compared with.
        figure: one of :data:`varkit_studies.comparison.resampling.FIGURES`.
        value: ``run`` minus ``against``.
        interval: 95 %, over test videos, for these trainings, paired.
        interval_trainings: 95 %, over test videos and trainings; None if a run has only one.
        p: of the randomisation test, two-sided, over test videos.
        p_holm: corrected for all differences of the comparison.
    """

    run: str
    against: str
    figure: str
    value: float
    interval: Limits
    interval_trainings: Limits | None
    p: float
    p_holm: float


def estimate(
    runs: Sequence[RankedRun],
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> tuple[tuple[Value, ...], tuple[Difference, ...]]:
    """Return every figure of every run, and every difference of every pair (against, run).

    The random generator is seeded anew for each run and each pair. Their results therefore do not
    depend on what else is compared, except for p-values corrected by Holm.

    Args:
        runs: with the same rows.
        pairs: positions of runs.
        names: of the runs.
        resamples: for each interval and test.
        seed: of the resampling.
    """
    counts, hits = by_cluster(runs)
    exact = figures(counts.sum(axis=0), hits.sum(axis=1))
    seeds = [figures_of_seeds(run) for run in runs]

    def draws_of(*chosen: int) -> Floats:
        random = np.random.default_rng(seed)
        return bootstrap(counts, hits[list(chosen)], resamples=resamples, random=random)

    p = np.array(
        [
            randomisation_test(
                counts,
                hits[b] - hits[a],
                resamples=resamples,
                random=np.random.default_rng(seed),
            )
            for a, b in pairs
        ]
    )
    corrected = holm(p.ravel()).reshape(p.shape)
    values: list[Value] = []
    for x, name in enumerate(names):
        draws = draws_of(x)[:, 0]
        narrow = interval(draws)
        wide = _wide(exact[x], draws, [seeds[x]], seed)
        values += (
            Value(
                run=name,
                figure=figure,
                value=float(exact[x, f]),
                interval=_limits(narrow, f),
                interval_trainings=None if wide is None else _limits(np.clip(wide, 0, LIMITS), f),
                sd_trainings=None if wide is None else float(seeds[x][:, f].std(ddof=1)),
            )
            for f, figure in enumerate(FIGURES)
        )
    differences: list[Difference] = []
    for i, (a, b) in enumerate(pairs):
        change = exact[b] - exact[a]
        first, second = draws_of(a, b).swapaxes(0, 1)
        narrow = interval(second - first)
        # Two measurements of the same weights vary together from training to training.
        same = runs[a].trained == runs[b].trained and runs[a].seeds == runs[b].seeds
        spread = [seeds[b] - seeds[a]] if same else [seeds[a], seeds[b]]
        wide = _wide(change, second - first, spread, seed)
        differences += (
            Difference(
                run=names[b],
                against=names[a],
                figure=figure,
                value=float(change[f]),
                interval=_limits(narrow, f),
                interval_trainings=None if wide is None else _limits(wide, f),
                p=float(p[i, f]),
                p_holm=float(corrected[i, f]),
            )
            for f, figure in enumerate(FIGURES)
        )
    return tuple(values), tuple(differences)


def _wide(value: Floats, draws: Floats, seeds: Sequence[Floats], seed: int) -> Floats | None:
    if any(len(each) < 2 for each in seeds):
        return None
    return interval_with_trainings(value, draws, seeds, random=np.random.default_rng(seed))


def _limits(limits: Floats, figure: int) -> Limits:
    return float(limits[0, figure]), float(limits[1, figure])
