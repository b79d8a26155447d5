"""Arrays in files: .npy, .npz and .safetensors, never pickle.

A file is untrusted: its header is compared with its size before anything is allocated, so that a
truncated file or a decompression bomb is an error, not a crash.
"""

from __future__ import annotations

import math
import os
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from varkit.errors import did_you_mean
from varkit_datasets.findings import few
from varkit_datasets.sources import FeatureError, Source

BOMB_BYTES, BOMB_RATIO = 2**26, 200
"""An archive member above 64 MiB that was compressed more than 200 times is refused."""

_UNREADABLE = (
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
)

Stamp = tuple[int, int]
"""A file's modification time and size; what is cached of it holds until they change."""


def shape(source: Source) -> tuple[int, ...]:
    """Return an array's shape, from the header alone.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array.
    """
    with _reading():
        return _shape(source, _stamp(source.file))


def load_clips(source: Source, crop: int, start: int, stop: int) -> NDArray[Any]:
    """Read a part of a (T, D) array, or of one crop of a (C, T, D) one.

    Args:
        source: of this shape; of a .npy file only the part is read.
        crop: which of the C crops.
        start: the first clip.
        stop: one past the last clip.

    Returns:
        (stop - start, D), as it is stored.

    Raises:
        FeatureError: as :func:`shape`.
    """
    with _reading():
        return _load(source, crop, start, stop)


@contextmanager
def _reading() -> Iterator[None]:
    """Turn every error of a library over a bad file into a FeatureError."""
    try:
        yield
    except FeatureError:
        raise
    except FileNotFoundError as error:
        raise FeatureError("is not there") from error
    except OSError as error:
        raise FeatureError(f"cannot be read: {error.strerror or error}") from error
    except _UNREADABLE as error:
        raise FeatureError(f"cannot be read: {str(error) or type(error).__name__}") from error


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


@dataclass(frozen=True)
class _Header:
    """What the header of an array in .npy format says, and the offset of its first number."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int


# Training needs the same shapes in every epoch, and parsing a header takes longer than reading a
# short video.
@lru_cache(maxsize=2**16)
def _shape(source: Source, stamp: Stamp) -> tuple[int, ...]:
    if source.file.suffix == ".npy":
        return _npy_header(source.file, stamp).shape
    if source.file.suffix == ".npz":
        return _open_member(source)[1].shape
    tensors, key = _tensors(source)
    return tuple(tensors.get_slice(key).get_shape())


def _load(source: Source, crop: int, start: int, stop: int) -> NDArray[Any]:
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
        # Through torch, since numpy has no bfloat16.
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
    try:
        version = np.lib.format.read_magic(file)
    except ValueError:
        raise FeatureError("does not begin like a .npy file" if size else "is empty") from None
    parse = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in parse:
        raise FeatureError(f"is of .npy version {version}; known: 1.0, 2.0")
    dims, fortran, dtype = parse[version](file)
    if dtype.hasobject:
        raise FeatureError("holds Python objects, not numbers")
    promised = file.tell() + math.prod(dims) * dtype.itemsize
    if promised != size:
        fault = "is truncated" if size < promised else "is too long"
        raise FeatureError(f"{fault}: its header promises shape {dims}")
    return _Header(dims, dtype, "F" if fortran else "C", file.tell())


@lru_cache(maxsize=8)
def _archive(file: Path, stamp: Stamp, process: int) -> tuple[zipfile.ZipFile, dict[str, str]]:
    """Open an archive once, since listing a large one takes longer than reading an array.

    ``stamp`` and ``process`` are only keys of the cache: a changed file is opened again, and a
    forked process, which would share the position in the file, opens its own.

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
    """Map a file once; ``stamp`` is only a key of the cache, for files that change."""
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
    raise FeatureError(
        f"holds no array {source.key!r}.{did_you_mean(source.key, names)} "
        f"It has: {few([*map(repr, names)])}"
    )
