"""How long videos are, and when something happens in them.

All numbers come from the benchmarks. For UCF-Crime: the frame counts of all 1,900 videos, the
intervals of its 140 anomalous test videos, and published event labels of 810 training videos. For
XD-Violence: the time stamps in 2,891 names and the intervals of its 500 violent test videos; other
lengths and the training intervals follow from its mean length and its test split.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit_simulator.draws import Rng, deal, evenly, interpolate, stratified
from varkit_simulator.events import NORMAL, Task

Segments = tuple[tuple[int, int], ...]
"""Ascending [start, end) in clips."""

FRAMES = 16
"""Frames of a clip."""
SECONDS: Mapping[Task, float] = {"text": FRAMES / 30, "audio": FRAMES / 24}
"""Length of a clip."""
SHORTEST = 6
"""Clips of UCF-Crime's shortest video."""


@dataclass(frozen=True)
class Law:
    """How a split's lengths and anomalies are distributed.

    Attributes:
        lengths: percent -> T. The first and the last percent are one video's share.
        fractions: percent -> share of a video that its events fill.
        counts: ascending numbers of segments, one per real video; evenly spaced ones are used.
        follow: how much the share depends on the logarithm of T.
        scatter: how much the number of segments varies around the logarithm of T.
        evenness: Dirichlet concentration of the lengths of a video's segments.
        edges: Dirichlet weights of the time before the first and after the last segment; between
            two segments it is 1.
    """

    lengths: Mapping[float, float]
    fractions: Mapping[float, float]
    counts: Sequence[int]
    follow: float
    scatter: float
    evenness: float
    edges: tuple[float, float]


def _repeat(*times: int) -> list[int]:
    """Return the numbers 1, 2, ..., each repeated as often as ``times`` says."""
    return [1 + count for count, often in enumerate(times) for _ in range(often)]


_XD_FRACTIONS = {
    0.1: 0.044, 5: 0.068, 10: 0.104, 25: 0.184, 50: 0.309, 75: 0.51, 90: 0.816, 95: 0.953, 97.5: 1,
}  # fmt: skip
_XD_COUNTS = _repeat(240, 105, 59, 26, 15, 22, 18, 4, 3, 2, 1, 1, 0, 0, 0, 1, 2, 0, 0, 0, 0, 1)

LAWS: Mapping[tuple[Task, str], Law] = {
    ("text", "train"): Law(
        lengths={
            0.06: 6, 1: 17, 5: 29, 10: 43, 25: 73, 50: 138.5, 75: 281, 90: 685, 95: 1598, 99: 6747,
            99.5: 10457, 99.9: 32144, 99.94: 61031,
        },
        fractions={0.12: 0.02, 5: 0.07, 25: 0.17, 50: 0.28, 75: 0.41, 95: 0.74, 99.88: 1},
        counts=_repeat(52, 25, 12, 6, 3, 1, 1),
        follow=-0.15,
        scatter=3.0,
        evenness=2,
        edges=(1.5, 2.0),
    ),
    ("text", "test"): Law(
        lengths={
            0.34: 9, 1: 15, 5: 27, 10: 37, 25: 66, 50: 111.5, 75: 225, 90: 477, 95: 727, 99: 1454,
            99.5: 4747, 99.66: 6749,
        },
        fractions={
            0.71: 0.01, 5: 0.032, 10: 0.043, 25: 0.079, 50: 0.141, 75: 0.284, 90: 0.431,
            95: 0.553, 99: 0.791, 99.29: 0.854,
        },
        counts=_repeat(124, 16),
        follow=-0.15,
        scatter=3.0,
        evenness=2,
        edges=(1.4, 1.5),
    ),
    ("audio", "train"): Law(
        lengths={
            0.03: 7.5, 1: 16.5, 5: 31.5, 10: 45, 25: 82, 50: 141, 75: 270, 90: 420, 95: 540,
            98: 1200, 99.5: 3000, 99.97: 9000,
        },
        fractions=_XD_FRACTIONS,
        counts=_XD_COUNTS,
        follow=0.1,
        scatter=0.7,
        evenness=1.2,
        edges=(0.7, 0.6),
    ),
    ("audio", "test"): Law(
        lengths={
            0.13: 13.5, 1: 19.5, 5: 27, 10: 40.5, 25: 72, 50: 113, 75: 220, 90: 352, 95: 540,
            98: 900, 99.87: 2400,
        },
        fractions=_XD_FRACTIONS,
        counts=_XD_COUNTS,
        follow=0.1,
        scatter=0.7,
        evenness=1.2,
        edges=(0.7, 0.6),
    ),
}  # fmt: skip

MEDIANS: Mapping[Task, float] = {"text": 138, "audio": 141}
"""Median T of a benchmark's training split."""

_XD_LENGTHS = {
    NORMAL: (130, 0.9), "Fighting": (91, 0.9), "Shooting": (67, 0.9), "Riot": (250, 0.9),
    "Abuse": (87, 0.9), "Car accident": (105, 0.9), "Explosion": (52, 0.9),
}  # fmt: skip
_LENGTHS: Mapping[tuple[Task, str], Mapping[str, tuple[float, float]]] = {
    # class: median T, standard deviation of log T; only the proportions of T matter
    ("text", "train"): {
        NORMAL: (146, 1.36), "Abuse": (174, 0.83), "Arrest": (194, 0.86), "Arson": (165, 0.97),
        "Assault": (93, 0.9), "Burglary": (173, 0.99), "Explosion": (81, 1.14),
        "Fighting": (237, 0.83), "RoadAccidents": (79, 0.88), "Robbery": (124, 0.77),
        "Shooting": (88, 0.93), "Shoplifting": (198, 1.09), "Stealing": (197, 0.86),
        "Vandalism": (128, 0.82),
    },
    ("text", "test"): {
        NORMAL: (104, 1.07), "Abuse": (93, 0.5), "Arrest": (227, 0.71), "Arson": (113, 0.81),
        "Assault": (506, 0.81), "Burglary": (226, 1.04), "Explosion": (119, 0.8),
        "Fighting": (140, 0.51), "RoadAccidents": (63, 0.74), "Robbery": (107, 0.3),
        "Shooting": (118, 0.8), "Shoplifting": (137, 0.88), "Stealing": (307, 0.5),
        "Vandalism": (91, 0.57),
    },
    ("audio", "train"): _XD_LENGTHS,
    ("audio", "test"): _XD_LENGTHS,
}  # fmt: skip
_FRACTION_BY_CLASS: Mapping[Task, Mapping[str, float]] = {
    # medians of UCF-Crime's test split; XD-Violence's classes hardly differ
    "text": {
        "Abuse": 0.05, "RoadAccidents": 0.09, "Shoplifting": 0.11, "Shooting": 0.11,
        "Explosion": 0.14, "Arrest": 0.20, "Burglary": 0.21, "Vandalism": 0.23, "Assault": 0.26,
        "Stealing": 0.28, "Robbery": 0.34, "Fighting": 0.37, "Arson": 0.39,
    },
    "audio": {},
}  # fmt: skip


def joined(segments: Iterable[tuple[int, int]]) -> Segments:
    """Return segments in order; those that overlap or touch become one."""
    apart: list[tuple[int, int]] = []
    for start, end in sorted(segments):
        if apart and start <= apart[-1][1]:
            apart[-1] = apart[-1][0], max(apart[-1][1], end)
        else:
            apart.append((start, end))
    return tuple(apart)


def draw_lengths(
    rng: Rng, task: Task, split: str, kinds: Sequence[str], *, scale: float, longest: int
) -> list[int]:
    """Draw T of all videos of a split.

    Args:
        rng: the split's own generator.
        task: captions or sounds.
        split: ``train`` or ``test``.
        kinds: (n,) the videos' (first) classes, on which lengths depend.
        scale: factor on the benchmark's lengths.
        longest: largest T; at least :data:`SHORTEST`.
    """
    shares = stratified(rng, len(kinds))
    drawn = scale * interpolate(LAWS[task, split].lengths, shares)
    known = [_LENGTHS[task, split][kind] for kind in kinds]
    latent = np.array([np.log(median) + rng.normal(0, sigma) for median, sigma in known])
    lengths = np.clip(np.round(drawn), SHORTEST, max(longest, SHORTEST)).astype(int)
    return [int(length) for length in deal(lengths, latent)]


def draw_intervals(
    rng: Rng,
    task: Task,
    split: str,
    kinds: Sequence[str],
    lengths: Sequence[int],
    least: NDArray[np.int_],
) -> list[Segments]:
    """Draw the clips in which something happens, for all anomalous videos of a split.

    Args:
        rng: the split's own generator.
        task: captions or sounds.
        split: ``train`` or ``test``.
        kinds: (n,) the videos' (first) classes.
        lengths: (n,) their T.
        least: (n,) smallest number of segments.

    Returns:
        For every video ascending [start, end), at least one clip each and between two.
    """
    law, count = LAWS[task, split], len(kinds)
    if not count:
        return []
    clips = np.array(lengths)
    often = np.log(clips) + law.scatter * rng.standard_normal(count) + 9 * (least > 1)
    counts = np.maximum(deal(evenly(law.counts, count), often), least)
    counts = np.minimum(counts, (clips + 1) // 2)
    typical = np.log([_FRACTION_BY_CLASS[task].get(kind, 0.3) for kind in kinds])
    latent = typical + 0.7 * rng.standard_normal(count) + law.follow * np.log(clips)
    fractions = deal(interpolate(law.fractions, stratified(rng, count)), latent)
    totals = np.clip(np.round(clips * fractions).astype(int), counts, clips - counts + 1)
    return [
        draw_segments(rng, law, *sizes)
        for sizes in zip(lengths, totals.tolist(), counts.tolist(), strict=True)
    ]


def draw_ordinary_segments(rng: Rng, law: Law, length: int) -> Segments:
    """Draw the clips in which something that is not an anomaly happens."""
    share = interpolate(law.fractions, rng.random(1))[0]
    count = law.counts[int(rng.integers(len(law.counts)))]
    return draw_segments(rng, law, length, round(length * share), count)


def draw_segments(rng: Rng, law: Law, length: int, total: int, count: int) -> Segments:
    """Draw ``count`` segments, or as many as fit, that fill ``total`` of a video's clips."""
    total = min(max(total, 1), length)
    count = max(1, min(count, total, length - total + 1))
    free = length - total
    least = 2 if total >= 3 * count else 1
    spare = total - least * count
    sizes = least + rng.multinomial(spare, rng.dirichlet(np.full(count, law.evenness)))
    weights = np.array([law.edges[0], *[1.0] * (count - 1), law.edges[1]])
    gaps = rng.multinomial(free - (count - 1), rng.dirichlet(weights))
    gaps[1:-1] += 1
    starts = np.cumsum(gaps[:-1]) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return tuple((int(s), int(s + n)) for s, n in zip(starts, sizes, strict=True))
