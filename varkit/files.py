"""Atomic writes: a file is there whole or not at all, whatever kills the program.

Every file that a run writes, apart from lines appended to a log, goes through here, so that
durability is argued, and tested, in one place.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

from varkit.errors import RunError


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file by way of a neighbour: written, flushed to disk, then renamed.

    Raises:
        RunError: the disk is full or not writable; what was at ``path`` before is untouched.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise write_error(error, path, len(data)) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; see :func:`write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, with sorted keys; NaN is refused since JSON has none."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, allow_nan=False) + "\n")


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_error(error: OSError, path: Path, size: int) -> RunError:
    """Return the error to raise when ``size`` bytes could not be written to ``path``."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = f"free at least {size / 1e6:.1f} MB there, then resume"
    else:
        hint = f"check that {path.parent} is writable, then resume"
    return RunError(f"cannot write {path}: {reason}", hint=hint)
