"""Decoded sound, mixed to one channel and resampled, on the same clock as the pictures.

soxr resamples: its filters are linear in phase and add no delay, and librosa, on which many
published sound features rest, uses it. From 44.1 to 16 kHz it takes 144 dB from a tone of 8.1 kHz,
which would fold back to 7.9 kHz; FFmpeg's own resampler, at its defaults, takes 13 dB.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import soxr

from varkit.media.chunks import SOUND_RATE
from varkit.media.timeline import Record

Samples = npt.NDArray[np.float32]
TOLERANCE = 0.05
"""Seconds by which the stored times may differ from the count of samples: containers round."""
RATES = range(1_000, 768_001)


class Output(Protocol):
    """Takes the resampled sound."""

    def put(self, samples: Samples, start: float) -> None:
        """Add samples whose first is at ``start`` seconds."""


class SoundLine:
    """Puts the sound of a file together.

    Args:
        output: where the samples go.
        zero: the start of the file's clock in the stream's time, in seconds.
        record: what becomes of the stream is noted here.
    """

    def __init__(self, output: Output, zero: float, record: Record) -> None:
        self._output = output
        self._zero = zero
        self._record = record
        self._rate = 0
        self._resampler: Any = None
        self._origin = 0.0  # of this run without gaps, in seconds
        self._taken = 0  # samples since then, at the file's rate
        self._given = 0  # and at ours

    def add(self, frame: Any) -> None:
        """Take a decoded frame of sound."""
        rate = frame.sample_rate
        if rate not in RATES:
            self._record.fail(f"{rate} samples per second are not possible")
            return
        samples = mono(frame)
        end = self._origin + self._taken / (self._rate or rate)
        start = end if frame.time is None else float(frame.time) - self._zero
        late = start - max(end, 0.0)
        if late < -TOLERANCE or (start < 0 and not self._taken):
            samples = samples[round(-late * rate) :]  # what was heard already, or before zero
            start, late = max(end, 0.0), 0.0
        if not len(samples):
            return
        if self._resampler is None or rate != self._rate or late > TOLERANCE:
            self.finish()
            if self._taken and self._record.broken and late > TOLERANCE:
                self._record.gap(end, start)
            self._rate, self._origin, self._taken, self._given = rate, start, 0, 0
            self._resampler = soxr.ResampleStream(rate, SOUND_RATE, 1, dtype="float32")
        self._taken += len(samples)
        reached = self._origin + self._taken / rate
        self._record.cover(reached - len(samples) / rate, reached, damaged=frame.is_corrupt)
        self._give(self._resampler.resample_chunk(samples))

    def finish(self) -> None:
        """Give what the resampler still holds."""
        if self._resampler is not None:
            self._give(self._resampler.resample_chunk(np.zeros(0, np.float32), last=True))
            self._resampler = None

    def _give(self, samples: Samples) -> None:
        if len(samples):
            start = self._origin + self._given / SOUND_RATE
            self._given += len(samples)
            # Compressed sound overshoots, and so do the resampler's filters.
            self._output.put(np.clip(samples, -1.0, 1.0), start)


def mono(frame: Any) -> Samples:
    """Return the mean of the channels of a decoded frame, ``(N,)``; full scale is 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype == np.uint8:
        samples = (samples.astype(np.float32) - 128.0) / 128.0
    elif samples.dtype.kind == "i":
        samples = samples.astype(np.float32) / float(2 ** (8 * samples.dtype.itemsize - 1))
    mixed: Samples = samples.mean(axis=0, dtype=np.float32)
    np.nan_to_num(mixed, copy=False, posinf=1.0, neginf=-1.0)
    return mixed
