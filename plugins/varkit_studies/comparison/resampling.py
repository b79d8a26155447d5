"""Bootstrap intervals, randomisation tests and Holm's correction for figures of retrieval.

The resampled unit is the cluster of videos that are right for the same queries, mostly a single
video, with its queries in both directions and in all runs. All figures are sums over clusters
divided by sums over clusters, and many clusters contribute the same values. So only the distinct
contributions are drawn, with their frequencies: the distribution is the same as when drawing
clusters, and 100,000 videos cost little more than 290.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank import RECALLS

Floats = NDArray[np.float64]

FIGURES = (*(f"{way}.R@{k}" for way in DIRECTIONS for k in RECALLS), "SumR")
"""The F = 7 figures that are compared: means over queries, and their sum."""
LIMITS = np.array([100.0] * (len(FIGURES) - 1) + [100.0 * (len(FIGURES) - 1)])
"""(F,) the largest value of each figure."""
LEVEL = 0.95
_CELLS = 4_000_000  # numbers drawn at once
_ROUNDING = 1e-9


def figures(counts: Floats, hits: Floats) -> Floats:
    """Return (..., F) figures from the numbers of searches and of right answers.

    Args:
        counts: (..., 2) queries and videos that search; a figure over none is NaN.
        hits: (..., 6) how many find a right answer among the first K, K = 1, 5, 10 in both
            directions.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        recalls = 100 * hits / np.repeat(counts, len(RECALLS), axis=-1)
    return np.concatenate([recalls, recalls.sum(-1, keepdims=True)], axis=-1)


def bootstrap(
    counts: Floats, hits: Floats, *, resamples: int, random: np.random.Generator
) -> Floats:
    """Return the figures of X runs on R resamples of C clusters, drawn with replacement.

    Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 6; for clusters, Davison
    and Hinkley, Bootstrap Methods and their Application (1997), section 3.8. All runs share each
    resample, so differences between runs are paired.

    Args:
        counts: (C, 2) rows of each cluster in each direction.
        hits: (X, C, 6) how many of those are right at K, in each run.
        resamples: R.
        random: the random generator.

    Returns:
        (R, X, F) figures.
    """
    clusters = len(counts)
    contributions = np.concatenate([counts, *hits], axis=1)
    distinct, times = np.unique(contributions, axis=0, return_counts=True)
    totals = np.concatenate(
        [
            random.multinomial(clusters, times / clusters, size=size) @ distinct
            for size in _batches(resamples, len(distinct))
        ]
    )
    return figures(totals[:, None, :2], totals[:, 2:].reshape(resamples, len(hits), -1))


def interval(draws: Floats) -> Floats:
    """Return the (2, ...) limits of the middle 95 % of (R, ...) draws."""
    tail = (1 - LEVEL) / 2
    return np.asarray(np.nanquantile(draws, (tail, 1 - tail), axis=0))


def interval_with_trainings(
    value: Floats, draws: Floats, seeds: Sequence[Floats], *, random: np.random.Generator
) -> Floats:
    """Return (2, F) 95 % limits that cover the choice of trainings as well as of videos.

    Student's t with the sum of the variances over videos and over trainings, and the degrees of
    freedom of Welch (1947) and Satterthwaite (1946). Two or three trainings say little about
    their spread, and a bootstrap over them would hide that. The effect of a training on single
    videos counts in both variances, so the interval is too wide rather than too narrow.

    Args:
        value: (F,) the figures of a run, or their differences.
        draws: (R, F) bootstrap draws of them, over videos.
        seeds: (S, F) figures of each training, S at least 2: one array for a run or for the
            differences of two measurements of the same weights, two for independent trainings.
        random: the random generator, for the quantiles of t.
    """
    spread = np.array([each.var(axis=0, ddof=1) / len(each) for each in seeds])
    freedom = np.array([[len(each) - 1] for each in seeds])
    total = draws.var(axis=0, ddof=1) + spread.sum(axis=0)
    # If trainings agree exactly, the degrees of freedom are so many that t is normal.
    least = _ROUNDING * total**2 + np.finfo(np.float64).tiny  # total is 0 if nothing varies
    degrees = total**2 / np.maximum((spread**2 / freedom).sum(axis=0), least)
    size = np.abs(random.standard_t(np.maximum(degrees, 1), size=draws.shape))
    reach = np.quantile(size, LEVEL, axis=0) * np.sqrt(total)
    return np.stack([value - reach, value + reach])


def randomisation_test(
    counts: Floats, change: Floats, *, resamples: int, random: np.random.Generator
) -> Floats:
    """Return (F,) two-sided p-values of the differences between two runs.

    Fisher's randomisation test on pairs: under the null hypothesis the two runs' results on a
    cluster can be swapped, which flips the sign of its change. The observed change counts as one
    of the draws, so p is never 0.

    Args:
        counts: (C, 2) rows of each cluster in each direction.
        change: (C, 6) how many more of them are right at K in one run than in the other.
        resamples: R.
        random: the random generator.
    """
    total = counts.sum(axis=0)
    observed = np.abs(figures(total, change.sum(axis=0))) - _ROUNDING
    distinct, times = np.unique(change, axis=0, return_counts=True)
    beyond = np.zeros(len(FIGURES))
    for size in _batches(resamples, len(distinct)):
        signs = 2 * random.binomial(times, 0.5, size=(size, len(times))) - times
        beyond += (np.abs(figures(total, signs @ distinct)) >= observed).sum(axis=0)
    return np.asarray((1 + beyond) / (1 + resamples))


def holm(p: Floats) -> Floats:
    """Return p-values of m tests, corrected so that they bound the chance of any false alarm.

    Holm, A Simple Sequentially Rejective Multiple Test Procedure (1979).

    >>> holm(np.array([0.01, 0.04, 0.03])).tolist()
    [0.03, 0.06, 0.06]
    """
    order = np.argsort(p)
    steps = p[order] * np.arange(len(p), 0, -1)
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1, np.maximum.accumulate(steps))
    return corrected


def _batches(resamples: int, columns: int) -> Iterator[int]:
    most = max(1, _CELLS // columns)
    while resamples > 0:
        yield min(most, resamples)
        resamples -= most
