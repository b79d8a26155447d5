"""Text files with one entry a line, from elsewhere."""

from __future__ import annotations

import codecs
from pathlib import Path

from varkit.errors import DataError
from varkit_benchmarks.findings import absence

LARGEST = 2**25
"""The benchmarks' longest list has 1.1 MB; a file of more than 32 MiB is none of them."""
_WIDE = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines that hold something, stripped, with their numbers.

    Raises:
        DataError: the file is not there, too large, or no UTF-8 text.
    """
    text = read_text(path, LARGEST)
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def read_text(path: Path, largest: int | None = None) -> str:
    """Return a file's text, without a byte order mark.

    Args:
        path: of the file.
        largest: it has at most so many bytes.

    Raises:
        DataError: the file is not there, too large, or no UTF-8 text.
    """
    if (why := absence(path)) is not None:
        raise DataError(why)
    try:
        size = path.stat().st_size
        if largest is not None and size > largest:
            raise DataError(f"{path} has {size:,} bytes; it is no list of videos")
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    hint = "save it as UTF-8"
    if data.startswith(_WIDE):
        raise DataError(f"{path} is UTF-16 or UTF-32 text; expected UTF-8", hint=hint)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: no UTF-8 text", hint=hint) from error
    if "\0" in text:
        raise DataError(f"{path} is no text: it holds zero bytes", hint=hint)
    return text
