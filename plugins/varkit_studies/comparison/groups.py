"""Differences by groups of videos: a mean over the whole test set hides gains and losses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from varkit.evaluation.rank_files import RankRow
from varkit_studies.comparison.clusters import by_cluster
from varkit_studies.comparison.ranked_run import RankedRun
from varkit_studies.comparison.resampling import FIGURES, bootstrap, figures, interval

FEW = 10
"""Groups of fewer videos, or clusters of videos, get no interval: so few say too little."""


@dataclass(frozen=True)
class GroupDifference:
    """A figure of two runs on the videos of a group; ranks are among all videos.

    Attributes:
        by: what defines the group.
        name: of the group.
        videos: how many it has.
        run: name of the run.
        against: name of the run that it is compared with.
        figure: one of :data:`varkit_studies.comparison.resampling.FIGURES`.
        value: of ``run``.
        value_against: of ``against``.
        difference: ``value`` minus ``value_against``.
        interval: 95 % of the difference, over the group's videos, paired, not corrected for
            multiple comparisons; None for fewer than :data:`FEW` clusters.
    """

    by: Literal["label", "class"]
    name: str
    videos: int
    run: str
    against: str
    figure: str
    value: float
    value_against: float
    difference: float
    interval: tuple[float, float] | None


def group_differences(
    runs: Sequence[RankedRun],
    pairs: Sequence[tuple[int, int]],
    names: Sequence[str],
    *,
    resamples: int,
    seed: int,
) -> Iterator[GroupDifference]:
    """Yield the differences of pairs (against, run) on abnormal videos, normal ones, each class."""
    for by, group, videos in _groups(runs[0].rows):
        own, right = by_cluster(runs, videos)
        # If equal captions are one query, a group may have no query of its own.
        if not own.sum(axis=0).all():
            continue
        values = figures(own.sum(axis=0), right.sum(axis=1))
        few = len(own) < FEW
        for a, b in pairs:
            limits = None
            if not few:
                random = np.random.default_rng(seed)
                draws = bootstrap(own, right[[a, b]], resamples=resamples, random=random)
                limits = interval(draws[:, 1] - draws[:, 0])
            for f, figure in enumerate(FIGURES):
                yield GroupDifference(
                    by=by,
                    name=group,
                    videos=len(videos),
                    run=names[b],
                    against=names[a],
                    figure=figure,
                    value=float(values[b, f]),
                    value_against=float(values[a, f]),
                    difference=float(values[b, f] - values[a, f]),
                    interval=None if limits is None else (limits[0, f], limits[1, f]),
                )


def _groups(
    rows: Sequence[RankRow],
) -> Iterator[tuple[Literal["label", "class"], str, set[str]]]:
    """Yield what defines a group, its name, and its videos."""
    for label, name in ((1, "abnormal"), (0, "normal")):
        yield "label", name, {row.video for row in rows if row.label == label}
    for name in sorted({name for row in rows for name in row.classes}):
        yield "class", name, {row.video for row in rows if name in row.classes}
