"""Tables in .csv, .jsonl and .parquet files, as text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from varkit.errors import DataError
from varkit_datasets.findings import absence
from varkit_datasets.text_lists import read_text

Rows = tuple[Sequence[tuple[int, dict[str, str]]], Sequence[str]]


def read_rows(path: Path) -> Rows:
    """Read a table.

    Args:
        path: a .csv, .jsonl or .parquet file.

    Returns:
        (row number, cells) pairs, every cell a stripped string, and the columns.

    Raises:
        DataError: it cannot be read.
    """
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in readers:
        raise DataError(f"manifest {path} is not a .csv, .jsonl or .parquet file")
    if (why := absence(path)) is not None:
        raise DataError(why)
    try:
        rows = list(readers[path.suffix](path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"manifest {path} cannot be read: {error}") from error
    columns = list(dict.fromkeys(column for _, row in rows for column in row))
    return [(n, {c: _text(row.get(c)) for c in columns}) for n, row in rows], columns


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
    for row in reader:
        if None in row:
            raise ValueError(
                f"line {reader.line_num} has more cells than the header; put captions with "
                'commas in double quotes: "..."'
            )
        yield reader.line_num, row


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(io.StringIO(read_text(path)), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise ValueError(f"line {number}: {error}") from error
        if not isinstance(row, dict):
            raise ValueError(f"line {number} is not a JSON object")
        yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow.parquet  # here, since it is an extra and slow to import
    except ImportError as error:
        raise DataError(
            f"reading {path} needs pyarrow", hint="pip install 'varkit[parquet]'"
        ) from error
    yield from enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1)


def _text(cell: Any) -> str:
    if cell is None or cell != cell:  # NaN is how pandas writes an empty cell
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # pandas turns a column of 0, 1 and empty cells into floats
    return str(int(cell) if isinstance(cell, bool) else cell).strip()
