"""A stand-in for CLIP's space: pictures, words and sounds of one thing lie near one another.

A thing is a vector of :data:`LATENT` numbers, a sum over its words. Every kind of input sees it
with an error of its own, so that of one thing two kinds are only alike: their cosine is about
1 / (1 + sigma^2). One fixed random matrix, the same for all kinds, takes this small space to the
D numbers that files hold. What real CLIP features have and these lack: the gap between pictures
and words, and tokens that know their neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from varkit.interfaces import Array
from varkit_benchmarks.simulator.parts import Part
from varkit_benchmarks.simulator.population import SimulatedVideo
from varkit_benchmarks.simulator.signals import SMALL_WORDS, Knobs, drifting_noise, said

LATENT = 64
"""Numbers that tell things apart; noise has as many directions, whatever D is."""

Kind = Literal["picture", "word", "sound"]

STRENGTH: Mapping[Kind, Mapping[str, float]] = {
    "picture": {
        "scene": 0.5, "time": 0.4, "actor": 0.4, "colour": 0.5, "thing": 0.4, "event": 0.9,
        "target": 1.2, "tool": 0.8, "outcome": 0.5, "noun": 0.3, "verb": 0.8, "threat": 1.0,
        "code": 0.11, "state": 0.4,
    },
    "sound": {
        "event": 0.8, "target": 0.3, "tool": 0.4, "threat": 1.0, "code": 0.11, "state": 0.4,
    },
}  # fmt: skip
"""Kind of input -> factor -> norm of what it adds to a clip; that of a threat is the knob's."""

BACKGROUND = ("scene", "time", "thing", "noun", "code")
"""Seen in every patch; all else at the one place where a video's event happens."""


@dataclass(frozen=True)
class Joint:
    """What a world with features like CLIP's has beside its :class:`~.signals.Knobs`.

    Attributes:
        patches: places in a picture with a vector of their own; 0 = none.
        misalignment: sigma, the norm of the error with which each kind of input sees a thing of
            norm 1.
    """

    patches: int
    misalignment: float


class JointSpace:
    """Where things lie, and how a video shows them.

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

    def frames(self, video: SimulatedVideo, found: Sequence[Part]) -> Array:
        """Return (T, D), one vector a clip."""
        return self._clips(video, found, "picture", video.clips, "frames")

    def patches(self, video: SimulatedVideo, found: Sequence[Part]) -> Array:
        """Return (T, p D), the places of each clip side by side; one place shows the event."""
        background = [part for part in found if part.factor in BACKGROUND]
        event = [part for part in found if part.factor not in BACKGROUND]
        there = int(self.knobs.rng("place", video.twin).integers(self.joint.patches))
        places = [
            self._clips(video, event if p == there else background, "picture", video.clips, p)
            for p in range(self.joint.patches)
        ]
        return np.concatenate(places, axis=1)

    def sound(self, video: SimulatedVideo, found: Sequence[Part], length: int) -> Array:
        """Return (length, D), one vector a clip, as the video's or up to one clip late."""
        lag = int(self.knobs.rng("lag", video.twin).integers(2))
        return self._clips(video, found, "sound", length, "sound", lag)

    def caption(self, video: SimulatedVideo) -> Array:
        """Return (1 + W, D): the whole caption, then each of its W words.

        A phrase means what its factor is, however that is said; a word is half what its phrase
        means and half itself.
        """
        meant = dict(video.happenings[0].scenario.factors())
        phrases, words = [], []
        for phrase in video.phrases:
            meaning = self.thing("word", said(meant.get(phrase.factor, phrase.text)))
            phrases.append(meaning)
            words += [_unit(meaning + self.thing("word", word)) for word in phrase.text.split()]
        rows = np.stack([_unit(np.sum(phrases, axis=0)), *words])
        return self._projected(rows)

    def thing(self, kind: Kind, value: object) -> Array:
        """Return the (LATENT,) unit vector of a thing as one kind of input sees it.

        Of text it is a sum over its words, so a black car is a little like a black hat.
        """
        if (kind, value) not in self._things:
            error = self.knobs.direction("joint", "error", kind, value)
            self._things[kind, value] = _unit(self._true(value) + self.joint.misalignment * error)
        return self._things[kind, value]

    def _true(self, value: object) -> Array:
        if not isinstance(value, str):
            return self.knobs.direction("joint", value)
        words = sorted(set(value.split()) - SMALL_WORDS) or [value]
        return _unit(np.sum([self.knobs.direction("joint", word) for word in words], axis=0))

    def _clips(
        self,
        video: SimulatedVideo,
        found: Sequence[Part],
        kind: Kind,
        length: int,
        name: object,
        lag: int = 0,
    ) -> Array:
        clips = np.maximum(np.arange(length) - lag, 0)
        camera = self.knobs.direction("joint", "camera", kind, video.twin)
        (signal,) = drifting_noise(self.knobs, ("joint", video.twin, name), LATENT, length, length)
        signal += self.knobs.camera * camera
        for shown, vector in self._shown(found, kind):
            signal += (shown[clips][:, None] if isinstance(shown, np.ndarray) else shown) * vector
        return self._projected(signal)

    def _projected(self, rows: Array) -> Array:
        """Map (n, LATENT) to (n, D), with the same bits whatever the number of threads."""
        made: Array = np.einsum("nl,ld->nd", rows, self.projection)  # BLAS would round by threads
        return made

    def _shown(self, found: Sequence[Part], kind: Kind) -> Iterator[tuple[float | Array, Array]]:
        for part in found:
            if part.factor in STRENGTH[kind]:
                scale = STRENGTH[kind][part.factor]
                scale *= self.knobs.threat if part.factor == "threat" else 1
                text = isinstance(part.value, str)
                value = said(str(part.value)) if text else (part.factor, part.value)
                yield part.shown, np.float32(scale) * self.thing(kind, value)


def _unit(vector: Array) -> Array:
    unit: Array = (vector / max(float(np.linalg.norm(vector)), 1e-6)).astype(np.float32)
    return unit
