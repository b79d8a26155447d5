"""Tables in untrusted .xlsx files, located by the headings of their columns.

The unpacked size and the numbers of rows and columns are limited. Formulas are never evaluated;
their stored value counts.
"""

from __future__ import annotations

import warnings
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from varkit.errors import DataError, did_you_mean
from varkit.system.inputs import open_user_file
from varkit_datasets.findings import absence

UNPACKED = 2**24
"""Most bytes of an unpacked file, 16 MiB; the benchmark's larger one has 0.7 MB."""
ROWS, COLUMNS = 20_000, 64
HEADER_ROWS = 20
"""Headings must be in one of this many first rows."""
ERRORS = {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NAME?", "#NUM!", "#N/A"}
"""What a cell holds if its formula failed."""
OLE = bytes.fromhex("d0cf11e0a1b11ae1")
"""How encrypted workbooks and old .xls files begin."""

Row = tuple[int, dict[str, str]]
_Cells = list[tuple[int, list[str]]]


def read_table(path: Path, columns: Sequence[str], optional: Sequence[str] = ()) -> list[Row]:
    """Read the rows below the headings, which may be in any sheet, row and columns.

    Args:
        path: an .xlsx file.
        columns: headings that must be there; case and surrounding space do not matter.
        optional: headings that may be there.

    Returns:
        Row number and cells by heading, with spaces normalised; rows in which all these cells are
        empty are left out. Of merged cells only the first is filled.

    Raises:
        DataError: the file cannot be read, is encrypted, would unpack to too much, or lacks a
            column, or has it twice.
    """
    sheets = _sheets(path)
    matches = {t: where for t, rows in sheets.items() if (where := _headings(rows, columns))}
    if not matches:
        raise DataError(_lacking(path, sheets, columns))
    if len(matches) > 1:
        raise DataError(
            f"{path} has columns {', '.join(map(repr, columns))} in several sheets: "
            f"{', '.join(map(repr, matches))}; keep one"
        )
    ((title, (header, names)),) = matches.items()
    wanted = [name for name in (*columns, *optional) if name.casefold() in names]
    for name in wanted:
        if names.count(name.casefold()) > 1:
            raise DataError(f"{path} has column {name!r} twice")
    places = {name: names.index(name.casefold()) for name in wanted}
    table = [
        (number, {name: cells[place] for name, place in places.items()})
        for number, cells in sheets[title]
        if number > header
    ]
    return [(number, row) for number, row in table if any(row.values())]


def _sheets(path: Path) -> dict[str, _Cells]:
    """Return the rows of every sheet that are not empty."""
    import openpyxl  # here, since it is slow to import

    if (why := absence(path)) is not None:
        raise DataError(why)
    try:
        _check(path)
        # Opened here, since openpyxl does not close a file that it fails to read.
        with open_user_file(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and the like
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            return {sheet.title: _rows(sheet) for sheet in book.worksheets}
    except DataError:
        raise
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error
    except zipfile.BadZipFile as error:
        raise DataError(
            f"{path} is not an .xlsx file, or is damaged: {error}",
            hint="open it in a spreadsheet program and save it as .xlsx",
        ) from error
    except Exception as error:  # openpyxl raises errors of many kinds over broken XML
        reason = str(error) or type(error).__name__
        raise DataError(f"{path} cannot be read as .xlsx: {reason}") from error


def _check(path: Path) -> None:
    with open_user_file(path) as file:
        if file.read(len(OLE)) == OLE:
            raise DataError(
                f"{path} is encrypted, or an old .xls file",
                hint="open it and save it as .xlsx, without a password",
            )
        with zipfile.ZipFile(file) as archive:
            unpacked = sum(member.file_size for member in archive.infolist())
    if unpacked > UNPACKED:
        raise DataError(f"{path} would grow to {unpacked:,} bytes; refused")


def _rows(sheet: Any) -> _Cells:
    rows = sheet.iter_rows(min_row=1, max_row=ROWS, max_col=COLUMNS, values_only=True)
    return [
        (number, [_text(cell) for cell in row])
        for number, row in enumerate(rows, 1)
        if any(cell is not None for cell in row)
    ]


def _text(cell: object) -> str:
    text = "" if cell is None else " ".join(str(cell).split())
    return "" if text in ERRORS else text


def _headings(rows: _Cells, columns: Sequence[str]) -> tuple[int, list[str]] | None:
    """Return the number of the row that holds all headings, and the row in lower case."""
    for number, cells in rows:
        names = [cell.casefold() for cell in cells]
        if number <= HEADER_ROWS and all(column.casefold() in names for column in columns):
            return number, names
    return None


def _lacking(path: Path, sheets: dict[str, _Cells], columns: Sequence[str]) -> str:
    rows = [cells for rows in sheets.values() for number, cells in rows if number <= HEADER_ROWS]
    if not any(any(cells) for cells in rows):
        return f"{path} is empty"
    wanted = [column.casefold() for column in columns]
    best = max(rows, key=lambda cells: sum(cell.casefold() in wanted for cell in cells))
    there = [cell for cell in best if cell]
    known = [cell.casefold() for cell in there]
    absent = [column for column in columns if column.casefold() not in known]
    close = "".join(did_you_mean(column, there) for column in absent)
    return (
        f"{path} has no column {', '.join(map(repr, absent))} in its first {HEADER_ROWS} rows."
        f"{close} It has: {', '.join(map(repr, there))}"
    )
