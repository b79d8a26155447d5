"""How features show what happens in a video.

A video shows cues (:func:`cues`), more or less strongly in each clip. A clip's features are a sum
of the cues' directions, with the norms in :data:`STRENGTH`; of the camera's offset, which is the
same in all clips of a video and has no meaning; and of noise. So the clips of an event can be
separated from the rest, but never perfectly, and the mean of a long video hides them.

:func:`render` stands in for I3D and VGGish, where every stream has a space of its own.
:class:`JointSpace` stands in for CLIP, where pictures, words and sounds of one thing are similar.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces import Array
from varkit_simulator.captions import NOUN, VERB
from varkit_simulator.draws import Rng, generator
from varkit_simulator.events import Task
from varkit_simulator.population import Happening, SimulatedVideo
from varkit_simulator.scenarios import words_of

STREAMS: Mapping[Task, tuple[str, ...]] = {
    "text": ("object", "motion"),
    "audio": ("object", "motion", "audio"),
}
"""The streams that :func:`render` makes."""

STRENGTH: Mapping[str, Mapping[str, float]] = {
    "scene": {"object": 0.5, "motion": 0.2, "picture": 0.5},
    "time": {"object": 0.5, "picture": 0.4},
    "actor": {"object": 0.4, "motion": 0.2, "picture": 0.4},
    "colour": {"object": 0.5, "picture": 0.5},
    "thing": {"object": 0.4, "picture": 0.4},
    "event": {"object": 0.5, "motion": 1.2, "audio": 0.8, "picture": 0.9},
    "target": {"object": 1.2, "motion": 0.4, "audio": 0.3, "picture": 1.2},
    "tool": {"object": 0.8, "motion": 0.8, "audio": 0.4, "picture": 0.8},
    "outcome": {"object": 0.2, "motion": 0.8, "picture": 0.5},
    "noun": {"object": 0.3, "motion": 0.1, "picture": 0.3},
    "verb": {"object": 0.4, "motion": 0.7, "picture": 0.8},
    "threat": {"object": 0.5, "motion": 1.0, "audio": 1.0, "picture": 1.0},  # times Knobs.threat
    "code": {"object": 0.11, "motion": 0.06, "audio": 0.11, "picture": 0.11},  # of each number
    "state": {"object": 0.4, "motion": 0.4, "audio": 0.4, "picture": 0.4},
}
"""Factor -> stream -> norm of what it adds to a clip. ``picture`` belongs to the joint space, whose
sounds are as strong as the stream ``audio``. Only data with sounds have codes and states."""

ALWAYS = ("scene", "time", "actor", "colour", "thing", NOUN)
"""Factors that show in every clip; the rest show in their event's clips only."""
BACKGROUND = ("scene", "time", "thing", NOUN, "code")
"""Factors of every patch except the event's; the rest show only in that one."""

CODE = 24
"""Numbers in the code of a video's source, which sound and picture share."""
FILM = 0.4
"""Share of a film or channel in the code of a video; the rest is the video's own."""
STATES, SHOT = 4, 0.08
"""Kinds of sound, such as speech or music, and the probability that a clip changes the kind."""
ALARM = 0.02
"""Probability that a false alarm, which only looks like a threat, begins at a clip."""

DRIFT = 10
"""Clips that half of the noise takes to change."""
AUDIO_WIDTH = 128
"""Largest D of sounds: that of VGGish's features."""
PIECE = 2048
"""Clips in memory at a time."""
LATENT = 64
"""Dimensions of things and of noise in the joint space, for any D."""

SMALL_WORDS = frozenset(
    ("a", "an", "the", "some", "of", "to", "with", "in", "on", "at", "from", "by")
)
"""Words without an appearance."""

Embed = Callable[[str], Array]
"""Words -> a vector; words with similar vectors look similar."""


@dataclass(frozen=True)
class Knobs:
    """How hard retrieval is.

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
        """Return the generator of a name."""
        return generator(self.seed, *name)

    def direction(self, stream: str, *name: object) -> Array:
        """Return the unit vector that stands for something in a stream."""
        rng, width = self.rng("direction", stream, *name), self.stream_width(stream)
        return _unit(rng.standard_normal(width))

    def words_direction(self, stream: str, text: str) -> Array:
        """Return the unit vector of a text, the sum over its words.

        So a black car looks a little like a black hat and like a white car.
        """
        words = sorted(set(text.split()) - SMALL_WORDS) or [text]
        return _unit(np.sum([self.direction(stream, word) for word in words], axis=0))


def _unit(vector: NDArray[np.floating[Any]]) -> Array:
    # In few dimensions words may cancel, hence the 1e-6.
    return (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)


@dataclass(frozen=True)
class Cue:
    """One thing that a video shows.

    Attributes:
        factor: what kind of thing, a name in :data:`STRENGTH`.
        value: which one; cues of one factor and value look the same in all videos.
        shown: how strongly all clips show it, or each, (T + 1,), since some streams have one clip
            more than the video's T.
    """

    factor: str
    value: object
    shown: float | Array

    def strength(self, stream: str, knobs: Knobs) -> float:
        """Return the norm of what it adds to a clip that shows it fully; 0 = it never shows."""
        strength = STRENGTH[self.factor].get(stream, 0.0)
        return strength * (knobs.threat if self.factor == "threat" else 1)


def cues(video: SimulatedVideo, seed: int, task: Task) -> list[Cue]:
    """Return everything that a video shows.

    Args:
        video: the video.
        seed: of the world.
        task: with sounds, videos have codes of their source, and states.
    """
    rng, length = generator(seed, "parts", video.twin), video.clips + 1
    shown: list[Cue] = []
    for number, happening in enumerate(video.happenings):
        during, after = _when(rng, happening, length)
        factors = list(happening.scenario.factors().items())
        if number == 0:
            factors += [(p.factor, p.text) for p in video.phrases if p.factor in (NOUN, VERB)]
        for factor, value in factors:
            if factor not in ALWAYS:
                shown.append(Cue(factor, value, after if factor == "outcome" else during))
            elif number == 0:
                shown.append(Cue(factor, value, 1.0))
        if happening.scenario.anomalous:
            shown.append(Cue("threat", None, during))
    shown.append(Cue("threat", None, _false_alarms(rng, length)))
    if task == "audio":
        film = generator(seed, "film", video.source).standard_normal(CODE, np.float32)
        code = np.sqrt(FILM) * film + np.sqrt(1 - FILM) * rng.standard_normal(CODE, np.float32)
        shown += [Cue("code", i, float(x)) for i, x in enumerate(code)]
        shots = np.cumsum(rng.random(length) < SHOT)
        state = rng.integers(STATES, size=shots[-1] + 1)[shots]
        shown += [Cue("state", i, (state == i).astype(np.float32)) for i in range(STATES)]
    return shown


def _when(rng: Rng, happening: Happening, length: int) -> tuple[Array, Array]:
    """Return how strongly an event and its outcome show, (length,) each; edges fade."""
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
    """Return the first clip that shows an event's outcome: the middle of its last segment."""
    return sum(happening.segments[-1]) // 2


def _false_alarms(rng: Rng, length: int) -> Array:
    """Return how strongly clips look like a threat although nothing happens, (length,)."""
    shown = np.zeros(length, np.float32)
    for start in np.flatnonzero(rng.random(length) < ALARM):
        shown[start : start + rng.integers(1, 4)] = rng.uniform(0.3, 1.0)
    return shown


def render(
    shown: Sequence[Cue],
    knobs: Knobs,
    *,
    stream: str,
    video: int,
    length: int,
    crop: int = 0,
    embed: Embed | None = None,
    piece: int = PIECE,
) -> Iterator[Array]:
    """Yield the features of a stream, piece by piece.

    Args:
        shown: the result of :func:`cues`.
        knobs: how hard it is.
        stream: its name. A sound is up to one clip late and never negative, as VGGish's features.
        video: number that seeds noise and offset.
        length: T, the video's clips or one more.
        crop: number of the crop.
        embed: makes similar words look similar; None = no two words do.
        piece: clips in a piece; it changes no number.

    Yields:
        (n, D) float32, n at most ``piece``; T in all.
    """
    offset = knobs.camera * knobs.direction(stream, "camera", video)
    changing: list[tuple[Array, Array]] = []
    for cue in shown:
        if strength := cue.strength(stream, knobs):
            direction = strength * _direction(cue, knobs, stream, embed)
            if isinstance(cue.shown, float):
                offset += cue.shown * direction
            else:
                changing.append((cue.shown, direction))
    lag = int(knobs.rng("lag", video).integers(2)) if stream == "audio" else 0
    clips = np.maximum(np.arange(length) - lag, 0)
    name = "noise", video, stream, crop
    noise = drifting_noise(knobs, name, knobs.stream_width(stream), length, piece)
    for start, signal in zip(range(0, length, piece), noise, strict=True):
        signal += offset
        for (
            by_clip,
            direction,
        ) in changing:  # the rounding of a matrix product would depend on shapes
            part = by_clip[clips[start : start + piece]]
            where = np.flatnonzero(part)
            signal[where] += part[where, None] * direction
        if stream == "audio":
            np.maximum(signal + 0.3, 0, out=signal)
        yield signal


def _direction(cue: Cue, knobs: Knobs, stream: str, embed: Embed | None) -> Array:
    """Return the (D,) unit vector of a cue."""
    if not isinstance(cue.value, str):
        return knobs.direction(stream, cue.factor, cue.value)
    text = words_of(cue.value)
    if embed is None:
        return knobs.words_direction(stream, text)
    vector = embed(text)
    shape = len(vector), knobs.stream_width(stream)
    return _unit(vector @ knobs.rng("look", stream).standard_normal(shape, np.float32))


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


@dataclass(frozen=True)
class Joint:
    """Options of features like CLIP's, in addition to :class:`Knobs`.

    Attributes:
        patches: places in a picture that have their own vector; 0 = none.
        misalignment: sigma, the norm of the error with which each kind of input sees a thing of
            norm 1.
    """

    patches: int
    misalignment: float


Kind = Literal["picture", "word", "sound"]


class JointSpace:
    """A stand-in for CLIP's space: where things lie, and how a video shows them.

    A thing is a vector of :data:`LATENT` numbers, a sum over its words. Every kind of input sees it
    with a different error, so the vectors of two kinds are only similar: their cosine is about
    1 / (1 + sigma^2). One fixed random matrix, the same for all kinds, maps this small space to the
    D numbers in files. Unlike real CLIP features, these have no gap between pictures and words, and
    tokens do not know their neighbours.

    Args:
        knobs: how hard it is; D is their width.
        joint: patches, and how well the kinds of input agree.
    """

    def __init__(self, knobs: Knobs, joint: Joint) -> None:
        self.knobs, self.joint = replace(knobs, width=LATENT), joint
        self._things: dict[tuple[Kind, object], Array] = {}
        shape = LATENT, knobs.width
        matrix = knobs.rng("joint", "projection").standard_normal(shape, np.float32)
        self.projection: Array = matrix / np.float32(np.sqrt(knobs.width))

    def frames(self, video: SimulatedVideo, shown: Sequence[Cue]) -> Array:
        """Return (T, D), one vector per clip."""
        return self._clips(video, shown, "picture", video.clips, "frames")

    def patches(self, video: SimulatedVideo, shown: Sequence[Cue]) -> Array:
        """Return (T, p D), the places of each clip side by side; one place shows the event."""
        background = [cue for cue in shown if cue.factor in BACKGROUND]
        event = [cue for cue in shown if cue.factor not in BACKGROUND]
        there = int(self.knobs.rng("place", video.twin).integers(self.joint.patches))
        places = [
            self._clips(video, event if p == there else background, "picture", video.clips, p)
            for p in range(self.joint.patches)
        ]
        return np.concatenate(places, axis=1)

    def sound(self, video: SimulatedVideo, shown: Sequence[Cue], length: int) -> Array:
        """Return (length, D), one vector per clip, in step with the video or one clip late."""
        lag = int(self.knobs.rng("lag", video.twin).integers(2))
        return self._clips(video, shown, "sound", length, "sound", lag)

    def caption(self, video: SimulatedVideo) -> Array:
        """Return (1 + W, D): the whole caption, then each of its W words.

        A phrase's vector is that of its factor's value, whatever its words; a word's is half that
        of its phrase and half its own.
        """
        meant = dict(video.happenings[0].scenario.factors())
        phrases, words = [], []
        for phrase in video.phrases:
            meaning = self.thing("word", words_of(meant.get(phrase.factor, phrase.text)))
            phrases.append(meaning)
            words += [_unit(meaning + self.thing("word", word)) for word in phrase.text.split()]
        rows = np.stack([_unit(np.sum(phrases, axis=0)), *words])
        return self._projected(rows)

    def thing(self, kind: Kind, value: object) -> Array:
        """Return the (LATENT,) unit vector of a thing as one kind of input sees it.

        The vector of a text is a sum over its words, so a black car is a little like a black hat.
        """
        if (kind, value) not in self._things:
            error = self.knobs.direction("joint", "error", kind, value)
            self._things[kind, value] = _unit(self._true(value) + self.joint.misalignment * error)
        return self._things[kind, value]

    def _true(self, value: object) -> Array:
        if not isinstance(value, str):
            return self.knobs.direction("joint", value)
        return self.knobs.words_direction("joint", value)

    def _clips(
        self,
        video: SimulatedVideo,
        shown: Sequence[Cue],
        kind: Kind,
        length: int,
        name: object,
        lag: int = 0,
    ) -> Array:
        clips = np.maximum(np.arange(length) - lag, 0)
        camera = self.knobs.direction("joint", "camera", kind, video.twin)
        (signal,) = drifting_noise(self.knobs, ("joint", video.twin, name), LATENT, length, length)
        signal += self.knobs.camera * camera
        for cue in shown:
            if strength := cue.strength("audio" if kind == "sound" else kind, self.knobs):
                text = isinstance(cue.value, str)
                value = words_of(str(cue.value)) if text else (cue.factor, cue.value)
                vector = strength * self.thing(kind, value)
                shares = cue.shown if isinstance(cue.shown, float) else cue.shown[clips][:, None]
                signal += shares * vector
        return self._projected(signal)

    def _projected(self, rows: Array) -> Array:
        """Map (n, LATENT) to (n, D) by einsum: the rounding of BLAS depends on the threads."""
        projected: Array = np.einsum("nl,ld->nd", rows, self.projection)
        return projected
