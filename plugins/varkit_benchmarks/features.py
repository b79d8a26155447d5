"""Feature files as clips: (T, D) finite numbers, or (C, T, D) where there are C crops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from varkit.data.collate import means, segment_edges
from varkit.interfaces import Array
from varkit_benchmarks.arrays import load_clips, shape
from varkit_benchmarks.sources import FeatureError, Source

PIECE = 4096
"""So many clips of a long video are in memory at a time."""


def read(source: Source, *, width: int | None = None, crop: int = 0) -> Array:
    """Read the clips of one crop.

    Args:
        source: an array of (T, D), or (C, T, D) where there are C crops.
        width: the D that is expected; None = any.
        crop: which of the C crops; an array without crops is its own crop 0.

    Returns:
        (T, D) float32.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array; or the
            array is of another shape, no numbers, empty or not finite.
    """
    found = _checked(source, width, crop)
    return _clips(source, crop, 0, found[-2])


def read_pieces(source: Source, *, width: int | None = None, crop: int = 0) -> Iterator[Array]:
    """Read the clips of one crop, of a .npy file some thousand at a time.

    The header is looked at in this call, numbers as the pieces are asked for.

    Args:
        source: as in :func:`read`.
        width: as in :func:`read`.
        crop: as in :func:`read`.

    Yields:
        (t, D) float32, one after another.

    Raises:
        FeatureError: as in :func:`read`.
    """
    length = _checked(source, width, crop)[-2]
    step = PIECE if source.file.suffix == ".npy" else length
    return (
        _clips(source, crop, start, min(start + step, length)) for start in range(0, length, step)
    )


def read_means(
    source: Source, length: int, count: int, *, width: int | None = None, crop: int = 0
) -> Array:
    """Read the first ``length`` clips of one crop as means over ``count`` equal segments.

    It is :func:`varkit.data.collate.segment_means` of :func:`read`, but of a .npy file only some
    thousand clips are in memory at a time.

    Args:
        source: as in :func:`read`.
        length: how many clips count, at least ``count``.
        count: how many means.
        width: as in :func:`read`.
        crop: as in :func:`read`.

    Returns:
        (count, D) float32.

    Raises:
        FeatureError: as in :func:`read`, or there are fewer clips than ``length``.
    """
    found = _checked(source, width, crop)
    if found[-2] < length:
        raise FeatureError(f"has {found[-2]} clips; expected {length}")
    edges = segment_edges(length, count)
    result = np.empty((count, found[-1]), np.float32)
    step = max(1, PIECE * count // length)
    for first in range(0, count, step):
        part = edges[first : first + step + 1]
        clips = _clips(source, crop, int(part[0]), int(part[-1]))
        result[first : first + step] = means(clips, part - part[0])
    return result


def _checked(source: Source, width: int | None, crop: int) -> tuple[int, ...]:
    found = shape(source)
    check_shape(found, width)
    crops = found[0] if len(found) == 3 else 1
    if crop >= crops:
        raise FeatureError(f"has {crops} crops; number {crop} was asked for")
    return found


def _clips(source: Source, crop: int, start: int, stop: int) -> Array:
    """Return clips [start, stop) of a crop, checked, as (T, D) float32."""
    array = load_clips(source, crop, start, stop)
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"holds {array.dtype}, not numbers")
    with np.errstate(invalid="ignore", over="ignore"):
        clips: Array = np.require(array, np.float32, ["C", "W"])
        suspicious = not np.isfinite(clips.sum())  # far cheaper than a look at every number
    if suspicious and not (finite := np.isfinite(clips).all(axis=1)).all():
        raise FeatureError(f"clip {start + int(np.argmin(finite))} holds NaN or infinity")
    return clips


def check_shape(found: tuple[int, ...], width: int | None) -> None:
    """Check that a shape is (T, width) or (C, T, width), with nothing empty.

    Raises:
        FeatureError: it is not.
    """
    d = "D" if width is None else width
    if len(found) not in (2, 3) or (width is not None and found[-1] != width):
        raise FeatureError(f"has shape {found}; expected (T, {d}) or (crops, T, {d})")
    if 0 in found:
        raise FeatureError(f"is empty: shape {found}; expected at least one clip")
