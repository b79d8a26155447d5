"""Finds the queries that two runs rank differently."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank import RECALLS
from varkit_studies.comparison.ranked_run import RankedRun


@dataclass(frozen=True)
class Move:
    """A query, or a video that searches for its query, with different ranks in two runs.

    Attributes:
        direction: ``query_to_video`` or ``video_to_query``.
        id: of the query, or of the video, that searches.
        video: the query's video.
        label: of that video, 1 = anomalous, 0 = normal, None = unknown.
        classes: of that video.
        text: the caption; None if there is none.
        run: name of the run.
        against: name of the run that it is compared with.
        rank: in ``run``, the median over trainings and sampler seeds.
        rank_against: likewise in ``against``.
        gains: each K at which the share of trainings and sampler seeds with a right answer is
            higher in ``run`` by at least one half.
        loses: each K at which it is lower by at least one half.
    """

    direction: str
    id: str
    video: str
    label: int | None
    classes: tuple[str, ...]
    text: str | None
    run: str
    against: str
    rank: float
    rank_against: float
    gains: tuple[int, ...]
    loses: tuple[int, ...]


@dataclass(frozen=True)
class Flips:
    """How many answers are right in one run and wrong in the other.

    An answer that is right in some trainings, sampler seeds or orders of ties counts in part, so
    that R@K differs by gains minus losses.

    Attributes:
        run: name of the run.
        against: name of the run that it is compared with.
        direction: ``query_to_video`` or ``video_to_query``.
        k: right = among the first k.
        gains: right only in ``run``.
        loses: right only in ``against``.
    """

    run: str
    against: str
    direction: str
    k: int
    gains: float
    loses: float


def moves(against: RankedRun, run: RankedRun, names: tuple[str, str]) -> list[Move]:
    """Return every query that moved, sorted by the ratio of its two ranks, largest first.

    A move from 20 to 2 is as large as one from 100 to 10, since users see the first places.

    Args:
        against: the run that ``run`` is compared with.
        run: has the same rows.
        names: of ``against`` and ``run``.
    """
    before, after = (np.median(each.ranks, axis=(0, 1)) for each in (against, run))
    size = np.abs(np.log(after / before))
    change = _changes(against, run)
    moved = []
    for i in np.argsort(-size, kind="stable").tolist():
        gains = tuple(k for k, own in change.items() if own[i] >= 0.5)
        loses = tuple(k for k, own in change.items() if own[i] <= -0.5)
        if not (size[i] or gains or loses):
            continue
        row = run.rows[i]
        moved.append(
            Move(
                direction=row.direction,
                id=row.id,
                video=row.video,
                label=row.label,
                classes=row.classes,
                text=row.text,
                run=names[1],
                against=names[0],
                rank=float(after[i]),
                rank_against=float(before[i]),
                gains=gains,
                loses=loses,
            )
        )
    return moved


def flips(against: RankedRun, run: RankedRun, names: tuple[str, str]) -> Iterator[Flips]:
    """Yield how many answers flipped between two runs with the same rows."""
    ways = np.array([row.direction for row in run.rows])
    for way in DIRECTIONS:
        for k, change in _changes(against, run).items():
            own = change[ways == way]
            gains, loses = own[own > 0].sum(), abs(own[own < 0].sum())
            yield Flips(names[1], names[0], way, k, float(gains), float(loses))


def _changes(against: RankedRun, run: RankedRun) -> dict[int, NDArray[np.float64]]:
    """Return K -> (N,) increase of the share of right answers."""
    change = run.hits.mean(axis=(0, 1)) - against.hits.mean(axis=(0, 1))
    return dict(zip(RECALLS, change.T, strict=True))
