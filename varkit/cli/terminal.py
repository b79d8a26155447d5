"""Draws tables and wrapped text on the terminal."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click
from rich.cells import cell_len

from varkit.cli.output import echo, printable

if TYPE_CHECKING:
    from varkit.runs.report.tables import Table

GAP = 2
"""Spaces between columns."""
SHORT = 24
"""A cell of at most so many characters stays on one line; longer ones wrap between words."""


def print_table(table: Table) -> None:
    """Print a table on stdout, with its title and caption, as wide as the terminal or 80 columns.

    Columns that do not fit follow in a second block, which repeats the first column. Words are
    never broken: one longer than the terminal, such as a path, makes the table wider.
    """
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    if table.title:
        print_text(table.title, bold=True)
    console = Console()
    columns = [tuple(map(_line, column)) for column in zip(table.columns, *table.rows, strict=True)]
    least = [_least(*column) for column in columns]
    most = [max(map(cell_len, column)) for column in columns]
    for number, block in enumerate(_blocks(least, console.width)):
        if number:
            echo()
        widths = _widths([least[i] for i in block], [most[i] for i in block], console.width)
        drawn = RichTable(box=None, header_style="bold", padding=(0, GAP, 0, 0), pad_edge=False)
        for i, width in zip(block, widths, strict=True):
            left = i < table.words or max(map(cell_len, columns[i][1:]), default=0) > SHORT
            drawn.add_column(Text(columns[i][0]), justify="left" if left else "right", width=width)
        for row in _grouped(list(zip(*(columns[i][1:] for i in block), strict=True))):
            drawn.add_row(*map(Text, row))
        total = sum(widths) + GAP * len(widths)
        wide = Console(width=max(console.width, total))
        with wide.capture() as captured:
            wide.print(drawn)
        click.echo(captured.get(), nl=False)  # rich ends the program if the pipe is closed
    if table.caption:
        print_text(table.caption)


def print_text(text: str, *, start: int = 0, indent: int = 0, bold: bool = False) -> None:
    """Print a text on stdout, wrapped between words to the terminal's width.

    In a pipe it stays on one line, so that a path with spaces can be found and copied.

    Args:
        text: line breaks become spaces.
        start: letters that stand on the first line already.
        indent: spaces before each line but the first.
        bold: print it bold.
    """
    text = _line(text)
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        text = textwrap.fill(
            "." * start + text,
            shutil.get_terminal_size().columns,
            subsequent_indent=" " * indent,
            break_long_words=False,
            break_on_hyphens=False,
        )[start:]
    echo(text, bold=bold)


def _line(text: str) -> str:
    """Return text on one line, as :func:`~varkit.cli.output.printable` does."""
    return printable(" ".join(text.splitlines()), sys.stdout)


def _least(heading: str, *cells: str) -> int:
    """Return the smallest width of a column that breaks no word and no short cell."""
    pieces = [
        piece
        for cell in cells
        for piece in ([cell] if len(cell) <= SHORT or cell[0] in "/~" else cell.split())
    ]
    return max(map(cell_len, [*heading.split(), *pieces]), default=0)


def _blocks(least: Sequence[int], room: int) -> list[list[int]]:
    """Cut columns into blocks that fit; each starts with the first column."""
    blocks = [[0]]
    for i in range(1, len(least)):
        needed = sum(least[column] + GAP for column in (*blocks[-1], i)) - GAP
        if needed > room and len(blocks[-1]) > 1:
            blocks.append([0])
        blocks[-1].append(i)
    return blocks


def _widths(least: Sequence[int], most: Sequence[int], room: int) -> list[int]:
    """Share the room that is left among the columns that need it, the narrowest first."""
    widths = list(least)
    for _ in range(room - sum(least) - GAP * (len(least) - 1)):
        short = [i for i, width in enumerate(widths) if width < most[i]]
        if not short:
            break
        widths[min(short, key=widths.__getitem__)] += 1
    return widths


def _grouped(rows: Sequence[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Put an empty row between groups, if rows share their first cell or leave it empty."""
    starts = [i for i, row in enumerate(rows) if i and row[0] not in ("", rows[i - 1][0])]
    if len(starts) >= len(rows) - 1:
        return list(rows)
    return [line for i, row in enumerate(rows) for line in ([(), row] if i in starts else [row])]
