"""Arrays in numpy's formats, .npy and .npz, from untrusted files: nothing is unpickled.

A header is compared with the size of the file before anything is allocated, so that a truncated
file, an absurd shape or a decompression bomb is an error and not a crash.
"""

from __future__ import annotations

import io
import math
import zipfile
from dataclasses import dataclass
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.system.inputs import InputError, expect_plausible

LONGEST = 2**16
"""Most bytes of a header; numpy itself refuses more than 10,000."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""What numpy writes. Other methods allocate what an untrusted file says they need."""


@dataclass(frozen=True)
class Header:
    """What the header of an array says.

    Attributes:
        shape: of the array.
        dtype: of its numbers, or texts.
        order: ``C`` or ``F``.
        offset: bytes before the first number.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"]
    offset: int


def read_header(file: IO[bytes], size: int) -> Header:
    """Read a file in .npy format up to its first number.

    Args:
        file: at its beginning.
        size: of the file in bytes.

    Raises:
        InputError: it is of another format, holds Python objects, or is longer or shorter than its
            shape needs.
    """
    magic = file.read(8)
    if magic[:6] != np.lib.format.MAGIC_PREFIX or len(magic) < 8:
        raise InputError("does not begin like a .npy file" if size else "is empty")
    version = magic[6], magic[7]
    parse = {
        (1, 0): (2, np.lib.format.read_array_header_1_0),
        (2, 0): (4, np.lib.format.read_array_header_2_0),
    }
    if version not in parse:
        raise InputError(f"is of .npy version {version}; known: 1.0, 2.0")
    width, header = parse[version]
    prefix = file.read(width)
    length = int.from_bytes(prefix, "little")
    if length > min(LONGEST, size):
        raise InputError(f"is damaged: its header claims {length:,} bytes")
    try:
        shape, fortran, dtype = header(io.BytesIO(prefix + file.read(length)))
    except Exception as error:  # even MemoryError, of Python's parser over too many brackets
        raise InputError("is damaged: its header cannot be read") from error
    if dtype.hasobject:
        raise InputError("holds Python objects, not numbers")
    offset = 8 + width + length
    if min(shape, default=0) < 0 or (0 not in shape and not dtype.itemsize):
        raise InputError(f"is damaged: its header promises shape {shape} of {dtype}")
    promised = offset + math.prod(shape) * dtype.itemsize
    if promised != size:
        fault = "is truncated" if size < promised else "is too long"
        raise InputError(f"{fault}: its header promises shape {shape}")
    return Header(shape, dtype, "F" if fortran else "C", offset)


def members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return array name -> member of an .npz file.

    Raises:
        InputError: two arrays have one name.
    """
    named: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        name = info.filename.removesuffix(".npy")
        if name in named:
            raise InputError(f"holds two arrays {name!r}")
        named[name] = info
    return named


def open_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> tuple[IO[bytes], Header]:
    """Open an array in an archive, at its first number.

    Raises:
        InputError: as :func:`read_header`; or it would grow out of all proportion, or is compressed
            as numpy never does.
    """
    if info.compress_type not in _METHODS:
        raise InputError(f"holds {info.filename!r}, compressed as numpy does not")
    expect_plausible(info.file_size, info.compress_size)
    member = archive.open(info)
    try:
        return member, read_header(member, info.file_size)
    except BaseException:
        member.close()  # an open member keeps the archive's file open
        raise


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> NDArray[Any]:
    """Return an array in an archive; raises as :func:`open_member`."""
    member, header = open_member(archive, info)
    with member:
        return np.ndarray(header.shape, header.dtype, member.read(), order=header.order)
