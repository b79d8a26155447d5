"""``varkit report``: write the page of a run again."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import run_argument
from varkit.cli.output import echo


@click.command()
@run_argument
def report(run: Path) -> None:
    """Write report.html of RUN again, from the files of the run.

    It also works while the run is still training.

    \b
    Example:
      varkit report runs/alan_ucf/20260101-120000-1a2b3c
    """
    from varkit.runs.report import write_report

    echo(write_report(run))
