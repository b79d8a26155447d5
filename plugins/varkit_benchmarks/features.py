"""Feature files read safely: .npy, .npz and .safetensors, never pickle.

A file is untrusted: its header is compared with its size before anything is allocated, so that a
truncated file or a decompression bomb is an error, not a crash.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from varkit.collate import means, segment_edges
from varkit.errors import did_you_mean
from varkit.interfaces import Array

SUFFIXES = (".npy", ".npz", ".safetensors")
BOMB_BYTES, BOMB_RATIO = 2**26, 200
"""An archive member of more than 64 MiB that shrank more than 200 times holds no features."""

PIECE = 4096
"""So many clips of a long video are in memory at a time."""

_MEMBER = re.compile(r"(?P<file>.*\.(?:npz|safetensors))#(?P<key>.+)")
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
)


class FeatureError(ValueError):
    """What is wrong with a feature file; whoever reads it adds which video needed it."""


@dataclass(frozen=True)
class Source:
    """Where one array lies.

    Attributes:
        file: a .npy, .npz or .safetensors file.
        key: the array's name in a .npz or .safetensors file; None = its only one.
    """

    file: Path
    key: str | None = None

    def __str__(self) -> str:
        return str(self.file) if self.key is None else f"{self.file}#{self.key}"


def locate(root: Path, cell: str) -> Source:
    """Return the source that a manifest's cell names, e.g. ``rgb/a.npy`` or ``all.npz#a``.

    Raises:
        FeatureError: the path is absolute, leaves ``root``, or is of no known kind.
    """
    match = _MEMBER.fullmatch(cell)
    name, key = (match["file"], match["key"]) if match else (cell, None)
    path = Path(name)
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise FeatureError(f"{cell!r} must be a path below the root, without '..'")
    if path.suffix not in SUFFIXES:
        raise FeatureError(f"{cell!r} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    return Source(root / path, key)


def shape(source: Source) -> tuple[int, ...]:
    """Return an array's shape, from the header alone.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array.
    """
    try:
        return _shape(source, _stamp(source.file))
    except FeatureError:
        raise
    except _UNREADABLE as error:
        raise _reason(error) from error


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
    return _clips(source, _checked(source, width, crop), crop, 0, None)


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
    found = _checked(source, width, crop)
    length = found[-2]
    step = PIECE if source.file.suffix == ".npy" else length
    return (
        _clips(source, found, crop, start, min(start + step, length))
        for start in range(0, length, step)
    )


def read_means(
    source: Source, length: int, count: int, *, width: int | None = None, crop: int = 0
) -> Array:
    """Read the first ``length`` clips of one crop as means over ``count`` equal segments.

    It is :func:`varkit.collate.segment_means` of :func:`read`, but of a .npy file only some
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
        clips = _clips(source, found, crop, int(part[0]), int(part[-1]))
        result[first : first + step] = means(clips, part - part[0])
    return result


def _checked(source: Source, width: int | None, crop: int) -> tuple[int, ...]:
    found = shape(source)
    check_shape(found, width)
    crops = found[0] if len(found) == 3 else 1
    if crop >= crops:
        raise FeatureError(f"has {crops} crops; number {crop} was asked for")
    return found


def _clips(
    source: Source, found: tuple[int, ...], crop: int, start: int, stop: int | None
) -> Array:
    """Return clips [start, stop) of a crop, checked, as (T, D) float32."""
    try:
        array = _load(source, crop, start, found[-2] if stop is None else stop)
    except FeatureError:
        raise
    except _UNREADABLE as error:
        raise _reason(error) from error
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


Stamp = tuple[int, int]
"""A file's time stamp and size: what was remembered of it holds while they stay."""


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True)
class _Header:
    """Of an array in .npy format: what the file's first bytes say, and where the numbers begin."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int


# Training asks for the same shapes in every epoch, and parsing a header takes longer than reading
# a short video.
@lru_cache(maxsize=2**16)
def _shape(source: Source, stamp: Stamp) -> tuple[int, ...]:
    if source.file.suffix == ".npy":
        return _npy_header(source.file, stamp).shape
    if source.file.suffix == ".npz":
        return _open_member(source)[1].shape
    tensors, key = _tensors(source)
    return tuple(tensors.get_slice(key).get_shape())


def _load(source: Source, crop: int, start: int, stop: int) -> NDArray[Any]:
    """Return clips [start, stop) of a crop as stored; of a .npy file only they are read."""
    array: NDArray[Any]
    if source.file.suffix == ".npy":
        header = _npy_header(source.file, _stamp(source.file))
        if header.order == "C":
            *_, length, width = header.shape
            offset = header.offset + (crop * length + start) * width * header.dtype.itemsize
            array = np.fromfile(source.file, header.dtype, (stop - start) * width, offset=offset)
            return array.reshape(-1, width)
        array = np.fromfile(
            source.file, header.dtype, math.prod(header.shape), offset=header.offset
        ).reshape(header.shape, order="F")
    elif source.file.suffix == ".npz":
        member, header = _open_member(source)
        with member:
            array = np.frombuffer(member.read(), dtype=header.dtype)
        array = array.reshape(header.shape, order=header.order)
    else:
        # Through torch, since numpy knows no bfloat16.
        tensors, key = _tensors(source)
        tensor = tensors.get_tensor(key)
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return (array[crop] if array.ndim == 3 else array)[start:stop]


@lru_cache(maxsize=2**16)
def _npy_header(file: Path, stamp: Stamp) -> _Header:
    with file.open("rb") as opened:
        return _parse_header(opened, stamp[1])


def _parse_header(file: IO[bytes], size: int) -> _Header:
    """Read up to the first number.

    Raises:
        FeatureError: the array is of Python objects, or longer or shorter than ``size`` allows.
    """
    version = np.lib.format.read_magic(file)
    parse = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in parse:
        raise FeatureError(f"is of .npy version {version}; known: 1.0, 2.0")
    dims, fortran, dtype = parse[version](file)
    if dtype.hasobject:
        raise FeatureError("holds Python objects, not numbers")
    if file.tell() + math.prod(dims) * dtype.itemsize != size:
        raise FeatureError(f"is truncated: its header promises shape {dims}")
    return _Header(dims, dtype, "F" if fortran else "C", file.tell())


@lru_cache(maxsize=8)
def _archive(file: Path, stamp: Stamp, process: int) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """Open an archive once: reading the list of a large one takes longer than reading an array.

    Arguments beside ``file`` only tell archives apart: changed ones, and those of forked
    processes, which would share one position in the file.

    Returns:
        The archive, and array name -> member name.
    """
    archive = zipfile.ZipFile(file)
    return archive, {name.removesuffix(".npy"): name for name in archive.namelist()}


def _open_member(source: Source) -> tuple[IO[bytes], _Header]:
    """Open an array in an archive, at its first number."""
    archive, names = _archive(source.file, _stamp(source.file), os.getpid())
    info = archive.getinfo(names[_choose(source, names)])
    if info.file_size > max(BOMB_BYTES, BOMB_RATIO * info.compress_size):
        raise FeatureError(
            f"would grow from {info.compress_size:,} to {info.file_size:,} bytes; refused"
        )
    member = archive.open(info)
    return member, _parse_header(member, info.file_size)


@lru_cache(maxsize=8)
def _mapped_tensors(file: Path, stamp: Stamp) -> Any:
    """Map a file once; ``stamp`` only tells changed ones apart."""
    return safe_open(file, framework="pt")


def _tensors(source: Source) -> tuple[Any, str]:
    tensors = _mapped_tensors(source.file, _stamp(source.file))
    return tensors, _choose(source, list(tensors.keys()))


def _choose(source: Source, names: Collection[str]) -> str:
    if source.key is not None and source.key in names:
        return source.key
    if source.key is None and len(names) == 1:
        return next(iter(names))
    if source.key is None:
        raise FeatureError(f"holds {len(names)} arrays: name one, as in {source.file.name}#NAME")
    raise FeatureError(f"holds no array {source.key!r}.{did_you_mean(source.key, names)}")


def _reason(error: Exception) -> FeatureError:
    if isinstance(error, FileNotFoundError):
        return FeatureError("is not there")
    return FeatureError(f"cannot be read: {str(error) or type(error).__name__}")
