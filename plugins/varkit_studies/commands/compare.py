"""``varkit compare``: measured runs held against one another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from varkit.cli.options import checkpoint_option, json_option

if TYPE_CHECKING:
    from varkit.interfaces.settings import Which
    from varkit_studies.comparison import Comparison


@click.command()
@click.argument(
    "runs",
    type=click.Path(path_type=Path, file_okay=False),
    nargs=-1,
    required=True,
    metavar="RUN...",
)
@checkpoint_option
@click.option("--all-pairs", is_flag=True, help="Every run against every earlier one.")
@click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Compare in spite of different data, splits or rules; every table says so.",
)
@click.option(
    "--queries",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="Of each pair, show so many that moved most; JSON has all.",
)
@click.option(
    "--resamples",
    type=click.IntRange(1000),
    default=10_000,
    show_default=True,
    help="Draws of every interval and test.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Of those draws."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets comparison.md, .csv, .tex, .html and .json.",
)
@json_option
def compare(
    runs: tuple[Path, ...],
    checkpoint: Which | None,
    all_pairs: bool,
    allow_mismatch: bool,
    queries: int,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Hold measured runs against the first RUN: intervals, tests, and the queries that moved.

    One RUN alone is given intervals. No file of a run changes.

    \b
    Examples:
      varkit compare runs/mean_pool/20260101-1a2b3c runs/alan_ucf/20260102-4d5e6f
      varkit compare runs/alan_ucf/* --all-pairs --out comparison
    """
    from varkit_studies import comparison
    from varkit_studies.comparison.writers import as_json as to_json
    from varkit_studies.comparison.writers import check_extra, write_comparison

    if out is not None:
        check_extra()
    found = comparison.compare(
        runs,
        checkpoint=checkpoint,
        all_pairs=all_pairs,
        allow_mismatch=allow_mismatch,
        resamples=resamples,
        seed=seed,
    )
    if as_json:
        click.echo(to_json(found), nl=False)
    else:
        _show(found, queries)
    if out is not None:
        for path in write_comparison(found, out, queries=queries):
            click.echo(f"wrote {path}", err=True)


def _show(found: Comparison, queries: int) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from varkit_studies.comparison.tables import figure_tables, notes, query_tables

    console = Console()
    for shown in [*figure_tables(found), *query_tables(found, queries)]:
        table = Table()
        for i, column in enumerate(shown.columns):
            side: Literal["left", "right"] = "left" if i < shown.words else "right"
            table.add_column(column, justify=side, overflow="fold")
        for row, following in zip(shown.rows, [*shown.rows[1:], ("",)], strict=True):
            table.add_row(*map(Text, row), end_section=row[0] != following[0])
        console.print(Text(f"\n{shown.title}", style="bold"))
        console.print(table)
        console.print(Text(shown.caption))
    console.print()
    for note in notes(found):
        console.print(Text(note))
