"""What the features show: every factor of a scenario has a direction in every stream.

A clip's features are the sum of the directions of what it shows, each as strong as :data:`STRENGTH`
says, of the camera's own offset (the same in all clips of a video, and told by nobody), and of
noise. So the clips of a video's event are separable from the rest, but never cleanly, and an
average over a long video buries them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit.draws import derive_seed
from varkit_benchmarks.simulator.timeline import envelope
from varkit_benchmarks.simulator.world import Rng, Scenario

Signal = NDArray[np.float64]

STRENGTH: Mapping[str, tuple[float, float]] = {
    # factor: in object (appearance), in motion
    "scene": (0.5, 0.2),
    "time": (0.5, 0.0),
    "actor": (0.4, 0.2),
    "colour": (0.5, 0.0),
    "thing": (0.4, 0.0),
    "event": (0.5, 1.2),
    "target": (1.2, 0.4),
    "tool": (0.8, 0.8),
    "outcome": (0.2, 0.8),
}
ALWAYS = ("scene", "time", "actor", "colour", "thing")
"""Shown in every clip; the others in the event's clips only."""

SOURCE_SIZE = 24
STATES = 4


@dataclass(frozen=True)
class Knobs:
    """How hard it is.

    Attributes:
        width: D of every stream.
        noise: standard deviation of the noise of a clip, in every direction.
        camera: norm of a video's own offset.
        threat: norm of the direction that all anomalous events share, in motion; half in object.
        seed: of the directions.
    """

    width: int
    noise: float
    camera: float
    threat: float
    seed: int

    def direction(self, stream: str, *name: object) -> Signal:
        """Return the unit vector that stands for something in a stream."""
        rng = np.random.default_rng(derive_seed(self.seed, "direction", stream, *name))
        vector = rng.standard_normal(self.width)
        unit: Signal = vector / np.linalg.norm(vector)
        return unit

    def mixing(self, stream: str, name: str, size: int) -> Signal:
        """Return (size, D) directions, by which a code of that size shows in a stream."""
        return np.stack([self.direction(stream, name, i) for i in range(size)])


@dataclass(frozen=True)
class Happening:
    """An event in a video: what is shown, and in which clips [start, end)."""

    scenario: Scenario
    segments: list[tuple[int, int]]


def video_streams(
    rng: Rng, knobs: Knobs, happenings: Sequence[Happening], length: int
) -> dict[str, Signal]:
    """Return the (T, D) object and motion features of a video.

    Args:
        rng: the video's own generator.
        knobs: how hard it is.
        happenings: the captioned event first, then others that nobody mentions.
        length: T.
    """
    streams = {}
    for column, stream in enumerate(("object", "motion")):
        signal = _background(rng, knobs, length)
        for number, happening in enumerate(happenings):
            scenario = happening.scenario
            strength = envelope(happening.segments, length)
            late = strength * (np.arange(length) >= np.mean(happening.segments[-1]))
            for factor, value in scenario.factors().items():
                shown = strength if factor != "outcome" else late
                if factor in ALWAYS:
                    shown = np.ones(length) if number == 0 else np.zeros(length)
                scale = STRENGTH[factor][column]
                signal += scale * np.outer(shown, knobs.direction(stream, factor, value))
            if scenario.anomalous:
                threat = knobs.threat * (0.5, 1.0)[column]
                signal += threat * np.outer(strength, knobs.direction(stream, "threat"))
        streams[stream] = signal
    return streams


def soundtrack(
    rng: Rng, knobs: Knobs, happening: Happening, streams: Mapping[str, Signal]
) -> Signal:
    """Return the (T, D) sound of a video, and let the video show where it comes from.

    Sound and picture share the code of their film or channel and of the video itself, over all
    clips; states (speech, music, ...) that change with the shots; and the class of the event, in
    its clips, up to one clip late in the sound. Features are not negative, as VGGish's are.

    Args:
        rng: the video's own generator.
        knobs: how hard it is.
        happening: the event.
        streams: the features of :func:`video_streams`; the code and the states are added to them.
    """
    scenario, length = happening.scenario, len(streams["object"])
    film = np.random.default_rng(derive_seed(knobs.seed, "source", scenario.source))
    code = np.sqrt(0.4) * film.standard_normal(SOURCE_SIZE)
    code += np.sqrt(0.6) * rng.standard_normal(SOURCE_SIZE)
    shots = np.cumsum(rng.random(length) < 0.08)
    state = np.eye(STATES)[rng.integers(STATES, size=shots[-1] + 1)[shots]]
    sound = _background(rng, knobs, length)
    for stream, signal, strength in (
        ("object", streams["object"], 0.26),
        ("motion", streams["motion"], 0.13),
        ("audio", sound, 0.26),
    ):
        signal += strength * code @ knobs.mixing(stream, "code", SOURCE_SIZE)
        signal += 0.6 * state @ knobs.mixing(stream, "state", STATES)
    lag = int(rng.integers(2))
    late = [(min(s + lag, length - 1), min(e + lag, length)) for s, e in happening.segments]
    shown = envelope(late, length)
    for factor, scale in (("event", 1.2), ("target", 0.4), ("tool", 0.6)):
        value = scenario.factors()[factor]
        sound += scale * np.outer(shown, knobs.direction("audio", factor, value))
    if scenario.anomalous:
        sound += knobs.threat * np.outer(shown, knobs.direction("audio", "threat"))
    return np.maximum(sound + 0.3, 0)


def _background(rng: Rng, knobs: Knobs, length: int) -> Signal:
    """Return the camera's offset and the noise, half of which changes slowly (about 10 clips)."""
    offset = rng.standard_normal(knobs.width) * knobs.camera / np.sqrt(knobs.width)
    fast = rng.standard_normal((length, knobs.width))
    knots = rng.standard_normal((length // 10 + 2, knobs.width))
    place = np.arange(length) / 10
    left = place.astype(int)
    share = (place - left)[:, None]
    slow = knots[left] * np.sqrt(1 - share) + knots[left + 1] * np.sqrt(share)
    background: Signal = offset + knobs.noise * np.sqrt(0.5) * (fast + slow)
    return background
