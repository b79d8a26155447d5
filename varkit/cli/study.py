"""``varkit study``: a recipe in several variants, trained, measured and put into one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from varkit.study.execution import Settings
    from varkit.study.finished import FinishedStudy
    from varkit.study.plan import Planned, Planner


@click.command()
@click.argument("study")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would run, and train nothing.")
@click.option("--strict", is_flag=True, help="Refuse instead of taking an embedded: block.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of the runs; studies/<name>/ in it gets the tables and the page.",
)
@click.option("--jobs", type=click.IntRange(1), help="Runs at once; default: cores by threads.")
@click.option(
    "--threads", type=click.IntRange(1), default=1, show_default=True, help="CPU threads of a run."
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option(
    "--resamples",
    type=click.IntRange(1000),
    default=10_000,
    show_default=True,
    help="Draws of every interval and test.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def study(
    study: str,
    overrides: tuple[str, ...],
    plan_only: bool,
    strict: bool,
    out: Path,
    jobs: int | None,
    threads: int,
    device: str,
    resamples: int,
    as_json: bool,
) -> None:
    """Run what a STUDY lacks, hold its rows against one another, and write its tables and page.

    STUDY is a file, or the name of a study that ships with varkit (see varkit ls). Runs that are
    there already are used as they are; stopped ones are resumed. KEY=VALUE overrides the recipes
    of all rows.

    \b
    Examples:
      varkit study sampling_ucf --plan
      varkit study sampling_ucf --jobs 4
      varkit study sampling_ucf train.epochs=1 'train.seeds=[0]' --out trial
    """
    import json

    from varkit.comparison.writers import check_extra
    from varkit.files import read_json
    from varkit.study.execution import Settings
    from varkit.study.plan import Planner
    from varkit.study.rows import resolve_rows
    from varkit.study.study import load_study
    from varkit.study.writers import write_study

    check_extra()
    found = load_study(study)
    planner = Planner(found, resolve_rows(found, overrides, strict=strict), out)
    plan = planner.plan()
    if plan_only:
        if as_json:
            rows = [planned.as_json() for planned in plan.values()]
            click.echo(json.dumps({"schema": 1, "study": found.name, "rows": rows}, indent=2))
        else:
            _show_plan(found.name, plan)
        return
    settings = Settings(jobs or _jobs(device, threads), device, threads, strict)
    finished = _run(planner, settings, overrides, resamples)
    paths, failed = write_study(finished, planner.folder)
    if as_json:
        click.echo(json.dumps(read_json(planner.folder / "study.json")))
    else:
        _show(finished)
    for path in paths:
        click.echo(f"wrote {path}", err=True)
    _end(finished, failed)


def _jobs(device: str, threads: int) -> int:
    """Return how many runs fit: by cores, or one on an accelerator."""
    import torch

    from varkit.machine import usable_cores

    accelerated = torch.cuda.is_available() if device == "auto" else device != "cpu"
    return 1 if accelerated else max(1, usable_cores() // threads)


def _run(
    planner: Planner, settings: Settings, overrides: tuple[str, ...], resamples: int
) -> FinishedStudy:
    from varkit.runs import locked
    from varkit.signals import stop_request
    from varkit.study.execution import execute
    from varkit.study.finished import open_study

    planner.folder.mkdir(parents=True, exist_ok=True)
    with locked(planner.folder), stop_request() as stop:
        unfinished = execute(
            planner, settings, stop=stop, tell=lambda line: click.echo(line, err=True)
        )
    return open_study(
        planner.study, planner.plan(), unfinished, overrides=overrides, resamples=resamples
    )


def _end(finished: FinishedStudy, failed: Mapping[str, str]) -> None:
    """Fail where a row or an exhibit is missing; what is there is written."""
    from varkit.errors import RunError

    lines = [f"row {name}: {why}" for name, why in finished.unfinished.items()]
    lines += [f"exhibit {name}: {why}" for name, why in failed.items()]
    if lines:
        raise RunError(
            f"{finished.study.name} is not complete: {'; '.join(lines)}",
            hint="mend what the logs say, and give the same command again",
        )


def _show_plan(name: str, plan: Mapping[str, Planned]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Plan of {name}", title_justify="left")
    for column in ("row", "", "state", "training left", "run"):
        table.add_column(column, overflow="fold")
    for planned in plan.values():
        marks = ["simulated data"] * planned.dataset.simulated
        marks += ["embedded"] * planned.resolved.recipe.embedded
        row = planned.resolved.row
        state = planned.state if row.trains else f"{planned.state}, measures {row.base}"
        if not row.options.runs:
            state = "data alone"
        if planned.same_as:
            state = f"{planned.state}, same as {planned.same_as}"
        folder = "" if planned.folder is None else str(planned.folder)
        cells = (planned.name, f"{row.label}{_brackets(marks)}", state, _time(planned), folder)
        table.add_row(*map(Text, cells))
    Console().print(table)


def _brackets(marks: list[str]) -> str:
    return f" ({', '.join(marks)})" if marks else ""


def _time(planned: Planned) -> str:
    if planned.state == "cached" or planned.same_as:
        return ""
    if planned.seconds is None:
        return "unknown"
    return f"about {planned.seconds / 60:.1f} min, by {planned.estimated_from}"


def _show(finished: FinishedStudy) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from varkit.comparison.tables import plain
    from varkit.study.exhibits.table import ResultsTable
    from varkit.study.protocol import protocol

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
    for note in protocol(finished):
        console.print(Text(plain(note)))
