"""Removes files of a study that an earlier write made and the present one did not."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from varkit_studies.exhibits import EXHIBITS

EXHIBIT = rf"(?:{'|'.join(map(re.escape, EXHIBITS))})(?:-[0-9]+)?"
COMPARISON = r"comparison(?:-[0-9]+)?"
WRITTEN = re.compile(
    rf"{EXHIBIT}\.(?:md|tex|csv)"
    rf"|exhibits/{EXHIBIT}/[^/]+\.png"
    rf"|{COMPARISON}/comparison\.(?:md|csv|tex|html|json)"
)
"""What :mod:`varkit_studies.writers` may write beside the page, below the study's folder."""


def remove_stale(folder: Path, written: Collection[Path]) -> None:
    """Remove what an earlier write left, such as the table of an exhibit no longer shown.

    Links stay, and so do files with names that no study writes.

    Args:
        folder: of the study.
        written: the files that belong to it now.
    """
    for file in list(_files(folder)):
        if file not in written and WRITTEN.fullmatch(file.relative_to(folder).as_posix()):
            file.unlink(missing_ok=True)
            for parent in file.relative_to(folder).parents[:-1]:
                with suppress(OSError):  # the folder is not empty
                    (folder / parent).rmdir()


def _files(folder: Path) -> Iterator[Path]:
    """Yield the regular files below a folder; links are not followed."""
    for place, _, names in os.walk(folder):
        files = (Path(place) / name for name in names)
        yield from (file for file in files if not file.is_symlink())
