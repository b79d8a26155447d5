"""Counts right answers by video, which is the resampled unit, and by training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from varkit.evaluation.metrics import DIRECTIONS, RECALLS
from varkit.evaluation.rank_files import RankRow
from varkit_studies.comparison.ranked_run import RankedRun
from varkit_studies.comparison.resampling import Floats, figures


def video_rows(rows: Sequence[RankRow]) -> dict[str, RankRow]:
    """Return video -> one of its rows, for the label and classes; sorted by video."""
    return {row.video: row for row in sorted(rows, key=lambda row: row.video)}


def by_video(runs: Sequence[RankedRun]) -> tuple[Floats, Floats]:
    """Count the rows of each of V videos, and how many are right at K = 1, 5, 10.

    Args:
        runs: X runs with the same rows.

    Returns:
        (V, 2) rows in each direction, videos in the order of :func:`video_rows`; (X, V, 6) how
        many of those have a rank of at most K, averaged over trainings and sampler seeds.
    """
    rows = runs[0].rows
    place = {video: v for v, video in enumerate(video_rows(rows))}
    way = np.array([DIRECTIONS.index(row.direction) for row in rows])
    at = (np.array([place[row.video] for row in rows]), way)
    counts = np.zeros((len(place), len(DIRECTIONS)))
    np.add.at(counts, at, 1)
    hits = np.zeros((len(runs), len(place), len(DIRECTIONS), len(RECALLS)))
    for run, counted in zip(runs, hits, strict=True):
        for k, recall in enumerate(RECALLS):
            np.add.at(counted[..., k], at, (run.ranks <= recall).mean(axis=(0, 1)))
    return counts, hits.reshape(len(runs), len(place), -1)


def figures_of_seeds(run: RankedRun) -> Floats:
    """Return the (S, F) figures of each training, means over its sampler seeds."""
    ways = np.array([DIRECTIONS.index(row.direction) for row in run.rows])
    counts = np.bincount(ways, minlength=len(DIRECTIONS)).astype(np.float64)
    hits = [
        (run.ranks[:, :, ways == way] <= recall).mean(axis=1).sum(axis=1)
        for way in range(len(DIRECTIONS))
        for recall in RECALLS
    ]
    return figures(counts, np.stack(hits, axis=1))
