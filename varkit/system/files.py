"""Atomic writes: a file is complete or absent, whatever kills the program.

Every file of a run is written here, except for lines appended to a log. So durability is
reasoned about and tested in one place.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from varkit.errors import WriteError
from varkit.system.inputs import open_user_file


@contextmanager
def replacing(path: Path, size: int) -> Iterator[Path]:
    """Yield a temporary file beside ``path`` to write to; flush and rename it at the end.

    Args:
        path: the file to create or replace; its folder is created.
        size: bytes about to be written, for the message if they do not fit.

    Raises:
        WriteError: the disk is full or not writable; an older file at ``path`` is untouched.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):  # deleting may fail for the same reason as writing
            part.unlink(missing_ok=True)
        raise write_error(error, path, size) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file atomically.

    Raises:
        WriteError: the disk is full or not writable; an older file at ``path`` is untouched.
    """
    with replacing(Path(path), len(data)) as part:
        part.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; see :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, with sorted keys; NaN is refused because JSON has no NaN."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def sweep(folder: Path) -> None:
    """Delete all temporary files below a folder that killed processes left behind."""
    for part in folder.rglob(".*.part"):
        part.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Wait for the lock on a file and hold it. The system releases the lock of a killed process.

    Raises:
        WriteError: the file cannot be created or locked.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("w")
        fcntl.flock(file, fcntl.LOCK_EX)
    except OSError as error:
        raise write_error(error, path, 0) from error
    with file:
        yield


def sync_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with open_user_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_error(error: OSError, path: Path, size: int) -> WriteError:
    """Return the error for ``size`` bytes that could not be written to ``path``."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = f"free at least {max(size / 1e6, 0.1):.1f} MB there"
    else:
        existing = next(folder for folder in path.parents if folder.exists())
        hint = f"make {existing} writable, or choose another folder"
    return WriteError(f"cannot write {path}: {reason}", hint=hint)
