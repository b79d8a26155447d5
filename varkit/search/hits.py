"""What a search answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.searching import Array, Channel, Reason, Track


@dataclass(frozen=True)
class Moment:
    """A part of a video that answers the query best.

    Attributes:
        start: seconds.
        end: seconds.
        score: of its best clip.
    """

    start: float
    end: float
    score: float


@dataclass(frozen=True)
class Hit:
    """A video that answers a query, by its best window.

    Scores order the answers of one query; between queries they say nothing, and ``chance`` does.

    Attributes:
        video: its name: its place below the folder of media.
        path: the file, if the index knows the folder.
        start: of the best window, in seconds.
        end: likewise.
        score: of the best window.
        chance: the share of unrelated queries that find anything as good in this index; None if
            that is unknown, as for combined queries.
        confident: whether ``chance`` is at most 5 %.
        parts: the additive score, by block; empty for combined queries.
        reasons: what in the window answered.
        moments: the best first, at least one: of the best window or, for a sound or an example,
            of the whole video.
        more: further windows of the video among the best of all.
        camera: of the recording, if known.
        time: when the best moment begins, in ISO 8601, if known.
        anomaly: of the window, from 0 to 1, if known.
        concept: the sentence that made it anomalous.
    """

    video: str
    path: Path | None
    start: float
    end: float
    score: float
    chance: float | None = None
    confident: bool = False
    parts: Mapping[str, float] = field(default_factory=dict)
    reasons: tuple[Reason, ...] = ()
    moments: tuple[Moment, ...] = ()
    more: tuple[Moment, ...] = ()
    camera: str | None = None
    time: str | None = None
    anomaly: float | None = None
    concept: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return {**asdict(self), "path": None if self.path is None else str(self.path)}


def fine(channel: Channel, tracks: Mapping[str, Track]) -> dict[str, Track]:
    """Return the blocks of a video that can place a moment.

    Those with clips more than twice as long as the first block's, and than a second, are left out:
    such an expert tells videos apart, but placed moments no better than chance.

    Args:
        channel: of the blocks.
        tracks: block -> what it says of the video.
    """
    lengths = {name: float(np.diff(track.times).mean()) for name, track in tracks.items()}
    first = next((lengths[b.name] for b in channel.blocks if b.name in lengths), 0.0)
    longest = 2 * max(1.0, first)
    return {name: track for name, track in tracks.items() if lengths[name] <= longest}


def moments(
    times: NDArray[np.float64], scores: Array, start: float, end: float, most: int = 3
) -> tuple[Moment, ...]:
    """Return the best moments of a window, which do not overlap; the best first.

    A moment is the run of clips around a peak that score better than half way from the video's
    median to the peak. Scores are averaged over three clips first, so that a single picture does
    not decide.

    Args:
        times: (T, 2) of the video's clips.
        scores: (T,).
        start: of the window.
        end: likewise.
        most: how many.
    """
    padded = np.pad(scores.astype(np.float64), 1, mode="edge")
    smooth = (padded[:-2] + padded[1:-1] + padded[2:]) / 3
    centres = times.mean(axis=1)
    inside = np.flatnonzero((centres >= start) & (centres <= end))
    if not len(inside):
        inside = np.array([int(np.abs(centres - (start + end) / 2).argmin())])
    usual, free = float(np.median(smooth)), np.isin(np.arange(len(smooth)), inside)
    found: list[Moment] = []
    while free.any() and len(found) < most:
        peak = int(np.where(free, smooth, -np.inf).argmax())
        least = (smooth[peak] + min(usual, smooth[peak])) / 2
        first = last = peak
        while first > inside[0] and free[first - 1] and smooth[first - 1] >= least:
            first -= 1
        while last < inside[-1] and free[last + 1] and smooth[last + 1] >= least:
            last += 1
        if found and smooth[peak] < (found[0].score + usual) / 2:
            break
        score = float(smooth[peak])
        found.append(Moment(float(times[first, 0]), float(times[last, 1]), score))
        free[max(0, first - 1) : last + 2] = False
    return tuple(found)
