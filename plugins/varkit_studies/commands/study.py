"""``varkit study``: train and measure a recipe in several variants, in one table."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from varkit.cli.options import check_option, json_option, machine_options, strict_option
from varkit.cli.output import echo, print_json

if TYPE_CHECKING:
    from varkit.data.inspect.check import Depth
    from varkit_studies.execution import Settings
    from varkit_studies.finished import FinishedStudy
    from varkit_studies.plan import Planned, Planner
    from varkit_studies.study_file import Study


def _studies(
    context: click.Context, parameter: click.Parameter, start: str
) -> list[CompletionItem]:
    """Complete the name of a shipped study, or a file."""
    from varkit_studies.study_file import shipped_studies

    names = (name for name in shipped_studies() if name.startswith(start))
    return [*map(CompletionItem, names), CompletionItem(start, type="file")]


@click.command()
@click.argument("study", required=False, shell_complete=_studies)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--plan",
    "plan_only",
    is_flag=True,
    help="Show what would run and what it costs; train nothing.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    show_default=True,
    help="With --plan: take a few steps of each recipe that no earlier run tells the time of.",
)
@click.option(
    "--rows",
    metavar="NAME,...",
    help="Run only these rows, the rows that they measure, and the reference.",
)
@strict_option
@click.option(
    "--accept-code",
    is_flag=True,
    help="Use runs that other code made, instead of training again; the tables say so.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder of the runs; the tables and the page go into its studies/<name>/.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    help="Runs at the same time; default: cores / threads, or 1 on a GPU.",
)
@check_option
@machine_options(threads=1)
@click.option(
    "--resamples",
    type=click.IntRange(1000),
    default=10_000,
    show_default=True,
    help="Resamples for each interval and test.",
)
@json_option
def study(
    study: str | None,
    overrides: tuple[str, ...],
    plan_only: bool,
    measure: bool,
    rows: str | None,
    strict: bool,
    accept_code: bool,
    out: Path,
    jobs: int | None,
    check: Depth,
    threads: int,
    device: str,
    resamples: int,
    as_json: bool,
) -> None:
    """Run the missing rows of a STUDY, compare its rows, and write its tables and page.

    STUDY is a file, or the name of a study that ships with varkit; without it, those are listed.
    Finished runs are used as they are; stopped runs are resumed. KEY=VALUE overrides the recipes of
    all rows.

    \b
    Examples:
      varkit study
      varkit study sampling_ucf --plan --no-measure
      varkit study sampling_ucf --jobs 4
      varkit study sampling_ucf --rows fixed,anomaly
      varkit study sampling_ucf train.epochs=1 'train.seeds=[0]' --out trial
    """
    if study is None:
        if plan_only or strict or rows is not None:
            raise click.UsageError("name a STUDY; varkit study lists those that ship with varkit")
        _list(as_json)
        return
    from varkit.system.records import read_json
    from varkit_studies.commands.study_display import show_files, show_plan, show_results
    from varkit_studies.comparison.writers import check_extra
    from varkit_studies.execution import Settings
    from varkit_studies.plan import Planner
    from varkit_studies.rows import resolve_rows
    from varkit_studies.study_file import load_study
    from varkit_studies.writers import write_study

    check_extra()
    loaded = load_study(study)
    if rows is not None:
        loaded = _chosen(loaded, rows.split(","))
    resolved = resolve_rows(loaded, overrides, strict=strict)
    planner = Planner(loaded, resolved, out, accept_code=accept_code)
    settings = Settings(jobs or _jobs(device, threads), device, threads, check, strict, accept_code)
    if plan_only:
        plan = _costed(planner.plan(), settings) if measure else planner.plan()
        if as_json:
            head = {"schema": 1, "study": loaded.name, "left_out": list(loaded.left_out)}
            planned = [planned.as_json() for planned in plan.values()]
            print_json({**head, "rows": planned})
        else:
            show_plan(planner, plan, settings)
        return
    finished = _run(planner, settings, overrides, resamples)
    paths, failed = write_study(finished, planner.results)
    if as_json:
        print_json(read_json(planner.results / "study.json", dict[str, Any]), indent=None)
    else:
        show_results(finished)
    show_files(paths)
    _end(finished, failed)


def _list(as_json: bool) -> None:
    """Print the studies that ship with varkit: name, title, and the table that each reproduces."""
    from varkit.recipe import yaml
    from varkit_studies.study_file import shipped_studies

    listed = []
    for name, path in shipped_studies().items():
        content = yaml.load(path).value
        about = {"title": content["title"], "table": content.get("table", "")}
        listed.append({"name": name, **about, "path": str(path)})
    if as_json:
        print_json(listed)
        return
    for study in listed:
        echo(study["name"], bold=True, nl=False)
        echo(f"  {study['title']}")
        if study["table"]:
            echo(f"  {study['table']}")


def _chosen(study: Study, names: list[str]) -> Study:
    """Return a study of some rows, and print which rows were added to them."""
    from varkit_studies.partial import choose_rows

    names = [name.strip() for name in names]
    chosen = choose_rows(study, names)
    added = ", ".join(name for name in chosen.rows if name not in names)
    if added:
        echo(f"also: {added}, which these rows need", err=True)
    return chosen


def _costed(plan: Mapping[str, Planned], settings: Settings) -> Mapping[str, Planned]:
    """Return a plan with what its rows cost."""
    from varkit.system.machine import prepare
    from varkit_studies.plan import with_costs

    device, _ = prepare(settings.device, settings.threads)
    return with_costs(plan, device, lambda row: echo(f"{row}: taking a few steps", err=True))


def _jobs(device: str, threads: int) -> int:
    """Return how many runs fit: by cores, or one on an accelerator."""
    import torch

    from varkit.system.machine import usable_cores

    accelerated = torch.cuda.is_available() if device == "auto" else device != "cpu"
    return 1 if accelerated else max(1, usable_cores() // threads)


def _run(
    planner: Planner, settings: Settings, overrides: tuple[str, ...], resamples: int
) -> FinishedStudy:
    from varkit.runs.folder import locked
    from varkit.system.signals import stop_request
    from varkit_studies.commands.study_display import Progress
    from varkit_studies.execution import execute
    from varkit_studies.finished import open_study

    planner.folder.mkdir(parents=True, exist_ok=True)
    with locked(planner.folder), stop_request() as stop, Progress() as shown:
        unfinished = execute(planner, settings, stop=stop, tell=shown.tell, watch=shown.watch)
    return open_study(
        planner.study, planner.plan(), unfinished, overrides=overrides, resamples=resamples
    )


def _end(finished: FinishedStudy, failed: Mapping[str, str]) -> None:
    """Fail if a row or an exhibit is missing; everything else is written."""
    from varkit.errors import RunError

    lines = [f"row {name}: {why}" for name, why in finished.unfinished.items()]
    lines += [f"exhibit {name}: {why}" for name, why in failed.items()]
    if lines:
        raise RunError(
            f"{finished.study.name} is not complete: {'; '.join(lines)}",
            hint="fix what the logs report, then run the same command again",
        )
