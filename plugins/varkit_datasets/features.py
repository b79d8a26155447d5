"""Feature files as clips: (T, D) finite numbers, or (C, T, D) where there are C crops."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces import Array
from varkit_datasets.arrays import load_clips, shape
from varkit_datasets.sources import FeatureError, Source

PIECE = 4096
"""Most clips of a long video in memory at a time."""


def read_pieces(
    source: Source,
    length: int | None = None,
    *,
    width: int | None = None,
    crop: int = 0,
    resample: bool = False,
) -> Iterator[Array]:
    """Read the clips of one crop; of a .npy file, several thousand at a time.

    This call reads the header; the numbers are read piece by piece.

    Args:
        source: an array of (T, D), or (C, T, D) where there are C crops.
        length: how many clips to read, from the first; None = all.
        width: the D that is expected; None = any.
        crop: which of the C crops; an array without crops is its own crop 0.
        resample: read ``length`` clips that cover the whole video instead: each is the one that
            is seen at its centre, if all clips last equally long.

    Yields:
        (t, D) float32, one after another.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array; or the
            array has another shape, is empty, or holds something other than finite numbers.
    """
    every = _checked(source, width, crop)[-2]
    length = every if length is None else length
    step = PIECE if source.file.suffix == ".npy" else length
    if resample and length != every:
        return _resampled(source, crop, seen_at_centres(every, length), step)
    return (
        _clips(source, crop, start, min(start + step, length)) for start in range(0, length, step)
    )


def seen_at_centres(every: int, length: int) -> NDArray[np.int64]:
    """Return which of ``every`` clips is seen at the centre of each of ``length`` clips.

    Both cover the same time: clip t of the latter has its centre at (t + 1/2) / ``length`` of it.

    >>> seen_at_centres(6, 3).tolist(), seen_at_centres(2, 5).tolist()
    ([1, 3, 5], [0, 0, 1, 1, 1])
    """
    seen: NDArray[np.int64] = (2 * np.arange(length) + 1) * every // (2 * length)
    return seen


def _resampled(source: Source, crop: int, chosen: NDArray[np.int64], step: int) -> Iterator[Array]:
    """Yield clips at ascending places, at most ``step`` of the array in memory at a time."""
    begin = 0
    while begin < len(chosen):
        first = int(chosen[begin])
        end = int(np.searchsorted(chosen, first + step))
        end = min(end, begin + step)
        clips = _clips(source, crop, first, int(chosen[end - 1]) + 1)
        yield clips[chosen[begin:end] - first]
        begin = end


def is_absent(source: Source, crop: int = 0) -> bool:
    """Return whether an array stands for a stream that a video lacks: no clip, or all NaN.

    Raises:
        FeatureError: the array cannot be read, or begins with NaN and then holds numbers.
    """
    dims = shape(source)
    if len(dims) in (2, 3) and dims[-2] == 0:
        return True
    check_shape(dims, None)
    if not _all_nan(source, crop, 0, 1):
        return False
    for start in range(1, dims[-2], PIECE):
        if not _all_nan(source, crop, start, start + PIECE):
            raise FeatureError("is NaN in its first clip but not in all, as an absent stream is")
    return True


def _all_nan(source: Source, crop: int, start: int, stop: int) -> bool:
    clips = load_clips(source, crop, start, stop)
    return clips.dtype.kind == "f" and bool(np.isnan(clips).all())


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
        if np.isnan(clips).all():
            raise FeatureError(
                f"holds nothing but NaN in clips {start} to {stop - 1}; a folder's option may_lack "
                "names streams that single videos lack"
            )
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
