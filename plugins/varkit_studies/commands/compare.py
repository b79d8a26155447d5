"""``varkit compare``: compare measured runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli import completion
from varkit.cli.options import checkpoint_option, json_option
from varkit.cli.output import echo, print_json

if TYPE_CHECKING:
    from varkit.interfaces.settings import Which


@click.command()
@click.argument(
    "runs",
    type=click.Path(path_type=Path, file_okay=False),
    nargs=-1,
    required=True,
    metavar="RUN...",
    shell_complete=completion.runs,
)
@checkpoint_option
@click.option("--all-pairs", is_flag=True, help="Every run against every earlier one.")
@click.option(
    "--labels",
    metavar="NAME,...",
    help="Names of the runs in tables, in their order; default: what differs between them.",
)
@click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Compare despite different data, splits or rules; every table says so.",
)
@click.option(
    "--queries",
    type=click.IntRange(0),
    default=10,
    show_default=True,
    help="How many queries that moved most to show for each pair; JSON has all.",
)
@click.option(
    "--resamples",
    type=click.IntRange(1000),
    default=10_000,
    show_default=True,
    help="Resamples for each interval and test.",
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the resampling."
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
    labels: str | None,
    allow_mismatch: bool,
    queries: int,
    resamples: int,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Compare measured runs with the first RUN: intervals, tests, and the queries that moved.

    A single RUN gets intervals only. Of several, those that are not finished are left out, which
    the notes say. No file of a run changes.

    \b
    Examples:
      varkit compare runs/mean_pool/20260101-1a2b3c runs/alan_ucf/20260102-4d5e6f
      varkit compare runs/alan_ucf/* --all-pairs --out comparison
      varkit compare mean_pool/latest alan_ucf/latest --labels baseline,ours
    """
    from varkit.cli.terminal import print_table, print_text
    from varkit.runs.find import find_run
    from varkit_studies.comparison import compare as compare_runs
    from varkit_studies.comparison.labels import labels as labels_of
    from varkit_studies.comparison.tables import figure_tables, notes, query_tables
    from varkit_studies.comparison.writers import check_extra, write_comparison

    if out is not None:
        check_extra()
    folders = [find_run(run) for run in runs]
    comparison = compare_runs(
        folders,
        names=labels_of(folders) if labels is None else _split(labels),
        checkpoint=checkpoint,
        all_pairs=all_pairs,
        allow_mismatch=allow_mismatch,
        resamples=resamples,
        seed=seed,
    )
    if as_json:
        print_json(comparison.as_json())
    else:
        for table in [*figure_tables(comparison), *query_tables(comparison, queries)]:
            echo()
            print_table(table)
        echo()
        for note in notes(comparison):
            print_text(note)
    if out is not None:
        for path in write_comparison(comparison, out, queries=queries):
            echo(f"wrote {path}", err=True)


def _split(labels: str) -> list[str]:
    from varkit.runs.report.tables import plain

    return [plain(label).strip() for label in labels.split(",")]
