"""Cuts decoded pieces into the clips that an extractor reads."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces import PictureClips, SoundClips
from varkit.media.chunks import SOUND_RATE, Pictures, Sound, View

Clip = tuple[NDArray[Any], float, float]
"""The pictures or samples of a clip, and the seconds from and to which it stands for the file."""


def view_of(reads: PictureClips) -> View:
    """Return what to decode for these clips."""
    return View(reads.fps, reads.short_side, reads.crop)


class Cutter:
    """Cuts one file's pictures, or its sound, into clips.

    What is contiguous is a run: a gap in the times, or another size of the pictures, begins a new
    one. Clips begin at the start of a run. What is left at its end and shorter than a clip is
    dropped, unless the run is shorter than a clip: then its last picture, or zeros, fill it.

    Args:
        reads: which clips.
    """

    def __init__(self, reads: PictureClips | SoundClips) -> None:
        self._reads = reads
        if isinstance(reads, PictureClips):
            self._length, self._stride, self._rate = reads.frames, reads.stride, reads.fps
        else:
            self._length, self._stride, self._rate = reads.samples, reads.hop, float(SOUND_RATE)
        self._left: NDArray[Any] | None = None
        self._start = 0.0  # of the run
        self._dropped = 0  # units of the run before those that are left
        self._seen = 0  # units of the run in all

    def add(self, piece: Pictures | Sound) -> Iterator[Clip]:
        """Yield the clips that a piece completes, in order."""
        for units, start in self._contiguous(piece):
            if self._continues(units, start):
                assert self._left is not None
                self._left = np.concatenate([self._left, units]) if len(self._left) else units
            else:
                yield from self.finish()
                self._left, self._start, self._dropped, self._seen = units, start, 0, 0
            self._seen += len(units)
            yield from self._complete()

    def finish(self) -> Iterator[Clip]:
        """Yield the clip of a run that is shorter than a clip."""
        left, self._left = self._left, None
        if left is None or self._seen >= self._length:
            return
        if isinstance(self._reads, PictureClips):
            filling = np.repeat(left[-1:], self._length - len(left), axis=0)
        else:
            filling = np.zeros(self._length - len(left), left.dtype)
        yield np.concatenate([left, filling]), self._start, self._start + self._seen / self._rate

    def _contiguous(self, piece: Pictures | Sound) -> Iterator[tuple[NDArray[Any], float]]:
        """Yield the parts of a piece without a gap inside, each with its start in seconds."""
        if isinstance(piece, Sound):
            if len(piece.samples):
                yield piece.samples, piece.start
            return
        gaps = np.diff(piece.times) > 1.5 / self._rate
        edges = [0, *(np.flatnonzero(gaps) + 1).tolist(), len(piece.times)]
        for first, last in pairwise(edges):
            if last > first:
                yield piece.frames[first:last], float(piece.times[first])

    def _continues(self, units: NDArray[Any], start: float) -> bool:
        if self._left is None or self._left.shape[1:] != units.shape[1:]:
            return False
        return abs(start - self._start - self._seen / self._rate) <= 0.5 / self._rate

    def _complete(self) -> Iterator[Clip]:
        """Yield the clips that are complete, and keep what later clips need."""
        assert self._left is not None
        first = math.ceil(self._dropped / self._stride) * self._stride  # the next clip's first unit
        while first + self._length <= self._seen:
            at = first - self._dropped
            start = self._start + first / self._rate
            yield self._left[at : at + self._length], start, start + self._stride / self._rate
            first += self._stride
        drop = min(first, self._seen) - self._dropped
        if drop:
            self._left, self._dropped = self._left[drop:], self._dropped + drop
