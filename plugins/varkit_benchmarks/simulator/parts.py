"""What a video shows, clip by clip: its events, where it comes from, and false alarms."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from varkit.interfaces import Array, derive_seed
from varkit_benchmarks.simulator.population import Happening, SimulatedVideo
from varkit_benchmarks.simulator.world import Rng, Task

ALWAYS = ("scene", "time", "actor", "colour", "thing", "noun")
"""Shown in every clip; the other factors in their event's clips only."""
SAID = ("noun", "verb")
"""Of captions that were written elsewhere: there is nothing but the words to say how it looks."""

CODE = 24
"""Numbers of the code by which sound and picture show where a video comes from."""
FILM = 0.4
"""Share that a film or channel has in the code of its videos; the rest is the video's own."""
STATES, SHOT = 4, 0.08
"""Speech, music and the like, and the probability that another one begins at a clip."""
ALARM = 0.02
"""Probability that something that looks like a threat, and is none, begins at a clip."""


@dataclass(frozen=True)
class Part:
    """One thing that a video shows.

    Attributes:
        factor: what kind of thing, a name in :data:`~.signals.STRENGTH`.
        value: which one; things of one factor and value look the same in all videos.
        shown: how strongly all clips show it, or (T + 1,) every clip; where a stream has a clip
            more than the video counts, that one too.
    """

    factor: str
    value: object
    shown: float | Array


def parts(video: SimulatedVideo, seed: int, task: Task) -> list[Part]:
    """Return everything that a video shows.

    Args:
        video: the video.
        seed: of the world.
        task: sounds come with a code of their source, and with states.
    """
    rng, length = _rng(seed, "parts", video.twin), video.clips + 1
    found: list[Part] = []
    for number, happening in enumerate(video.happenings):
        during, after = _when(rng, happening, length)
        looks = list(happening.scenario.factors().items())
        if number == 0:
            looks += [(p.factor, p.text) for p in video.phrases if p.factor in SAID]
        for factor, value in looks:
            if factor not in ALWAYS:
                found.append(Part(factor, value, after if factor == "outcome" else during))
            elif number == 0:
                found.append(Part(factor, value, 1.0))
        if happening.scenario.anomalous:
            found.append(Part("threat", None, during))
    found.append(Part("threat", None, _false_alarms(rng, length)))
    if task == "audio":
        film = _rng(seed, "film", video.source).standard_normal(CODE, np.float32)
        code = np.sqrt(FILM) * film + np.sqrt(1 - FILM) * rng.standard_normal(CODE, np.float32)
        found += [Part("code", i, float(x)) for i, x in enumerate(code)]
        shots = np.cumsum(rng.random(length) < SHOT)
        state = rng.integers(STATES, size=shots[-1] + 1)[shots]
        found += [Part("state", i, (state == i).astype(np.float32)) for i in range(STATES)]
    return found


def _when(rng: Rng, happening: Happening, length: int) -> tuple[Array, Array]:
    """Return (length,) how strongly an event shows, and how strongly its outcome does."""
    shown = np.zeros(length, np.float32)
    for start, end in happening.segments:
        for step, edge in ((-1, start - 1), (1, end)):
            for i in range(rng.integers(1, 3)):
                place = edge + step * i
                if 0 <= place < length:
                    shown[place] = max(shown[place], 0.5 / (i + 1))
    for start, end in happening.segments:
        shown[start:end] = 1
    return shown, shown * (np.arange(length) >= outcome_begins(happening))


def outcome_begins(happening: Happening) -> int:
    """Return the clip from which an event's outcome shows: the middle of its last segment."""
    return sum(happening.segments[-1]) // 2


def _false_alarms(rng: Rng, length: int) -> Array:
    """Return (length,) how strongly clips look like a threat for no reason."""
    shown = np.zeros(length, np.float32)
    for start in np.flatnonzero(rng.random(length) < ALARM):
        shown[start : start + rng.integers(1, 4)] = rng.uniform(0.3, 1.0)
    return shown


def _rng(*name: object) -> Rng:
    return np.random.default_rng(derive_seed(*name))
