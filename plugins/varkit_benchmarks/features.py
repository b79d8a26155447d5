"""Feature files as clips: (T, D) finite numbers, or (C, T, D) where there are C crops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from varkit.interfaces import Array
from varkit_benchmarks.arrays import load_clips, shape
from varkit_benchmarks.sources import FeatureError, Source

PIECE = 4096
"""So many clips of a long video are in memory at a time."""


def read_pieces(
    source: Source, length: int | None = None, *, width: int | None = None, crop: int = 0
) -> Iterator[Array]:
    """Read the clips of one crop, of a .npy file some thousand at a time.

    The header is looked at in this call, numbers as the pieces are asked for.

    Args:
        source: an array of (T, D), or (C, T, D) where there are C crops.
        length: how many clips to read, from the first; None = all.
        width: the D that is expected; None = any.
        crop: which of the C crops; an array without crops is its own crop 0.

    Yields:
        (t, D) float32, one after another.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array; or the
            array is of another shape, no numbers, empty or not finite.
    """
    every = _checked(source, width, crop)[-2]
    length = every if length is None else length
    step = PIECE if source.file.suffix == ".npy" else length
    return (
        _clips(source, crop, start, min(start + step, length)) for start in range(0, length, step)
    )


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
