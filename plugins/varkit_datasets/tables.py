"""Tables in .csv, .tsv, .json, .jsonl and .parquet files; cells are as the file has them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from varkit.errors import DataError
from varkit.system.inputs import open_user_file, reading
from varkit_datasets.findings import absence
from varkit_datasets.text_lists import read_text

Row = Mapping[str, Any]
Delimiter = Literal["comma", "semicolon", "tab", "pipe"]
DELIMITERS: Mapping[str, str] = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
SUFFIXES = (".csv", ".tsv", ".json", ".jsonl", ".parquet")


def read_rows(
    path: Path, delimiter: Delimiter | None = None
) -> tuple[Sequence[tuple[int, Row]], Sequence[str]]:
    """Read a table.

    Args:
        path: a .csv or .tsv file with a header; a .jsonl file with an object a line; a .json file
            with a list of objects, or with an object whose keys are the column ``video``; or a
            .parquet file.
        delimiter: between the cells of a .csv or .tsv file; None = the one in its header.

    Returns:
        (row number, cells by column) pairs, and the columns.

    Raises:
        DataError: it cannot be read, or has two columns of one name.
    """
    kind = path.suffix.lower()
    if kind not in SUFFIXES:
        expected = f"{', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}"
        raise DataError(f"manifest {path} is not a {expected} file")
    if (why := absence(path)) is not None:
        raise DataError(why)
    readers = {".json": _json, ".jsonl": _jsonl, ".parquet": _parquet}
    with reading(f"manifest {path}"):
        rows = list(readers[kind](path) if kind in readers else _csv(path, delimiter))
    return rows, list(dict.fromkeys(column for _, row in rows for column in row))


def _csv(path: Path, delimiter: Delimiter | None) -> Iterator[tuple[int, Row]]:
    text = read_text(path)
    first = re.sub('"[^"]*"', "", re.split("[\r\n]", text.lstrip("\r\n"), maxsplit=1)[0])
    sign = _delimiter(path, first) if delimiter is None else DELIMITERS[delimiter]
    spaced = f"{sign} " in first  # then a quotation may begin after a space
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=sign, skipinitialspace=spaced, strict=True
    )
    header = [name.strip() for name in next(filter(None, reader), [])]
    _refuse_twice(name for name in header if name)  # pandas leaves the index's name empty
    for cells in filter(None, reader):
        if len(cells) > len(header):
            raise ValueError(
                f"line {reader.line_num} has more cells than the header; put captions with "
                'delimiters in double quotes: "..."'
            )
        yield reader.line_num, dict.fromkeys(header, "") | dict(zip(header, cells, strict=False))


def _delimiter(path: Path, header: str) -> str:
    """Return the delimiter in a header without its quotations; for one column, any."""
    there = [name for name, sign in DELIMITERS.items() if sign in header]
    if len(there) > 1:
        raise DataError(
            f"manifest {path}: its header has several delimiters: {', '.join(there)}",
            hint=f"name the one between cells, as in delimiter={there[0]}",
        )
    return DELIMITERS[there[0] if there else "comma"]


def _jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in enumerate(io.StringIO(read_text(path)), 1):
        if line.strip():
            try:
                row = json.loads(line, object_pairs_hook=_object)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from error
            yield number, _checked(row, f"line {number}")


def _json(path: Path) -> Iterator[tuple[int, Row]]:
    content = json.loads(read_text(path), object_pairs_hook=_object)
    if isinstance(content, dict):
        content = [
            _object([("video", key), *_checked(row, f"the value of {key!r}").items()])
            for key, row in content.items()
        ]
    if not isinstance(content, list):
        raise ValueError("expected a list of objects, or an object with one for each video")
    for number, row in enumerate(content, 1):
        yield number, _checked(row, f"row {number}")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    _refuse_twice(key for key, _ in pairs)
    return dict(pairs)


def _checked(row: Any, where: str) -> Row:
    if not isinstance(row, dict):
        raise ValueError(f"{where} is not a JSON object")
    return row


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow.parquet  # here, since it is an extra and slow to import
    except ImportError as error:
        raise DataError(
            f"reading {path} needs pyarrow", hint="pip install 'varkit[parquet]'"
        ) from error
    with open_user_file(path) as opened, pyarrow.parquet.ParquetFile(opened) as file:
        _refuse_twice(file.schema_arrow.names)
        rows = file.read().to_pylist()
    yield from enumerate(rows, 1)


def _refuse_twice(columns: Iterable[str]) -> None:
    twice = [repr(name) for name, count in Counter(columns).items() if count > 1]
    if twice:
        raise ValueError(f"column {', '.join(twice)} occurs twice; rename or remove one")
