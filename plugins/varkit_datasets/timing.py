"""When clips are, and which of them are anomalous."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

Spans = NDArray[np.float64]
"""(T, 2) start and end of clips in seconds, ascending."""
SHORTEST, LONGEST = 0.001, 10_000_000
"""Seconds that a video may last: a millisecond to 115 days. Anything else is a slip."""


def clip_spans(length: int, seconds: float, duration: float | None = None) -> Spans:
    """Return the start and end of T = ``length`` clips, one after another.

    Args:
        length: T.
        seconds: length of a clip.
        duration: of all clips together, for features of a fixed number of segments; None = T
            times ``seconds``.
    """
    if duration is not None:
        edges = np.linspace(0, duration, length + 1)
    else:
        edges = np.arange(length + 1, dtype=np.float64) * seconds
    return np.stack([edges[:-1], edges[1:]], axis=1)


def anomalous_clips(anomalies: Iterable[tuple[float, float]], spans: Spans) -> NDArray[np.bool_]:
    """Return which clips are anomalous.

    At least half of such a clip is in an anomaly, or at least half of an anomaly is in the clip.

    Args:
        anomalies: (start, end) in seconds.
        spans: of the T clips.

    Returns:
        (T,) True = anomalous.

    Raises:
        ValueError: most of an anomaly lies after the last clip's end.
    """
    starts, ends = spans.T
    mask = np.zeros(len(spans), dtype=bool)
    for start, end in anomalies:
        if (ends[-1] - start) * 2 < end - start - 1e-6:
            raise ValueError(
                f"most of the anomaly at {start:.1f}-{end:.1f} s lies after the end of the clips "
                f"at {ends[-1]:.1f} s"
            )
        overlap = np.minimum(ends, end) - np.maximum(starts, start)
        mask |= overlap * 2 >= np.minimum(ends - starts, end - start) - 1e-6
    return mask


def duration_of(seconds: float | None, frames: float | None, fps: float | None) -> float | None:
    """Return a video's duration from what is known of it; None = unknown.

    Raises:
        ValueError: frames come without their rate, the rate without frames, both contradict the
            seconds by more than half a second and 1 %, or the duration cannot be.
    """
    if frames is None or fps is None:
        if seconds is None and (frames is not None or fps is not None):
            raise ValueError("frames and fps together give the duration; one of them is missing")
        return seconds if seconds is None else _possible(seconds)
    counted = _possible(frames / fps)
    if seconds is not None and not same_duration(seconds, counted):
        raise ValueError(
            f"a duration of {seconds:g} s contradicts {frames:g} frames at {fps:g} a second, "
            f"which last {counted:.1f} s"
        )
    return counted


def _possible(seconds: float) -> float:
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(
            f"a video of {seconds:g} s cannot be; {SHORTEST:g} to {LONGEST:g} s are allowed"
        )
    return seconds


def same_duration(one: float, other: float) -> bool:
    """Return whether durations differ by no more than rounding: half a second, or 1 %."""
    return abs(one - other) <= max(0.5, 0.01 * max(one, other)) + 1e-6


def check_end(anomalies: Iterable[tuple[float, float]], duration: float | None) -> None:
    """Check that anomalies end with their video, up to rounding.

    Raises:
        ValueError: one does not.
    """
    for start, end in anomalies:
        if duration is not None and end > duration and not same_duration(end, duration):
            raise ValueError(
                f"the anomaly at {start:g}-{end:g} s ends after the video, which lasts "
                f"{duration:g} s"
            )
