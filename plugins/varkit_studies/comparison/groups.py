"""Differences by groups of videos: a mean over a benchmark hides where a run gains and loses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from varkit.evaluation.rank_files import RankRow
from varkit_studies.comparison.ranked_run import RankedRun
from varkit_studies.comparison.resampling import FIGURES, bootstrap, figures, interval
from varkit_studies.comparison.videos import by_video, video_rows

FEW = 10
"""Groups of fewer videos get no interval: so few say too little about others like them."""


@dataclass(frozen=True)
class GroupDifference:
    """A figure of two runs on the videos of a group; ranks are those among all videos.

    Attributes:
        by: what makes the group.
        name: of the group.
        videos: how many it has.
        run: the one run.
        against: the other.
        figure: one of :data:`varkit_studies.comparison.resampling.FIGURES`.
        value: of ``run``.
        value_against: of ``against``.
        difference: the first minus the second.
        interval: 95 % of the difference, over the group's videos, paired, corrected for nothing;
            None of fewer than :data:`FEW` videos.
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
    """Yield the differences of pairs of runs, (against, run), on abnormal, normal, each class."""
    counts, hits = by_video(runs)
    for by, group, inside in _groups(runs[0].rows):
        own, right = counts[inside], hits[:, inside]
        # Where equal captions are one query, all queries of a group may belong to other videos.
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
                    videos=len(own),
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
) -> Iterator[tuple[Literal["label", "class"], str, NDArray[np.bool_]]]:
    """Yield groups that have a video, and (V,) which videos are inside."""
    videos = list(video_rows(rows).values())
    for label, name in ((1, "abnormal"), (0, "normal")):
        yield "label", name, np.array([video.label == label for video in videos])
    for name in sorted({name for video in videos for name in video.classes}):
        yield "class", name, np.array([name in video.classes for video in videos])
