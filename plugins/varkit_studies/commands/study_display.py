"""What a person sees of a study: its plan, which rows run, and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from varkit.runs.report.tables import plain
from varkit_studies.code import by_code
from varkit_studies.exhibits.table import ResultsTable
from varkit_studies.finished import FinishedStudy
from varkit_studies.plan import Planned, Planner
from varkit_studies.protocol import protocol, warnings


class Progress:
    """A line whenever a row starts or ends; on a terminal another, redrawn in its place."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.status = self.console.status("")

    def __enter__(self) -> Progress:
        """Start drawing."""
        self.status.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self.status.stop()

    def tell(self, line: str) -> None:
        """Show a line that stays."""
        self.console.print(Text(plain(line)), soft_wrap=True)

    def watch(self, line: str) -> None:
        """Show how far the rows are, on a terminal alone."""
        text = Text(plain(line), no_wrap=True, overflow="ellipsis")
        self.status.update(text)


def show_plan(planner: Planner) -> None:
    """Print a plan, narrow enough for 80 columns."""
    plan = planner.plan()
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("row", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("label", overflow="fold")
    for name, planned in plan.items():
        cells = (name, _state(planned, planner.out), planned.resolved.row.label)
        table.add_row(*(Text(plain(cell)) for cell in cells))
    console = Console()
    console.print(Text(f"Plan of {planner.study.name}", style="bold"))
    console.print(table)
    for line in _remarks(plan, planner.out):
        console.print(Text(plain(line)))


def _state(planned: Planned, out: Path) -> str:
    row = planned.resolved.row
    if not row.options.runs:
        return "data alone"
    if planned.same_as:
        return f"{planned.state}, same as {planned.same_as}"
    if not row.trains:
        return f"{planned.state}, measures {row.base}"
    if planned.state == "cached" and planned.folder is not None:
        return f"cached, {planned.folder.relative_to(out)}"
    if planned.seconds is None:
        return f"{planned.state}, time unknown"
    return f"{planned.state}, about {planned.seconds / 60:.1f} min left"


def _remarks(plan: Mapping[str, Planned], out: Path) -> list[str]:
    """Return what is to be said of many rows at once."""
    lines = [f"Runs lie below {out}."]
    sources = {
        str(planned.estimated_from.relative_to(out))
        for planned in plan.values()
        if planned.estimated_from is not None
    }
    if sources:
        lines.append(f"Times of training steps, by {', '.join(sorted(sources))}.")
    return [
        *lines,
        *_marked(plan, "Simulated data", lambda planned: planned.dataset.simulated),
        *_marked(plan, "Embedded variant", lambda planned: planned.resolved.recipe.embedded),
        *_other_code(plan),
    ]


def _other_code(plan: Mapping[str, Planned]) -> Iterator[str]:
    """Yield which rows have an earlier run by other code, and whether it is used."""
    rows = [(p.name, p.other_code, p.state == "missing") for p in plan.values()]
    for names, differing in by_code((name, code) for name, code, again in rows if again):
        yield f"Made by other code ({differing}), so run again: {names}. --accept-code uses it."
    for names, differing in by_code((name, code) for name, code, again in rows if not again):
        yield f"Made by other code ({differing}), and used all the same: {names}."


def _marked(plan: Mapping[str, Planned], what: str, holds: Callable[[Planned], bool]) -> list[str]:
    names = [name for name, planned in plan.items() if holds(planned)]
    if not names:
        return []
    return [f"{what}: {'all rows' if len(names) == len(plan) else ', '.join(names)}."]


def show_results(finished: FinishedStudy) -> None:
    """Print the table, and what must be known to read it."""
    console = Console()
    shown_rows = ResultsTable()(finished, finished.study.folder).tables if finished.rows else ()
    for shown in shown_rows:
        table = Table()
        for i, column in enumerate(shown.columns):
            table.add_column(column, justify="left" if i < shown.words else "right")
        for row in shown.rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        console.print(Text(f"\n{plain(shown.title)}", style="bold"))
        Console(width=max(console.width, 150)).print(table)
        console.print(Text(plain(shown.caption)))
    for note in (*warnings(finished), *protocol(finished)):
        console.print(Text(plain(note)))


def show_files(paths: Sequence[Path]) -> None:
    """Say on stderr where the page lies, and what lies beside it."""
    page, *others = paths
    beside = f"; beside it {', '.join(path.name for path in others)}" if others else ""
    click.echo(f"wrote {page}{beside}", err=True)
