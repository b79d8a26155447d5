"""Shows a study: its plan, which rows run, and the table."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.text import Text

from varkit.cli.output import echo
from varkit.cli.terminal import print_table, print_text
from varkit.runs.report.tables import Table, plain
from varkit.training.checkpoint import KEPT
from varkit_studies.code import by_code
from varkit_studies.execution import Settings
from varkit_studies.exhibits.table import ResultsTable
from varkit_studies.finished import FinishedStudy
from varkit_studies.plan import Planned, Planner
from varkit_studies.protocol import protocol, warnings


class Progress:
    """Prints a line when a row starts or ends; on a terminal also a line of progress, redrawn."""

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


def show_plan(planner: Planner, plan: Mapping[str, Planned], settings: Settings) -> None:
    """Print a plan, and what it costs to run it with these settings."""
    rows = (
        (name, _state(planned, planner.out), planned.resolved.row.label)
        for name, planned in plan.items()
    )
    title = f"Plan of {planner.study.name}"
    print_table(Table(("row", "state", "label"), tuple(rows), title=title, words=3))
    for line in [*_remarks(plan, planner.out), *_total(plan, settings)]:
        print_text(line)


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
    return f"{planned.state}, about {_time(planned.seconds)} left"


def _remarks(plan: Mapping[str, Planned], out: Path) -> list[str]:
    """Return the remarks that concern several rows, a sentence each."""
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


def _total(plan: Mapping[str, Planned], settings: Settings) -> Iterator[str]:
    """Yield what the trainings of a plan cost in all, as far as it is known."""
    rows = [planned for planned in plan.values() if planned.trainings]
    costs = {planned.name: planned.cost for planned in rows if planned.cost is not None}
    if costs:
        each = ", ".join(f"{name} {cost.step:.2g} s" for name, cost in costs.items())
        yield f"A training step takes here, with --threads {settings.threads}: {each}."
    known = [planned.seconds for planned in rows if planned.seconds is not None]
    if not known or len(known) < len(rows):
        return
    beside = f", {_time(sum(known) / settings.jobs)} with --jobs {settings.jobs}"
    trainings = sum(planned.trainings for planned in rows)
    yield (
        f"{trainings} trainings: about {_time(sum(known))} of steps{beside * (settings.jobs > 1)}."
    )
    yield "Selecting and measuring come on top."
    sizes = [planned.disk or 0 for planned in rows]
    yield f"Models: about {_size(sum(sizes))} on the disk."
    if costs:
        largest = KEPT * max(cost.checkpoint for cost in costs.values())
        yield f"Checkpoints of one training while it runs: up to {_size(largest)}."


def _time(seconds: float) -> str:
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min")):
        if seconds < limit:
            return f"{seconds / unit:.1f} {name}"
    return f"{seconds / 3600:.1f} h"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"


def _other_code(plan: Mapping[str, Planned]) -> Iterator[str]:
    """Yield which rows have an earlier run by different code, and whether it is used."""
    rows = [(p.name, p.other_code, p.state == "missing") for p in plan.values()]
    for names, differing in by_code((name, code) for name, code, again in rows if again):
        yield f"Made by other code ({differing}), so run again: {names}. --accept-code uses it."
    for names, differing in by_code((name, code) for name, code, again in rows if not again):
        yield f"Made by other code ({differing}), and used anyway: {names}."


def _marked(plan: Mapping[str, Planned], what: str, holds: Callable[[Planned], bool]) -> list[str]:
    names = [name for name, planned in plan.items() if holds(planned)]
    if not names:
        return []
    return [f"{what}: {'all rows' if len(names) == len(plan) else ', '.join(names)}."]


def show_results(finished: FinishedStudy) -> None:
    """Print the table, and what a reader must know about it."""
    for table in ResultsTable()(finished, finished.study.folder).tables if finished.rows else ():
        echo()
        print_table(table)
    for note in (*warnings(finished), *protocol(finished)):
        print_text(note)


def show_files(paths: Sequence[Path]) -> None:
    """Print on stderr where the page is, and which files are beside it."""
    page, *rest = paths
    beside = f"; beside it {', '.join(path.name for path in rest)}" if rest else ""
    echo(f"wrote {page}{beside}", err=True)
