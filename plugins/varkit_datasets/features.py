"""Feature files as clips: (T, D) finite numbers, or (C, T, D) where there are C crops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from varkit.interfaces import Array
from varkit_datasets.arrays import load_clips, shape
from varkit_datasets.sources import FeatureError, Source

PIECE = 4096
"""Most clips of a long video in memory at a time."""


def read_pieces(
    source: Source, length: int | None = None, *, width: int | None = None, crop: int = 0
) -> Iterator[Array]:
    """Read the clips of one crop; of a .npy file, several thousand at a time.

    This call reads the header; the numbers are read piece by piece.

    Args:
        source: an array of (T, D), or (C, T, D) where there are C crops.
        length: how many clips to read, from the first; None = all.
        width: the D that is expected; None = any.
        crop: which of the C crops; an array without crops is its own crop 0.

    Yields:
        (t, D) float32, one after another.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array; or the
            array has another shape, is empty, or holds something other than finite numbers.
    """
    every = _checked(source, width, crop)[-2]
    length = every if length is None else length
    step = PIECE if source.file.suffix == ".npy" else length
    return (
        _clips(source, crop, start, min(start + step, length)) for start in range(0, length, step)
    )


def _checked(source: Source, width: int | None, crop: int) -> tuple[int, ...]:
    dims = shape(source)
    check_shape(dims, width)
    crops = dims[0] if len(dims) == 3 else 1
    if crop >= crops:
        raise FeatureError(f"has {crops} crops; there is no crop {crop}")
    return dims


def _clips(source: Source, crop: int, start: int, stop: int) -> Array:
    """Return clips [start, stop) of a crop, checked, as (T, D) float32."""
    array = load_clips(source, crop, start, stop)
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"holds {array.dtype}, not numbers")
    with np.errstate(invalid="ignore", over="ignore"):
        clips: Array = np.require(array, np.float32, ["C", "W"])
        suspicious = not np.isfinite(clips.sum())  # far cheaper than testing every number
    if suspicious and not (finite := np.isfinite(clips).all(axis=1)).all():
        raise FeatureError(f"clip {start + int(np.argmin(finite))} holds NaN or infinity")
    return clips


def check_shape(dims: tuple[int, ...], width: int | None) -> None:
    """Check that a shape is (T, width) or (C, T, width), with nothing empty.

    Raises:
        FeatureError: it is not.
    """
    d = "D" if width is None else width
    if len(dims) not in (2, 3) or (width is not None and dims[-1] != width):
        raise FeatureError(f"has shape {dims}; expected (T, {d}) or (crops, T, {d})")
    if 0 in dims:
        raise FeatureError(f"is empty: shape {dims}; expected at least one clip")
