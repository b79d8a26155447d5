"""What a person sees of a data set: faults, figures, one video, and how far the reading is."""

from __future__ import annotations

import csv
import inspect
import io
import shlex
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from varkit.cli.training_display import HEARTBEAT
from varkit.data.inspect.leak import Leak
from varkit.data.inspect.show import VideoDetails, timeline
from varkit.data.inspect.stats import Published, Statistics
from varkit.data.inspect.verify import Verification, survey
from varkit.data.inspect.verify_video import Finding
from varkit.errors import DataError
from varkit.recipe import yaml
from varkit.recipe.target import Target
from varkit.recipe.yaml import KeyPath
from varkit.runs.report.tables import mark
from varkit.system.files import write_json, write_text

MOST = 20
"""So many findings of a group are printed; the rest is counted."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield what to tell how far one is: a bar on a terminal, elsewhere a line now and then."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    spoken = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=None)

        def tell(done: int, total: int) -> None:
            nonlocal spoken
            bar.update(task, completed=done, total=total)
            if bar.disable and time.monotonic() - spoken >= HEARTBEAT:
                spoken = time.monotonic()
                click.echo(f"{what}: {done} of {total} videos", err=True)

        yield tell


@contextmanager
def pointing_to_verify(*arguments: str) -> Iterator[None]:
    """Add to an error of the data the way to see all of them at once."""
    try:
        yield
    except DataError as error:
        error.hint = error.hint or shlex.join(["varkit", "data", "verify", *arguments])
        raise


def announce(target: Target, *, strict: bool = True) -> None:
    """Say on stderr what is looked at, and where each option came from.

    Args:
        target: what is looked at.
        strict: whether the command has ``--strict``, which is then recalled.
    """
    if target.missing:
        click.secho("EMBEDDED VARIANT: not the recipe's own data", fg="yellow", err=True)
        click.echo("A run would take the embedded: block, since this is missing:", err=True)
        for line in target.missing:
            click.echo(f"  - {line}", err=True)
        if strict:
            click.secho("--strict looks at the recipe's own data.", fg="yellow", err=True)
        click.echo(err=True)
    comments: dict[KeyPath, str] = {
        tuple(key.split(".")): origin for key, origin in target.origins.items()
    }
    click.echo(f"data set {target.use}", err=True)
    for line in yaml.dump(to_jsonable_python(dict(target.options)), comments).splitlines():
        click.echo(f"  {line}", err=True)


def print_verification(found: Verification) -> None:
    """Print counts, faults, remarks and the fingerprint."""
    if found.name:
        click.secho(f"{found.name}{mark({'simulated': found.simulated})}", bold=True)
    if found.splits:
        columns = list(next(iter(found.splits.values())))
        table = Table(box=None, pad_edge=False)
        table.add_column("split")
        for column in columns:
            table.add_column("with ground truth" if column == "truth" else column, justify="right")
        for split, counts in found.splits.items():
            table.add_row(split, *(f"{counts[column]:,}" for column in columns))
        Console().print(table)
    _print_findings("fault", "red", found.faults)
    _print_findings("remark", "yellow", found.remarks)
    click.echo(f"\nfingerprint {found.fingerprint or 'none, because of the faults'}")
    read = "headers only" if found.quick else f"{found.size / 1e6:,.1f} MB of numbers"
    speed = "" if found.quick else f", {found.size / 1e6 / max(found.seconds, 1e-3):,.0f} MB/s"
    click.echo(f"read {read} in {found.seconds:.1f} s{speed}")
    if found.faults:
        click.secho(f"not in order: {_count(len(found.faults), 'fault')}", fg="red")
    else:
        click.secho("in order" + (" as far as headers say" if found.quick else ""), fg="green")


def _print_findings(kind: str, colour: str, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    click.secho(f"\n{_count(len(findings), kind)}", fg=colour, bold=True)
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding.text)
    for group, texts in groups.items():
        click.echo(f"{group} ({len(texts)})")
        for text in texts[:MOST]:
            click.secho(f"  {text}", fg=colour if group == "leaks" else None)
        if len(texts) > MOST:
            click.echo(f"  ... and {len(texts) - MOST} more; --json lists all")


def print_statistics(found: Statistics, published: Mapping[str, tuple[float, str]]) -> None:
    """Print the figures by split, then by class, then those that were published."""
    title = f"{found.name}{mark({'simulated': found.simulated})}"
    table = Table(title=Text(title), title_justify="left", box=None, pad_edge=False)
    for column in ("", "all", *found.splits):
        table.add_column(column, justify="right" if column else "left")
    keys = dict.fromkeys(_without_split(key, found.splits) for key in found.figures)
    for key in keys:
        if not key.startswith("class."):
            cells = (
                found.figures.get(f"{key}.{split}".rstrip(".")) for split in ("", *found.splits)
            )
            table.add_row(key, *map(_cell, cells))
    Console().print(table)
    _print_classes(found)
    if published:
        _print_published(found.beside(published))


def _print_classes(found: Statistics) -> None:
    names = sorted({name for video in found.videos for name in video.item.classes})
    if not names:
        return
    columns = [
        "videos",
        *(f"videos.{split}" for split in found.splits),
        "seconds.median",
        "fraction.median",
    ]
    table = Table(box=None, pad_edge=False)
    table.add_column("class")
    for column in columns:
        table.add_column(column.replace(".", "\n"), justify="right")
    for name in names:
        cells = [_cell(found.figures.get(f"class.{name}.{column}")) for column in columns]
        table.add_row(Text(name), *cells)
    click.echo()
    Console().print(table)


def _print_published(figures: Sequence[Published]) -> None:
    table = Table(box=None, pad_edge=False)
    for column in ("published", "figure", "found", ""):
        table.add_column(column, justify="right" if column in ("figure", "found") else "left")
    table.add_column("where")
    for figure in figures:
        found, published = _cell(figure.found), f"{figure.published:,g}"
        table.add_row(*map(Text, (figure.key, published, found, figure.verdict, figure.source)))
    click.echo()
    Console().print(table)


def write_statistics(
    found: Statistics, published: Mapping[str, tuple[float, str]], folder: Path
) -> list[Path]:
    """Write ``stats.json``, ``stats.csv`` and plots, and return their paths.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: they cannot be written.
    """
    from varkit.runs.report.data_figures import write_histograms

    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(("figure", "value", "published"))
    for key, value in found.figures.items():
        writer.writerow((key, value, published[key][0] if key in published else ""))
    write_json(folder / "stats.json", found.to_dict(published))
    write_text(folder / "stats.csv", table.getvalue())
    return [folder / "stats.json", folder / "stats.csv", *write_histograms(found, folder)]


def print_leak(found: Leak) -> None:
    """Print how much the nearest training captions give away."""
    click.secho(f"{found.name}{mark({'simulated': found.simulated})}", bold=True)
    click.echo(f"{found.test:,} test captions, each with the nearest of {found.train:,} in train")
    table = Table(box=None, pad_edge=False)
    for column in ("its video is", "nearest", "at random"):
        table.add_column(column, justify="left" if column.startswith("its") else "right")
    for what, share, chance in (
        ("of the same class", found.same_class, found.same_class_chance),
        ("normal, or anomalous, as well", found.same_label, found.same_label_chance),
    ):
        cells = ("unknown" if x is None else f"{100 * x:.1f} %" for x in (share, chance))
        table.add_row(what, *cells)
    Console().print(table)
    click.echo(f"{_count(found.identical, 'test caption')} literally in train too")


def print_video(found: VideoDetails) -> None:
    """Print one video."""
    told = found.to_dict()
    click.secho(f"{found.item.video}", bold=True, nl=False)
    click.echo(f"  {found.dataset}{mark(told)}, {found.split}")
    label = {1: "1 (anomalous)", 0: "0 (normal)", None: "unknown"}[found.item.label]
    click.echo(f"label    {label}   classes  {', '.join(found.item.classes) or 'unknown'}")
    click.echo(
        f"clips    {told['clips']:,}   seconds  {told['seconds']:,.1f}   crops  {found.crops}"
    )
    for query, content in found.queries.items():
        shown = content if isinstance(content, str) else f"a sound of {content} clips"
        click.echo(f"query    {query}: {shown}")
    for name, stream in told["streams"].items():
        norm = "  ".join(f"{key} {value:.3g}" for key, value in stream["norm"].items())
        click.echo(
            f"stream   {name}: {stream['width']} wide, {stream['clips']} clips; norm  {norm}"
        )
    if found.truth is None:
        click.echo("anomaly  nobody said where")
        return
    width = min(shutil.get_terminal_size().columns, 120)
    click.echo(timeline(found.truth, width))
    for anomaly in found.anomalies:
        (first, after), (start, end) = anomaly["clips"], anomaly["seconds"]
        click.echo(f"anomaly  clips {first}-{after - 1}, {start:.1f}-{end:.1f} s")
    if not found.anomalies:
        click.echo("anomaly  none")


def print_guide(found: Target) -> None:
    """Print how to get the data, what must still be given, and what is missing here."""
    click.echo(_guide(found).rstrip() + "\n")
    if found.lacking:
        for line in found.lacking:
            click.echo(f"to give: {line}")
        return
    absent = found.absent()
    for line in absent:
        click.echo(f"missing here: {line}")
    faults: Sequence[str] = ()
    if not absent and hasattr(found.cls, "survey"):
        faults = survey(found.cls, found.options).faults
    for line in faults[:MOST]:
        click.echo(f"not in order: {line}")
    if len(faults) > MOST:
        click.echo(f"... and {len(faults) - MOST:,} more")
    if not absent and not faults:
        click.echo("Nothing is missing here.")


def _guide(found: Target) -> str:
    if hasattr(found.cls, "guide"):
        try:
            guide: str = found.cls.guide(**found.options)
            return guide
        except TypeError:
            if not found.lacking:
                raise  # else it needs what was not given
    return inspect.getdoc(found.cls) or f"{found.use} says nothing of where its data are."


def _without_split(key: str, splits: Sequence[str]) -> str:
    head, _, tail = key.rpartition(".")
    return head if tail in splits else key


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
