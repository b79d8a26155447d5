"""``varkit bench search``: the engine ``exact`` beside a flat index of FAISS."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import json_option
from varkit.cli.output import echo, print_json
from varkit_bench.options import check_number, parse_names, parse_sizes


@click.command()
@click.option(
    "--rows",
    callback=parse_sizes,
    default="1000,100000",
    show_default=True,
    metavar="R,...",
    help="Rows of a gallery: windows of videos.",
)
@click.option(
    "--widths",
    callback=parse_sizes,
    default="384,1521,3072",
    show_default=True,
    metavar="K,...",
    help="Numbers of a row.",
)
@click.option(
    "--precisions",
    callback=parse_names,
    default="fp16,fp32",
    show_default=True,
    metavar="NAME,...",
    help="Of the stored numbers.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    callback=check_number,
    default=4.0,
    show_default=True,
    help="Approximate measuring time per line; at least 5 repeats.",
)
@json_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder for search.json and search.md.",
)
def search(
    rows: tuple[int, ...],
    widths: tuple[int, ...],
    precisions: tuple[str, ...],
    seconds: float,
    as_json: bool,
    out: Path | None,
) -> None:
    """Measure exact search, beside a flat index of FAISS where that is installed.

    Both have the same simulated vectors and threads (OMP_NUM_THREADS), and answer in turn: a
    query, 32 at once, and a query to one of 20 cameras, with a filter that is new each time and
    with one that is repeated. What does not fit in memory or on disk is left out.

    \b
    Examples:
      varkit bench search
      OMP_NUM_THREADS=2 varkit bench search --rows 1000000 --widths 384 --out speed
    """
    from varkit.cli.terminal import print_table, print_text
    from varkit.runs.report.tables import Table
    from varkit.system.files import write_json, write_text
    from varkit_bench.engines import COLUMNS, cells, markdown, measure, notes, title
    from varkit_bench.machine import unknown

    for name in precisions:
        if name not in ("fp16", "fp32"):
            raise unknown("precisions", name, ("fp16", "fp32"))
    report = measure(rows, widths, precisions, seconds, lambda line: echo(line, err=True))
    if as_json:
        print_json(report)
    else:
        print_table(Table(COLUMNS, tuple(cells(report)), title=title(report), words=4))
        for note in notes(report):
            print_text(note)
    if out is not None:
        write_json(out / "search.json", report)
        write_text(out / "search.md", markdown(report))
        for name in ("search.json", "search.md"):
            echo(f"wrote {out / name}", err=True)
