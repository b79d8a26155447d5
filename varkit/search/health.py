"""Whether vectors say anything: a model that is broken gives the same for everything."""

from __future__ import annotations

import numpy as np

from varkit.interfaces.searching import Array

FEW = 3
"""Fewer videos say nothing about a model."""
ALIKE = 0.999
"""If no two videos have a smaller cosine, they are told apart by rounding alone."""


def ailments(channel: str, rows: Array) -> list[str]:
    """Return what is wrong with the rows of a channel.

    Args:
        channel: its name.
        rows: (V, K), one of each of some videos; zeros if a video lacks the channel.
    """
    held = rows[rows.any(axis=1)].astype(np.float32)
    if len(held) < FEW:
        return []
    unique = len(np.unique(held.round(4), axis=0))
    if unique <= len(held) // 2:
        return [
            f"channel {channel}: of {len(held)} videos compared, only {unique} have different "
            "vectors; a model or its files may be broken"
        ]
    units = held / np.linalg.norm(held, axis=1, keepdims=True)
    cosines = (units @ units.T)[~np.eye(len(units), dtype=bool)]
    if float(cosines.min()) > ALIKE:
        return [f"channel {channel}: no two videos have a cosine below {ALIKE}"]
    return []
