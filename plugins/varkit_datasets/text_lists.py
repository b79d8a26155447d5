"""Untrusted text files with one entry per line."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

from varkit.errors import DataError
from varkit.system.inputs import open_user_file, reading
from varkit_datasets.findings import absence

LARGEST = 2**25
"""Most bytes of a list, 32 MiB; the benchmarks' longest one has 1.1 MB."""
_WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, stripped, with their numbers.

    Raises:
        DataError: the file is missing, too large, or not UTF-8 text.
    """
    text = read_text(path, LARGEST)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def read_text(path: Path, largest: int | None = None) -> str:
    """Return a file's text, without a byte order mark.

    Args:
        path: of the file.
        largest: most bytes that it may have.

    Raises:
        DataError: the file is missing, too large, or not UTF-8 text.
    """
    if (why := absence(path)) is not None:
        raise DataError(why)
    with reading(path), open_user_file(path) as file:
        size = os.fstat(file.fileno()).st_size
        if largest is not None and size > largest:
            raise DataError(f"{path} has {size:,} bytes, too many for a list of videos")
        data = file.read()
    hint = "save it as UTF-8"
    if data.startswith(_WIDE):
        raise DataError(f"{path} is UTF-16 or UTF-32 text; expected UTF-8", hint=hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8 text", hint=hint) from error
    if "\0" in text:
        raise DataError(f"{path} is not text: it holds zero bytes", hint=hint)
    return text
