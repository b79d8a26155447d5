"""What the features show: everything in a video has a direction in every stream.

A clip's features are a sum: of the directions of what it shows, each as strong as :data:`STRENGTH`
says and, at the edges of an event, fading over a clip or two; of the camera's own offset (the same
in all clips of a video, and told by nobody); and of noise. So the clips of a video's event are
separable from the rest, but never cleanly, and an average over a long video buries them.

A video is rendered in pieces, so one of hours is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from varkit.interfaces import Array, derive_seed
from varkit_benchmarks.simulator.parts import Part
from varkit_benchmarks.simulator.world import Rng, Task

STREAMS: Mapping[Task, tuple[str, ...]] = {
    "text": ("object", "motion"),
    "audio": ("object", "motion", "audio"),
}
"""What a video is rendered to."""

STRENGTH: Mapping[str, Mapping[str, float]] = {
    "scene": {"object": 0.5, "motion": 0.2},
    "time": {"object": 0.5},
    "actor": {"object": 0.4, "motion": 0.2},
    "colour": {"object": 0.5},
    "thing": {"object": 0.4},
    "event": {"object": 0.5, "motion": 1.2, "audio": 0.8},
    "target": {"object": 1.2, "motion": 0.4, "audio": 0.3},
    "tool": {"object": 0.8, "motion": 0.8, "audio": 0.4},
    "outcome": {"object": 0.2, "motion": 0.8},
    "noun": {"object": 0.3, "motion": 0.1},
    "verb": {"object": 0.4, "motion": 0.7},
    "threat": {"object": 0.5, "motion": 1.0, "audio": 1.0},  # of the knob
    "code": {"object": 0.11, "motion": 0.06, "audio": 0.11},  # for each of its numbers
    "state": {"object": 0.4, "motion": 0.4, "audio": 0.4},
}
"""Factor -> stream -> norm of what it adds to a clip; codes and states come with sounds only."""

DRIFT = 10
"""Half of the noise takes so many clips to change."""
AUDIO_WIDTH = 128
"""Of VGGish's features; those of a narrower world are narrower."""
PIECE = 2048
"""So many clips are in memory at a time."""

SMALL_WORDS = frozenset(
    ("a", "an", "the", "some", "of", "to", "with", "in", "on", "at", "from", "by")
)
"""Words that look like nothing."""

Look = Callable[[str], Array]
"""Words -> a vector, similar for what looks similar."""


@dataclass(frozen=True)
class Knobs:
    """How hard it is.

    Attributes:
        width: D of the video's streams; the sound's is the same, up to :data:`AUDIO_WIDTH`.
        noise: standard deviation of the noise of a clip, in every direction.
        camera: norm of a video's own offset.
        threat: norm of the direction that all anomalous events share, in motion; half in object.
        crops: how many crops a video has: the same signal, each with its own noise.
        seed: of directions and noise.
    """

    width: int
    noise: float
    camera: float
    threat: float
    crops: int
    seed: int

    def stream_width(self, stream: str) -> int:
        """Return D of a stream."""
        return min(self.width, AUDIO_WIDTH) if stream == "audio" else self.width

    def rng(self, *name: object) -> Rng:
        """Return the generator that belongs to a name."""
        return np.random.default_rng(derive_seed(self.seed, *name))

    def direction(self, stream: str, *name: object) -> Array:
        """Return the unit vector that stands for something in a stream."""
        vector = self.rng("direction", stream, *name).standard_normal(self.stream_width(stream))
        unit: Array = (vector / np.linalg.norm(vector)).astype(np.float32)
        return unit


def render(
    found: Sequence[Part],
    knobs: Knobs,
    *,
    stream: str,
    video: int,
    length: int,
    crop: int = 0,
    look: Look | None = None,
    piece: int = PIECE,
) -> Iterator[Array]:
    """Yield the features of a stream, some clips at a time.

    Args:
        found: of :func:`~.parts.parts`.
        knobs: how hard it is.
        stream: which; the sound is up to one clip late, and not negative, as VGGish's is.
        video: the number that noise and offset belong to.
        length: T, the video's clips or one more.
        crop: number of the crop.
        look: how words look; None = every word like nothing else.
        piece: how many clips at a time; it changes no number.

    Yields:
        (n, D) float32, n at most ``piece``; T in all.
    """
    offset = knobs.camera * knobs.direction(stream, "camera", video)
    changing: list[tuple[Array, Array]] = []
    for part in found:
        if stream in STRENGTH[part.factor]:
            direction = _direction(part, knobs, stream, look)
            if isinstance(part.shown, float):
                offset += part.shown * direction
            else:
                changing.append((part.shown, direction))
    lag = int(knobs.rng("lag", video).integers(2)) if stream == "audio" else 0
    clips = np.maximum(np.arange(length) - lag, 0)
    name = "noise", video, stream, crop
    noise = drifting_noise(knobs, name, knobs.stream_width(stream), length, piece)
    for start, signal in zip(range(0, length, piece), noise, strict=True):
        signal += offset
        for shown, direction in changing:  # a product of matrices would round by their shapes
            strength = shown[clips[start : start + piece]]
            where = np.flatnonzero(strength)
            signal[where] += strength[where, None] * direction
        if stream == "audio":
            np.maximum(signal + 0.3, 0, out=signal)
        yield signal


def _direction(part: Part, knobs: Knobs, stream: str, look: Look | None) -> Array:
    """Return (D,) what a part adds to a clip that shows it fully.

    Words have directions, and what is named by several looks like all of them, so a black car
    looks a little like a black hat and a white car.
    """
    scale = STRENGTH[part.factor][stream] * (knobs.threat if part.factor == "threat" else 1)
    if not isinstance(part.value, str):
        return scale * knobs.direction(stream, part.factor, part.value)
    text = said(part.value)
    if look is None:
        words = sorted(set(text.split()) - SMALL_WORDS) or [text]
        vector = np.sum([knobs.direction(stream, word) for word in words], axis=0)
    else:
        vector = look(text)
        shape = len(vector), knobs.stream_width(stream)
        vector = vector @ knobs.rng("look", stream).standard_normal(shape, np.float32)
    unit: Array = vector / max(np.linalg.norm(vector), 1e-6)  # in few dimensions words may cancel
    return scale * unit


def said(value: str) -> str:
    """Return the words of a factor's value, without the event that it belongs to.

    >>> said("Abuse/a dog")
    'a dog'
    """
    return value.rpartition("/")[2]


def drifting_noise(
    knobs: Knobs, name: tuple[object, ...], width: int, length: int, piece: int
) -> Iterator[Array]:
    """Yield (n, width) noise, half of which changes slowly."""
    knots = knobs.rng(*name, "slow").standard_normal((length // DRIFT + 2, width), np.float32)
    fast = knobs.rng(*name)
    scale = np.float32(knobs.noise * np.sqrt(0.5))
    for start in range(0, length, piece):
        clips = np.arange(start, min(start + piece, length))
        left, share = clips // DRIFT, (clips % DRIFT / DRIFT).astype(np.float32)[:, None]
        noise = fast.standard_normal((len(clips), width), np.float32)
        noise += knots[left] * np.sqrt(1 - share)
        noise += knots[left + 1] * np.sqrt(share)
        noise *= scale
        yield noise
