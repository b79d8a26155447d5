"""Cuts a video into windows, each of which becomes a row of the gallery."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.limits import Positive
from varkit.interfaces.searching import Array, Channel, Track
from varkit.search.channels import pooled

Spans = NDArray[np.float64]
"""(R, 2) start and end of windows in seconds."""


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """How videos are cut into windows.

    Attributes:
        seconds: length of a window.
        hop: seconds from the start of a window to the start of the next.
    """

    seconds: Positive = 10.0
    hop: Positive = 5.0


def windows(tracks: Iterable[Track], options: WindowOptions) -> Spans:
    """Return the windows of a video: the last one ends with it, and a short video is one window.

    >>> clips = np.array([[t, t + 1] for t in range(17)], float)
    >>> track = Track(np.zeros((17, 1), np.float32), clips)
    >>> windows([track], WindowOptions()).tolist()
    [[0.0, 10.0], [5.0, 15.0], [7.0, 17.0]]
    """
    every = list(tracks)
    begin = min(float(track.times[0, 0]) for track in every)
    end = max(float(track.times[-1, 1]) for track in every)
    starts = [begin]
    while starts[-1] + options.seconds < end:
        starts.append(min(starts[-1] + options.hop, end - options.seconds))
    spans = [(start, min(start + options.seconds, end)) for start in starts]
    return np.array(spans, np.float64)


def rows_of(channel: Channel, tracks: Mapping[str, Track], spans: Spans) -> Array:
    """Return the (R, K) rows of a video's windows.

    A clip belongs to a window if its centre does; a window between two clips has the nearest.

    Args:
        channel: of the rows.
        tracks: block -> what it says clip by clip; blocks that the video lacks are left out.
        spans: (R, 2).
    """
    rows = np.zeros((len(spans), channel.width), np.float32)
    centres = {name: track.times.mean(axis=1) for name, track in tracks.items()}
    for r, (begin, end) in enumerate(spans):
        clips = {}
        for name, track in tracks.items():
            first, last = np.searchsorted(centres[name], (begin, end))
            if first == last and _covers(track, begin, end):
                first = int(np.abs(centres[name] - (begin + end) / 2).argmin())
                last = first + 1
            clips[name] = track.values[first:last]
        rows[r] = pooled(channel, clips)
    return rows


def _covers(track: Track, begin: float, end: float) -> bool:
    """Return whether a clip overlaps a window without having its centre in it."""
    return bool(((track.times[:, 0] < end) & (track.times[:, 1] > begin)).any())
