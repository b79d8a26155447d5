"""The file of vectors of the engine ``exact``: records of one length, written once, mapped to read.

A record is a row's id, a factor, and the vector divided by the factor, as float32 or float16. The
factor of a float16 row is the power of two that brings its largest number to between 2**14 and
2**15. So float16 neither overflows nor loses small probabilities, and subnormal numbers, which
processors compute slowly, can be left out: they are below 2**-28 of the largest.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.searching import Array
from varkit.system.files import sync_folder, write_error
from varkit.system.inputs import InputError, check_user_file

Precision = Literal["fp16", "fp32"]
LARGEST = 15
"""Exponent of the largest number of a float16 row."""
TINY = np.float32(2.0**-14)
"""Smallest normal number of float16."""
SMALLEST = -126
"""Least exponent of a factor: that of a row of zeros, or nearly so."""
AT_ONCE = 2**24
"""Bytes of records in memory at a time."""


def record_type(width: int, precision: Precision) -> np.dtype[Any]:
    """Return a record's type, with fields ``id``, ``factor`` and ``values``; 16 bytes divide it."""
    kind = np.dtype("<f2" if precision == "fp16" else "<f4")
    values = -(-width * kind.itemsize // 16) * 16 // kind.itemsize
    return np.dtype([("id", "<i8"), ("factor", "<f4"), ("_", "<i4"), ("values", kind, (values,))])


def encode(ids: NDArray[np.int64], vectors: Array, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the records of (R, K) vectors."""
    records = np.zeros(len(ids), kind)
    records["id"] = ids
    records["factor"] = 1
    vectors = np.asarray(vectors, np.float32)
    if kind["values"].base == np.float16:
        largest = np.abs(vectors).max(axis=1, initial=0)
        exponents = np.maximum(np.frexp(largest)[1] - LARGEST, SMALLEST)
        records["factor"] = np.ldexp(np.float32(1), exponents)
        vectors = np.ldexp(vectors, -exponents[:, None])
        vectors[np.abs(vectors) < TINY] = 0
    records["values"][:, : vectors.shape[1]] = vectors
    return records


def append(
    path: Path, ids: NDArray[np.int64], vectors: Array, kind: np.dtype[Any], place: int
) -> None:
    """Write records from a place on, over whatever is there, and flush them to disk.

    Raises:
        WriteError: the disk is full or not writable; what is before the place is untouched.
    """

    def part(rows: slice) -> NDArray[Any]:
        return encode(ids[rows], vectors[rows], kind)

    _extend(path, part, len(ids), kind, place)


def copy(records: NDArray[Any], places: NDArray[np.int64], path: Path) -> None:
    """Write the records at some places to a new file, and flush it to disk.

    Raises:
        WriteError: the disk is full or not writable.
    """
    _extend(path, lambda rows: records[places[rows]], len(places), records.dtype, 0)


def erase(path: Path, places: Sequence[int], kind: np.dtype[Any]) -> None:
    """Overwrite records with zeros, on disk.

    Raises:
        WriteError: the disk is not writable.
    """
    try:
        with _opened(path) as handle:
            for place in places:
                _write(handle, bytes(kind.itemsize), place * kind.itemsize)
            os.fsync(handle)
    except OSError as error:
        raise write_error(error, path, 0) from error


def mapped(path: Path, count: int, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return the first ``count`` records of a file, which is read as they are used.

    Raises:
        InputError: it is shorter.
        OSError: it is missing or not a file.
    """
    if not count:
        return np.zeros(0, kind)
    check_user_file(path)
    size = path.stat().st_size
    if size < count * kind.itemsize:
        raise InputError(f"has {size:,} bytes; its {count:,} rows need {count * kind.itemsize:,}")
    return np.memmap(path, kind, "r", shape=(count,)).view(np.ndarray)


def _extend(
    path: Path,
    part: Callable[[slice], NDArray[Any]],
    count: int,
    kind: np.dtype[Any],
    place: int,
) -> None:
    """Write records from a place on, which is the end of the file then."""
    step = max(1, AT_ONCE // kind.itemsize)
    try:
        with _opened(path, os.O_CREAT) as handle:
            try:
                for begin in range(0, count, step):
                    data = part(slice(begin, begin + step)).tobytes()
                    _write(handle, data, (place + begin) * kind.itemsize)
                os.ftruncate(handle, (place + count) * kind.itemsize)
                os.fsync(handle)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(handle, place * kind.itemsize)
                raise
        sync_folder(path.parent)
    except OSError as error:
        raise write_error(error, path, count * kind.itemsize) from error


@contextmanager
def _opened(path: Path, flags: int = 0) -> Iterator[int]:
    """Open a file for writing, if it is one."""
    if path.exists():
        check_user_file(path)
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o644)
    try:
        yield handle
    finally:
        os.close(handle)


def _write(handle: int, data: bytes, offset: int) -> None:
    rest = memoryview(data)
    while rest:
        written = os.pwrite(handle, rest, offset)
        rest, offset = rest[written:], offset + written
