"""Writes the variables of a SavedModel as TensorFlow does, for arrays of float32."""

import itertools
import struct

import numpy as np


def write_bundle(folder, arrays):
    """Write name -> array below ``folder``; one block, names after the first share prefixes."""
    entries, numbers = [(b"", field(1, 1))], b""
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name], "<f4")
        dims = b"".join(field(2, field(1, side)) for side in array.shape)
        entry = field(1, 1) + field(2, dims) + field(4, len(numbers)) + field(5, array.nbytes)
        entries.append((name.encode(), entry + varint(6 << 3 | 5) + bytes(4)))
        numbers += array.tobytes()
    index, handles = b"", []
    for block in (entries, []):
        index, handle = add_block(index, block)
        handles.append(handle)
    index, handle = add_block(index, [(entries[-1][0], handles[0])])
    magic = struct.pack("<Q", 0xDB4775248B80FB57)
    index += (handles[1] + handle).ljust(40, b"\0") + magic
    variables = folder / "variables"
    variables.mkdir(parents=True, exist_ok=True)
    (variables / "variables.index").write_bytes(index)
    (variables / "variables.data-00000-of-00001").write_bytes(numbers)
    return folder


def add_block(data, entries):
    """Return the data with a block of keys and values at its end, and where that is."""
    block, last = b"", b""
    for key, value in entries:
        alike = (a == b for a, b in zip(last, key, strict=False))
        shared = sum(itertools.takewhile(bool, alike))
        added = key[shared:]
        block += varint(shared) + varint(len(added)) + varint(len(value)) + added + value
        last = key
    block += struct.pack("<II", 0, 1)
    return data + block + bytes(5), varint(len(data)) + varint(len(block))


def field(number, value):
    """Return a field of a Protocol Buffer: an integer, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def varint(value):
    parts = []
    while value >= 128:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
