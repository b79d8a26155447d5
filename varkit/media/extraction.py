"""One pass over a media file that feeds every extractor."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from varkit.errors import MediaError, PluginError
from varkit.interfaces import Array, PictureClips
from varkit.media.chunks import Facts, Outcome, Pictures, Sound
from varkit.media.clips import Clip, Cutter
from varkit.media.decode import Decoder
from varkit.media.extractors import Named
from varkit.plugins.isolation import contained

QUIETEST = 1e-3
"""A track whose samples never reach this is silent: it has no sound to compare."""
MOST_WAITING = 2**26
"""Bytes of clips that may wait for a full batch."""

Progress = Callable[[float, float | None], None]
"""Told how many seconds of the file are done, and how many it has, if it says so."""


@dataclass(frozen=True, eq=False)
class Made:
    """What one extractor made of a file.

    Attributes:
        streams: name -> ``(T, D)`` float32, or ``(C, T, D)`` where it has C > 1 crops; the same T.
        times: ``(T, 2)`` float64, seconds from and to which a clip stands for the file, ascending.
        absent: why there is nothing, such as "it has no sound"; then there are no streams.
    """

    streams: Mapping[str, Array]
    times: NDArray[np.float64]
    absent: str | None = None


@dataclass(frozen=True, eq=False)
class Extracted:
    """What all extractors made of a file.

    Attributes:
        made: by the extractors' names.
        facts: what the file says about itself.
        outcome: how much of it was decoded.
    """

    made: Mapping[str, Made]
    facts: Facts
    outcome: Outcome


def extract(
    decoder: Decoder,
    path: str | os.PathLike[str],
    extractors: Sequence[Named],
    *,
    device: torch.device,
    progress: Progress | None = None,
    seconds: float | None = None,
) -> Extracted:
    """Decode a file once and run every extractor on it.

    Each batch has the same clips whatever the pieces, so the same file gives the same bits.

    Args:
        decoder: decodes it.
        path: of the file.
        extractors: what to make; on this device already.
        device: where they compute.
        progress: is told how far it is.
        seconds: stop after these; the outcome then covers what was decoded.

    Raises:
        MediaError: the file cannot be decoded, or not by these extractors.
        PluginError: an extractor fails, or breaks its interface.
    """
    views = [each.view for each in extractors if each.view is not None]
    sound = any(each.view is None for each in extractors)
    decoding = decoder.decode(path, views=views, sound=sound)
    workings = [_Working(each, device) for each in extractors]
    peak = 0.0
    for piece in decoding:
        if isinstance(piece, Sound) and len(piece.samples):
            peak = max(peak, float(np.abs(piece.samples).max()))
        for working in workings:
            working.add(piece)
        reached = piece.start if isinstance(piece, Sound) else float(piece.times[-1])
        if progress is not None:
            progress(reached, decoding.facts.duration)
        if seconds is not None and reached >= seconds:
            decoder.close()
            nothing = Outcome(None, None, ("stopped on request",))
            return Extracted({w.name: w.finish(None) for w in workings}, decoding.facts, nothing)
    facts = decoding.facts
    made = {w.name: w.finish(_absent(w.hears, facts, peak)) for w in workings}
    return Extracted(made, facts, decoding.outcome)


def place(extractors: Sequence[Named], device: torch.device) -> None:
    """Move extractors to a device."""
    for each in extractors:
        if isinstance(each.extractor, nn.Module):
            each.extractor.to(device)


def _absent(hears: bool, facts: Facts, peak: float) -> str | None:
    if not hears:
        return "it has no pictures" if facts.picture_codec is None else None
    if facts.sound_codec is None:
        return "it has no sound"
    return "its sound is silent" if peak < QUIETEST else None


class _Working:
    """An extractor at work on one file.

    Args:
        named: the extractor.
        device: where it computes.
    """

    def __init__(self, named: Named, device: torch.device) -> None:
        self.name = named.name
        self._named, self._extractor, self._device = named, named.extractor, device
        self.hears = not isinstance(named.extractor.reads, PictureClips)
        self._cutter = Cutter(named.extractor.reads)
        self._waiting: list[Clip] = []
        self._made = {name: _Rows() for name in named.extractor.streams}
        self._times: list[tuple[float, float]] = []

    def add(self, piece: Pictures | Sound) -> None:
        """Take a piece, if it is one of this extractor's."""
        mine = isinstance(piece, Sound) if self.hears else self._sees(piece)
        if mine:
            self._take(self._cutter.add(piece))

    def finish(self, absent: str | None) -> Made:
        """Return what was made of the file.

        Args:
            absent: why it counts for nothing, or None.
        """
        self._take(self._cutter.finish())
        self._compute()
        if absent is None and not self._times:
            absent = f"nothing of its {'sound' if self.hears else 'pictures'} could be decoded"
        if absent is not None:
            return Made({}, np.zeros((0, 2)), absent)
        streams = {name: rows.all() for name, rows in self._made.items()}
        crops_first = {n: x.swapaxes(0, 1) if x.ndim == 3 else x for n, x in streams.items()}
        return Made(crops_first, np.array(self._times))

    def _sees(self, piece: Pictures | Sound) -> bool:
        return isinstance(piece, Pictures) and piece.view == self._named.view

    def _take(self, clips: Iterator[Clip]) -> None:
        for clip in clips:
            if self._waiting and self._waiting[0][0].shape != clip[0].shape:
                self._compute()
            self._waiting.append(clip)
            count = len(self._waiting)
            if count >= self._extractor.batch or (count + 1) * clip[0].nbytes > MOST_WAITING:
                self._compute()

    def _compute(self) -> None:
        if not self._waiting:
            return
        clips = torch.from_numpy(np.stack([clip for clip, _, _ in self._waiting]))
        with contained(f"extractor {self.name!r} failed: ", type(self._extractor).__module__):
            with torch.inference_mode():
                streams = self._extractor(clips.to(self._device))
            self._check(streams, len(clips))
        for name, rows in self._made.items():
            rows.add(streams[name].float().cpu().numpy())
        self._times += [(start, end) for _, start, end in self._waiting]
        self._waiting = []

    def _check(self, streams: Mapping[str, Any], count: int) -> None:
        for name, stream in self._extractor.streams.items():
            crops = () if stream.crops == 1 else (stream.crops,)
            wanted, got = (count, *crops, stream.width), streams.get(name)
            where = f"extractor {self.name!r}, stream {name!r}"
            if got is None or tuple(got.shape) != wanted:
                shape = "nothing" if got is None else f"shape {tuple(got.shape)}"
                raise PluginError(f"{where} must have shape {wanted}; it made {shape}")
            if not bool(torch.isfinite(got).all()):
                raise MediaError(f"{where}: it made NaN or infinity of this file")


class _Rows:
    """Rows of a stream, in one array that grows.

    Many small arrays would lie between the large blocks of the computation, and keep these from
    being used again: the memory of a long video would grow by more than its streams.
    """

    def __init__(self) -> None:
        self._array: Array | None = None
        self._count = 0

    def add(self, rows: Array) -> None:
        """Append (N, ...) rows."""
        count = self._count + len(rows)
        if self._array is None or count > len(self._array):
            grown = np.empty((max(1024, 2 * count), *rows.shape[1:]), np.float32)
            if self._array is not None:
                grown[: self._count] = self._array[: self._count]
            self._array = grown
        self._array[self._count : count] = rows
        self._count = count

    def all(self) -> Array:
        """Return (T, ...) all rows."""
        assert self._array is not None
        return self._array[: self._count]
