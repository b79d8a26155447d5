"""When clips are, and which of them are anomalous."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces import Array


def clip_times(length: int, seconds: float) -> Array:
    """Return the (T, 2) start and end of T = ``length`` clips that last ``seconds`` each."""
    edges = _edges(length, seconds)
    times: Array = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32)
    return times


def anomalous_clips(
    anomalies: Iterable[tuple[float, float]], length: int, seconds: float
) -> NDArray[np.bool_]:
    """Return which clips are anomalous.

    At least half of such a clip is in an anomaly, or at least half of an anomaly is in the clip.

    Args:
        anomalies: (start, end) in seconds.
        length: T.
        seconds: length of a clip.

    Returns:
        (T,) True = anomalous.

    Raises:
        ValueError: most of an anomaly lies after the last clip's end.
    """
    edges = _edges(length, seconds)
    mask = np.zeros(length, dtype=bool)
    for start, end in anomalies:
        if (edges[-1] - start) * 2 < end - start - 1e-6:
            raise ValueError(
                f"most of the anomaly at {start:.1f}-{end:.1f} s lies after the end of the clips "
                f"at {edges[-1]:.1f} s"
            )
        overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
        mask |= overlap * 2 >= min(seconds, end - start) - 1e-6
    return mask


def _edges(length: int, seconds: float) -> NDArray[np.float64]:
    return np.arange(length + 1, dtype=np.float64) * seconds
