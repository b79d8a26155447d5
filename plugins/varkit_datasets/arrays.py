"""Arrays of features in files: .npy, .npz and .safetensors, never pickle."""

from __future__ import annotations

import math
import os
import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open

from varkit.errors import did_you_mean
from varkit.system.inputs import InputError, check_user_file, open_user_file, reason
from varkit.system.npy import Header, members, open_member, read_header, read_member
from varkit_datasets.findings import few
from varkit_datasets.sources import FeatureError, Source

Stamp = tuple[int, int]
"""A file's modification time and size; what is cached of it holds until they change."""


def shape(source: Source) -> tuple[int, ...]:
    """Return an array's shape, from the header alone; that of crops is (C, T, D).

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array.
    """
    with _reading():
        dims = _shape(source, _stamp(source.file))
    if len(dims) == 3 and source.crops_axis == 1:
        return dims[1], dims[0], dims[2]
    return dims


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
    """Turn every error over a bad file, which libraries raise of any kind, into a FeatureError."""
    try:
        yield
    except FeatureError:
        raise
    except InputError as error:
        raise FeatureError(str(error)) from error
    except FileNotFoundError as error:
        raise FeatureError("is not there") from error
    except Exception as error:
        raise FeatureError(f"cannot be read: {reason(error)}") from error


def _stamp(file: Path) -> Stamp:
    status = file.stat()
    return status.st_mtime_ns, status.st_size


# Training needs the same shapes in every epoch, and parsing a header takes longer than reading a
# short video.
@lru_cache(maxsize=2**16)
def _shape(source: Source, stamp: Stamp) -> tuple[int, ...]:
    if source.file.suffix == ".npy":
        return _npy_header(source.file, stamp).shape
    if source.file.suffix == ".npz":
        member, header = open_member(*_member(source))
        member.close()
        return header.shape
    tensors, key = _tensors(source)
    return tuple(tensors.get_slice(key).get_shape())


def _load(source: Source, crop: int, start: int, stop: int) -> NDArray[Any]:
    array: NDArray[Any]
    if source.file.suffix == ".npy":
        header = _npy_header(source.file, _stamp(source.file))
        if header.order == "C" and len(header.shape) == 3 and source.crops_axis == 1:
            _, crops, width = header.shape
            offset = header.offset + start * crops * width * header.dtype.itemsize
            array = _numbers(source.file, header, offset, (stop - start) * crops * width)
            return array.reshape(-1, crops, width)[:, crop]
        if header.order == "C":
            *_, length, width = header.shape
            offset = header.offset + (crop * length + start) * width * header.dtype.itemsize
            array = _numbers(source.file, header, offset, (stop - start) * width)
            return array.reshape(-1, width)
        array = _numbers(source.file, header, header.offset, math.prod(header.shape))
        array = array.reshape(header.shape, order="F")
    elif source.file.suffix == ".npz":
        array = read_member(*_member(source))
    else:
        # Through torch, since numpy has no bfloat16.
        tensors, key = _tensors(source)
        tensor = tensors.get_tensor(key)
        array = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return (array.take(crop, source.crops_axis) if array.ndim == 3 else array)[start:stop]


@lru_cache(maxsize=2**16)
def _npy_header(file: Path, stamp: Stamp) -> Header:
    with open_user_file(file) as opened:
        return read_header(opened, stamp[1])


def _numbers(file: Path, header: Header, offset: int, count: int) -> NDArray[Any]:
    with open_user_file(file) as opened:
        return np.fromfile(opened, header.dtype, count, offset=offset)


@lru_cache(maxsize=8)
def _archive(
    file: Path, stamp: Stamp, process: int
) -> tuple[zipfile.ZipFile, dict[str, zipfile.ZipInfo]]:
    """Open an archive once, since listing a large one takes longer than reading an array.

    ``stamp`` and ``process`` are only keys of the cache: a changed file is opened again, and a
    forked process, which would share the position in the file, opens its own.

    Returns:
        The archive, and array name -> member.
    """
    check_user_file(file)
    archive = zipfile.ZipFile(file)
    return archive, members(archive)


def _member(source: Source) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    archive, named = _archive(source.file, _stamp(source.file), os.getpid())
    return archive, named[_choose(source, named)]


@lru_cache(maxsize=8)
def _mapped_tensors(file: Path, stamp: Stamp) -> Any:
    """Map a file once; ``stamp`` is only a key of the cache, for files that change."""
    check_user_file(file)
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
