"""Counts right answers by cluster of videos, which is the resampled unit, and by training.

Videos that share a right query answer together: equal captions have one vector, so they rank alike.
Drawing such videos one by one counts the same answer as several.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np

from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank import RECALLS
from varkit_studies.comparison.ranked_run import RankedRun
from varkit_studies.comparison.resampling import Floats, figures


def by_cluster(
    runs: Sequence[RankedRun], videos: Collection[str] | None = None
) -> tuple[Floats, Floats]:
    """Count the rows of each of C clusters, and how many are right at K = 1, 5, 10.

    Args:
        runs: X runs with the same rows.
        videos: count only the rows of these; None = all.

    Returns:
        (C, 2) rows in each direction; (X, C, 6) how many of those have a right answer among the
        first K, averaged over trainings and sampler seeds.
    """
    # Runs with other rules for what is right may be compared by force: the coarser clusters hold.
    rows = min((run.rows for run in runs), key=lambda rows: len({row.cluster for row in rows}))
    kept = np.array([videos is None or row.video in videos for row in rows])
    names = np.array([row.cluster for row in rows])[kept]
    clusters, place = np.unique(names, return_inverse=True)
    at = (place, np.array([DIRECTIONS.index(row.direction) for row in rows])[kept])
    counts = np.zeros((len(clusters), len(DIRECTIONS)))
    np.add.at(counts, at, 1)
    hits = np.zeros((len(runs), len(clusters), len(DIRECTIONS), len(RECALLS)))
    for run, counted in zip(runs, hits, strict=True):
        np.add.at(counted, at, run.hits[:, :, kept].mean(axis=(0, 1)))
    return counts, hits.reshape(len(runs), len(clusters), -1)


def figures_of_seeds(run: RankedRun) -> Floats:
    """Return the (S, F) figures of each training, means over its sampler seeds."""
    ways = np.array([DIRECTIONS.index(row.direction) for row in run.rows])
    counts = np.bincount(ways, minlength=len(DIRECTIONS)).astype(np.float64)
    hits = [run.hits[:, :, ways == way].mean(axis=1).sum(axis=1) for way in range(len(DIRECTIONS))]
    return figures(counts, np.concatenate(hits, axis=1))
