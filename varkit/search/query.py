"""Queries: their parts, their filters, and the words in which people write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from varkit.errors import DataError
from varkit.interfaces.searching import Array
from varkit.search.channels import unit
from varkit.search.shards import Shard


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a query.

    Attributes:
        channel: whose rows it is compared with.
        vector: (K,).
        sign: -1 = answers should not resemble it.
        text: the sentence, if it is one.
    """

    channel: str
    vector: Array
    sign: int = 1
    text: str | None = None


@dataclass(frozen=True)
class Filters:
    """Which windows may be found; None = all.

    Attributes:
        cameras: names of cameras.
        after: the window ends after this time, in ISO 8601. Times without a zone are the camera's.
        before: the window begins before this time.
        min_anomaly: the least anomaly, from 0 to 1.
        videos: names of videos.
    """

    cameras: Sequence[str] | None = None
    after: str | None = None
    before: str | None = None
    min_anomaly: float | None = None
    videos: Sequence[str] | None = None


def seconds(text: str | None) -> float | None:
    """Return a time in seconds since 1970; without a zone, as if the clock were UTC's.

    Raises:
        DataError: it is not a time in ISO 8601.

    >>> seconds("1970-01-02"), seconds("1970-01-01T01:00+01:00")
    (86400.0, 0.0)
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"{text!r} is not a time; write it like 2024-05-01 or 2024-05-01T13:45"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def iso(time: float) -> str:
    """Return seconds since 1970 in ISO 8601, without a zone."""
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def place_in(like: str) -> tuple[str, float | None]:
    """Split ``a.mp4@12.5`` or ``a.mp4@1:02`` into a name and seconds.

    >>> place_in("gate/a.mp4@1:02"), place_in("me@home.mp4")
    (('gate/a.mp4', 62.0), ('me@home.mp4', None))
    """
    name, mark, at = like.rpartition("@")
    if not mark:
        return like, None
    try:
        parts = [float(part) for part in at.split(":")]
    except ValueError:
        return like, None
    total = 0.0
    for part in parts:
        total = 60 * total + part
    return (name, total) if math.isfinite(total) and total >= 0 else (like, None)


def row_at(shard: Shard, channel: str, at: float | None) -> Array:
    """Return the (K,) row of the window at a time, or the mean of all.

    Raises:
        DataError: the video has ended by then.
    """
    rows = shard.rows[channel]
    if at is None:
        return unit(rows.mean(axis=0))
    if at > (end := float(shard.spans[-1, 1])):
        raise DataError(f"the video lasts {end:.1f} s; there is nothing at {at:.1f} s")
    row: Array = rows[int(np.abs(shard.spans.mean(axis=1) - at).argmin())]
    return row


def says_nothing(part: Array) -> bool:
    """Return whether a query says nothing to a block, unlike the queries that chances are from."""
    return len(part) > 1 and float(np.ptp(part)) == 0
