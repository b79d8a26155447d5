"""Opens the files that users name: the only place that does, so that one guard holds for all.

Such a file may be a pipe that nobody writes to, a device, a terabyte without content, or damaged
in any way. None of them may hang the program, fill the memory or end in a traceback.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from varkit.errors import DataError, VarkitError

GIANT, RATIO = 2**26, 200
"""More than 64 MiB that occupy less than a 200th, on disk or in an archive, are refused."""

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class InputError(ValueError):
    """What is wrong with a file, as in "is truncated"; the caller adds the file's name."""


def open_user_file(path: Path) -> BufferedReader:
    """Open a file for reading, in binary.

    Raises:
        OSError: it is missing, not readable or not a regular file, or has nearly no content for
            its size.
    """
    try:
        _expect_file(os.stat(path), path)  # before opening, which would touch a device
        # A file that becomes a pipe in the meantime does not block.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except ValueError as error:
        raise OSError(errno.EINVAL, f"not a file name: {error}", str(path)) from error
    file = os.fdopen(handle, "rb")
    try:
        status = os.fstat(handle)
        _expect_file(status, path)
        _expect_content(handle, status, path)
    except OSError:
        file.close()
        raise
    return file


def check_user_file(path: Path) -> None:
    """Raise what :func:`open_user_file` raises, for a library that opens the file itself."""
    open_user_file(path).close()


def read_user_file(path: Path) -> bytes:
    """Return a file's content; raises as :func:`open_user_file`."""
    with open_user_file(path) as file:
        return file.read()


@contextmanager
def reading(
    path: object, error: type[VarkitError] = DataError, *, hint: str | None = None
) -> Iterator[None]:
    """Turn whatever is raised over a file into one error that names it.

    Libraries raise errors of any kind over a damaged file, so no list of them is complete. A
    VarkitError keeps its words.

    Args:
        path: of the file, or what messages call it.
        error: the class to raise.
        hint: what to do about it.
    """
    try:
        yield
    except VarkitError:
        raise
    except InputError as fault:
        raise error(f"{path} {fault}", hint=hint) from fault
    except Exception as fault:
        raise error(f"{path} cannot be read: {reason(fault)}", hint=hint) from fault


def reason(fault: Exception) -> str:
    """Return the words of an exception, or its name if it has none.

    >>> reason(OSError(2, "No such file or directory", "a.npy"))
    'No such file or directory'
    """
    return (isinstance(fault, OSError) and fault.strerror) or str(fault) or type(fault).__name__


def expect_plausible(claimed: int, stored: int) -> None:
    """Refuse a size that no honest file has, such as a decompression bomb's.

    Args:
        claimed: bytes that would be read.
        stored: bytes on disk or in the archive.

    Raises:
        InputError: there are more than :data:`GIANT` and :data:`RATIO` allow.
    """
    if claimed > max(GIANT, RATIO * stored):
        raise InputError(f"would grow from {stored:,} to {claimed:,} bytes; refused")


def _expect_file(status: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, f"it is {kind}, not a file", str(path))


def _expect_content(handle: int, status: os.stat_result, path: Path) -> None:
    """Refuse a file that consists of holes."""
    size, stored = status.st_size, status.st_blocks * 512
    if size <= max(GIANT, RATIO * stored):
        return
    # Compressing file systems, and some over the network, count few blocks of a file without holes.
    first_hole = os.lseek(handle, 0, os.SEEK_HOLE)
    os.lseek(handle, 0, os.SEEK_SET)
    if first_hole < size:
        text = f"it claims {size:,} bytes, of which the disk holds {stored:,}; refused"
        raise OSError(errno.EFBIG, text, str(path))
