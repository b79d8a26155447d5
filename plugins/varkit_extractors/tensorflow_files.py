"""Reads weights in TensorFlow's formats without TensorFlow.

Two formats: the variables of a SavedModel, called a tensor bundle (an index in LevelDB's table
format with values in Protocol Buffers, and a file of numbers), and TensorFlow Lite's (a
FlatBuffer). The files may be damaged or hostile: every position and size is compared with the file
before it is used, and time and memory grow with the size of the file alone.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from varkit.errors import CheckpointError
from varkit.system.inputs import InputError, open_user_file, reading

LARGEST, LARGEST_INDEX = 2**26, 2**20
"""Bytes of a file, and of an index."""
LONGEST = 2**10
"""Items of a list in a FlatBuffer, and bytes of a name."""

_MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)
_FLOAT = 1  # float32, as bundles number types
_LITE_TYPES: dict[int, DTypeLike] = {0: np.float32, 9: np.int8}


@dataclass(frozen=True)
class Stored:
    """An array as a file holds it.

    Attributes:
        codes: float32 or int8, a view of the file's bytes.
        scale: what one step of the codes is worth.
    """

    codes: NDArray[Any]
    scale: float = 1.0

    def numbers(self) -> NDArray[np.float32]:
        """Return the float32 array that the codes stand for."""
        return self.codes.astype(np.float32) * np.float32(self.scale)


def bundle_files(folder: Path) -> tuple[Path, Path]:
    """Return the paths of the index and of the numbers of a SavedModel's variables."""
    variables = folder / "variables"
    return variables / "variables.index", variables / "variables.data-00000-of-00001"


def read_bundle(folder: Path) -> dict[str, Stored]:
    """Return the float32 variables of a SavedModel by their names in its index.

    Raises:
        CheckpointError: a file is missing or damaged.
    """
    index, numbers = bundle_files(folder)
    with reading(index, CheckpointError):
        entries = {key: dict(_fields(e)) for key, e in _table(_content(index, LARGEST_INDEX))}
        header = entries.pop(b"", {})
        if header.get(1) != 1 or header.get(2, 0) != 0:
            raise InputError("is not the index of one file of little-endian numbers")
    with reading(numbers, CheckpointError):
        data = _content(numbers, LARGEST)
        arrays = {
            key.decode(): Stored(_view(data, e.get(4, 0), e.get(5, 0), _shape(e), np.float32))
            for key, e in entries.items()
            if e.get(1) == _FLOAT
        }
        _expect_own_bytes(arrays, data)
    return arrays


def read_lite(path: Path) -> dict[str, Stored]:
    """Return the float32 and int8 arrays that a TensorFlow Lite model holds, by their names.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    with reading(path, CheckpointError):
        data = _content(path, LARGEST)
        if data[4:8] != b"TFL3":
            raise InputError("is not a TensorFlow Lite model")
        model = _Record(data, 0)
        buffers = model.records(4)
        arrays = {
            tensor.text(3): array
            for graph in model.records(2)[:1]
            for tensor in graph.records(0)
            if (array := _lite_array(data, tensor, buffers)) is not None
        }
        _expect_own_bytes(arrays, data)
    return arrays


def _content(path: Path, most: int) -> bytes:
    with open_user_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise InputError(f"has more than {most:,} bytes")
    return data


def _view(
    data: bytes, start: int, size: int, shape: tuple[int, ...], kind: DTypeLike
) -> NDArray[Any]:
    """Return the array that the ``size`` bytes at ``start`` are."""
    dtype = np.dtype(kind).newbyteorder("<")
    inside = min(start, size, *shape) >= 0 and start + size <= len(data)
    if not inside or len(shape) > 8 or math.prod(shape) * dtype.itemsize != size:
        raise InputError("is truncated or damaged: an array does not fit")
    return np.frombuffer(data, dtype, math.prod(shape), start).reshape(shape)


def _expect_own_bytes(arrays: dict[str, Stored], data: bytes) -> None:
    if sum(array.codes.nbytes for array in arrays.values()) > len(data):
        raise InputError("is damaged: its arrays share bytes")


def _part(data: bytes, start: int, size: int) -> bytes:
    if min(start, size) < 0 or start + size > len(data):
        raise InputError("is truncated or damaged")
    return data[start : start + size]


# Tensor bundles


def _table(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the keys and values of a LevelDB table."""
    if len(data) < 48 or not data.endswith(_MAGIC):
        raise InputError("is truncated, or not the index of a SavedModel")
    at = len(data) - 48
    _, at = _varint(data, at)  # where the table's properties are
    _, at = _varint(data, at)
    done = 0
    for _, handle in _block(data, data[at:]):
        start, at = _varint(handle, 0)
        size, _ = _varint(handle, at)
        if start < done:  # or a few bytes could stand for very many
            raise InputError("is damaged: its blocks overlap")
        done = start + size
        yield from _block(data, handle)


def _block(data: bytes, handle: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield what the block holds whose position and size the handle says."""
    start, at = _varint(handle, 0)
    size, _ = _varint(handle, at)
    block = _part(data, start, size)
    if _part(data, start + size, 1) != b"\0":
        raise InputError("is compressed or damaged")
    end = size - 4 - 4 * int.from_bytes(block[-4:], "little")  # keys to restart from follow
    key, at = b"", 0
    while at < end:
        shared, at = _varint(block, at)
        added, at = _varint(block, at)
        length, at = _varint(block, at)
        if shared > len(key) or shared + added > LONGEST:
            raise InputError("is damaged: a name does not fit")
        key = key[:shared] + _part(block, at, added)
        yield key, _part(block, at + added, length)
        at += added + length


def _shape(entry: dict[int, Any]) -> tuple[int, ...]:
    return tuple(dict(_fields(dim)).get(1, 0) for _, dim in _fields(entry.get(2, b"")))


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """Yield the numbers and values of a Protocol Buffer's fields: integers and bytes."""
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        match tag & 7:
            case 0:
                value, at = _varint(message, at)
                yield tag >> 3, value
                continue
            case 2:
                size, at = _varint(message, at)
            case 1 | 5 as kind:
                size = 8 if kind == 1 else 4
            case _:
                raise InputError("is damaged: not a Protocol Buffer")
        yield tag >> 3, _part(message, at, size)
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return the integer that begins at ``at``, of 7 bits a byte, and where it ends."""
    value = 0
    for shift, byte in zip(range(0, 64, 7), data[at : at + 10], strict=False):
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
    raise InputError("is truncated or damaged")


# FlatBuffers


class _Record:
    """A table of a FlatBuffer, to which the four bytes at ``at`` point.

    Its fields have numbers. Methods return nothing, or zero, for a field that is not there.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._at = at + self._number("<I", at)
        self._fields = self._at - self._number("<i", self._at)
        self._size = self._number("<H", self._fields)

    def integer(self, field: int, kind: str) -> int:
        """Return a number in the file, of one of struct's kinds."""
        at = self._position(field)
        return self._number(kind, at) if at else 0

    def extent(self, field: int) -> tuple[int, int]:
        """Return where the first item of a list is, and how many it has."""
        at = self._position(field)
        if not at:
            return 0, 0
        at += self._number("<I", at)
        return at + 4, self._number("<I", at)

    def numbers(self, field: int, kind: str, most: int) -> tuple[Any, ...]:
        """Return the items of a list of numbers."""
        start, count = self.extent(field)
        if count > most:
            raise InputError("is damaged: a list is too long")
        form = f"<{count}{kind}"
        return struct.unpack(form, _part(self._data, start, struct.calcsize(form)))

    def text(self, field: int) -> str:
        """Return a text."""
        return bytes(self.numbers(field, "B", LONGEST)).decode()

    def record(self, field: int) -> _Record | None:
        """Return a table."""
        at = self._position(field)
        return _Record(self._data, at) if at else None

    def records(self, field: int) -> list[_Record]:
        """Return a list of tables."""
        start, _ = self.extent(field)
        count = len(self.numbers(field, "I", LONGEST))
        return [_Record(self._data, start + 4 * n) for n in range(count)]

    def _position(self, field: int) -> int:
        slot = 4 + 2 * field
        offset = self._number("<H", self._fields + slot) if slot < self._size else 0
        return offset and self._at + offset

    def _number(self, kind: str, at: int) -> int:
        (number,) = struct.unpack(kind, _part(self._data, at, struct.calcsize(kind)))
        return int(number)


def _lite_array(data: bytes, tensor: _Record, buffers: list[_Record]) -> Stored | None:
    """Return what a tensor holds, or None if it is computed or of another type."""
    kind = _LITE_TYPES.get(tensor.integer(1, "<b"))
    buffer = tensor.integer(2, "<I")
    if buffer >= len(buffers):
        raise InputError("is damaged: an array has no bytes")
    start, size = buffers[buffer].extent(0)
    if kind is None or not size:
        return None
    codes = _view(data, start, size, tensor.numbers(0, "i", 8), kind)
    quantised = tensor.record(4)
    scales = quantised.numbers(2, "f", LONGEST) if quantised else ()
    zeros = quantised.numbers(3, "q", LONGEST) if quantised else ()
    if len(scales) > 1 or any(zeros):
        raise InputError("is quantised by channel or with a zero point; neither is known")
    return Stored(codes, *scales)
