"""A quick hash of files, computed at the start of every training."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from varkit.system.inputs import open_user_file, reading

ENDS = 2**16
"""Bytes that are hashed at the beginning and at the end of a file."""


def fingerprint(known: Iterable[object], files: Iterable[Path], root: Path) -> str:
    """Return a hash of what is known of videos, and of files below a folder.

    It covers each file's path, size, and first and last 64 KiB. New features change it; a few
    numbers altered in the middle of a larger file do not. Reading every byte of a benchmark would
    take longer than a short run.

    Raises:
        DataError: a file cannot be read.
    """
    digest = hashlib.sha256()
    for fact in known:
        digest.update(repr(fact).encode())
    for path in sorted(files):
        with reading(path), open_user_file(path) as file:
            size = os.fstat(file.fileno()).st_size
            digest.update(os.fsencode(f"{path.relative_to(root).as_posix()} {size}\n"))
            digest.update(file.read(ENDS))
            if size > ENDS:
                file.seek(-ENDS, os.SEEK_END)
                digest.update(file.read())
    return digest.hexdigest()
