"""A tiny space whose words are bright, dark, loud and quiet; also a plugin file."""

from __future__ import annotations

import numpy as np

from varkit import hookimpl
from varkit.interfaces.searching import Block, Channel, Reason, Track

WORDS = {"bright": (0, 0), "dark": (0, 1), "loud": (1, 0), "quiet": (1, 1)}


class Shades:
    """Brightness and loudness as probabilities of two classes each.

    Args:
        streams: of the eye, and perhaps of the ear.
        kept: what an earlier instance kept.
        version: part of the origin.
        same: give every clip the same vectors, as a broken model does.
    """

    def __init__(self, streams, kept, *, version: int = 1, same: bool = False) -> None:
        self.hears = "ear.loudness" in streams
        blocks = (Block("sight", 2, log=True), Block("sound", 2, weight=0.5, log=True))
        self.channels = {
            "words": Channel(blocks[: 1 + self.hears], frozenset({"text"})),
            "looks": Channel((Block("fields", 24, unit=True),), frozenset({"example"})),
        }
        if self.hears:
            block = Block("level", 2, unit=True)
            self.channels["sound"] = Channel((block,), frozenset({"sound", "example"}))
        self.kept = kept or {"factor": np.ones(1, np.float32)}
        self.origin = {"version": version}
        self._same = same

    def tracks(self, streams):
        """Return what the streams say."""
        spoken = {name: {} for name in self.channels}
        if "eye.light" in streams:
            light, times = streams["eye.light"].values, streams["eye.light"].times
            light = light * 0 + 9 if self._same else light
            spoken["words"]["sight"] = Track(_two(light.mean(1) / 255), times)
            spoken["looks"]["fields"] = Track(light / 255, times)
        if "ear.loudness" in streams and self.hears:
            level, times = streams["ear.loudness"].values[:, 0], streams["ear.loudness"].times
            spoken["words"]["sound"] = spoken["sound"]["level"] = Track(_two(level), times)
        return spoken

    def encode_text(self, texts):
        """Return kernels: 1 for the words of a sentence, little for their opposites."""
        kernels = np.ones((len(texts), 2, 2), np.float32)
        for q, text in enumerate(texts):
            for word, (block, column) in WORDS.items():
                if word in text:
                    kernels[q, block, 1 - column] = 0.01
        return kernels[:, : 1 + self.hears].reshape(len(texts), -1)

    def reasons(self, channel, query, row):
        """Return the sight alone."""
        return [Reason("sight", "bright", float(row[0]))] if channel == "words" else []


def _two(share):
    share = np.clip(share, 0, 1)
    return np.stack([share, 1 - share], axis=1).astype(np.float32)


@hookimpl
def register_spaces(register):
    """Register it."""
    register("shades", Shades, summary="bright, dark, loud and quiet")
