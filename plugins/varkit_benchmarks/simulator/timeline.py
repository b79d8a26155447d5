"""How long a video is, and when something happens in it.

All numbers are fits to the benchmarks' own annotations; lengths are relative to the median.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit_benchmarks.simulator.world import Rng, Task

SHORTEST = 6
"""Clips; UCF-Crime has a few videos below 16."""


@dataclass(frozen=True)
class Law:
    """How a split's lengths and anomalies are distributed.

    Attributes:
        spread: sigma of the log-normal body of lengths.
        tail: share of videos that are much longer than the body.
        fraction: Beta parameters of the share of a video that its event fills.
        one: probability that a segment of the event is its last.
    """

    spread: float
    tail: float
    fraction: tuple[float, float]
    one: float


LAWS: Mapping[tuple[Task, bool], Law] = {
    # UCF-Crime: 1,854 durations; event labels of 810 training and intervals of 140 test videos.
    ("text", False): Law(0.96, 0.05, (1.29, 2.81), 0.51),
    ("text", True): Law(0.96, 0.02, (0.88, 3.57), 0.89),
    # XD-Violence: time stamps of 2,891 names; intervals of 500 test videos.
    ("audio", False): Law(0.87, 0.0, (0.81, 1.34), 0.48),
    ("audio", True): Law(0.87, 0.0, (0.81, 1.34), 0.48),
}
TAIL = 9.0, 30.0
"""Lengths of the tail, in medians."""


def draw_length(rng: Rng, law: Law, *, median: float, longest: int) -> int:
    """Draw T."""
    if rng.random() < law.tail:
        ratio = np.exp(rng.uniform(*np.log(TAIL)))
    else:
        ratio = np.exp(rng.normal(0, law.spread))
    return int(np.clip(round(median * ratio), SHORTEST, longest))


def draw_segments(rng: Rng, law: Law, length: int) -> list[tuple[int, int]]:
    """Draw the clips [start, end) of an event: ascending segments, at least one clip each.

    Starts lean to the middle: of a lone segment, the median is 37 % of the video.
    """
    total = max(1, round(length * rng.beta(*law.fraction)))
    count = min(int(rng.geometric(law.one)), 1 + total // 4)
    free = length - total
    count = min(count, free + 1)
    sizes = 1 + rng.multinomial(total - count, rng.dirichlet(np.full(count, 2.0)))
    weights = np.array([1.5] + [1.0] * (count - 1) + [2.0])
    gaps = rng.multinomial(free - (count - 1), rng.dirichlet(weights))
    gaps[1:-1] += 1
    starts = np.cumsum(gaps[:-1]) + np.concatenate([[0], np.cumsum(sizes)[:-1]])
    return [(int(s), int(s + n)) for s, n in zip(starts, sizes, strict=True)]


def envelope(segments: list[tuple[int, int]], length: int) -> NDArray[np.float64]:
    """Return (T,) how strongly an event shows: 1 inside, fading over one clip at either side."""
    strength = np.zeros(length)
    for start, end in segments:
        strength[start:end] = 1
        for edge in (start - 1, end):
            if 0 <= edge < length:
                strength[edge] = max(strength[edge], 0.4)
    return strength
