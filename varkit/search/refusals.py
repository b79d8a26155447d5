"""What every engine refuses, before it changes or searches anything."""

from __future__ import annotations

import numpy as np

from varkit.errors import DataError
from varkit.interfaces.searching import Array, Channel, Rows


def check_rows(channel: Channel, rows: Rows) -> None:
    """Refuse rows that no engine may keep.

    Raises:
        DataError: vectors are not finite or not (R, K), or ids are not positive and different.
    """
    shape = rows.vectors.shape
    if shape != (len(rows), channel.width):
        raise DataError(f"vectors have shape {shape}, not ({len(rows)}, {channel.width})")
    if not np.isfinite(rows.vectors).all():
        raise DataError("a vector holds NaN or infinity")
    if len(rows) and (rows.ids.min() < 1 or len(np.unique(rows.ids)) < len(rows)):
        raise DataError("ids must be positive and different")


def check_queries(channel: Channel, queries: Array) -> Array:
    """Return queries as contiguous float32.

    Raises:
        DataError: they are not finite or not (Q, K).
    """
    queries = np.ascontiguousarray(queries, np.float32)
    if queries.ndim != 2 or queries.shape[1] != channel.width:
        raise DataError(f"queries have shape {queries.shape}, not (Q, {channel.width})")
    if not np.isfinite(queries).all():
        raise DataError("a query holds NaN or infinity")
    return queries
