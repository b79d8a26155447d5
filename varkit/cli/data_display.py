"""Shows a data set: its faults, its figures, one video, and the progress of reading it."""

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

from pydantic_core import to_jsonable_python
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from varkit.cli.output import echo
from varkit.cli.terminal import print_table
from varkit.cli.training_display import HEARTBEAT
from varkit.data.inspect.check import Check, Depth, check_data
from varkit.data.inspect.leak import Leak
from varkit.data.inspect.show import VideoDetails, timeline
from varkit.data.inspect.stats import Published, Statistics
from varkit.data.inspect.verify import Verification, survey
from varkit.data.inspect.verify_video import Finding
from varkit.errors import DataError
from varkit.interfaces import Dataset
from varkit.recipe import yaml
from varkit.recipe.target import Target
from varkit.recipe.yaml import KeyPath
from varkit.runs.report.tables import Table, mark
from varkit.system import distributed
from varkit.system.files import write_json, write_text

MOST = 20
"""How many findings of a group are printed; the rest are counted."""


@contextmanager
def progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows progress: a bar on a terminal, elsewhere a line now and then."""
    console = Console(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    spoken = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:

        def tell(done: int, total: int) -> None:
            nonlocal spoken
            task = bar.task_ids[0] if bar.task_ids else bar.add_task(what)
            bar.update(task, completed=done, total=total)
            if bar.disable and time.monotonic() - spoken >= HEARTBEAT:
                spoken = time.monotonic()
                echo(f"{what}: {done} of {total} videos", err=True)

        yield tell


@contextmanager
def pointing_to_verify(*arguments: str) -> Iterator[None]:
    """Add a hint to an error in the data: the command that lists all of them."""
    try:
        yield
    except DataError as error:
        error.hint = error.hint or shlex.join(["varkit", "data", "verify", *arguments])
        raise


def announce(target: Target, *, strict: bool = True) -> None:
    """Print on stderr which data set is read, and where each option came from.

    Args:
        target: the data set.
        strict: whether the command has ``--strict``, which is then suggested.
    """
    if target.missing:
        echo("EMBEDDED VARIANT: not the recipe's own data", fg="yellow", err=True)
        echo("A run would use the embedded: block, since this is missing:", err=True)
        for line in target.missing:
            echo(f"  - {line}", err=True)
        if strict:
            echo("--strict reads the recipe's own data.", fg="yellow", err=True)
        echo(err=True)
    comments: dict[KeyPath, str] = {
        tuple(key.split(".")): origin for key, origin in target.origins.items()
    }
    echo(f"data set {target.use}", err=True)
    for line in yaml.dump(to_jsonable_python(dict(target.options)), comments).splitlines():
        echo(f"  {line}", err=True)


def prepare_data(make: Callable[[Callable[[int, int], None]], None]) -> None:
    """Make what a data set reads, such as features of videos, and show the progress.

    Args:
        make: makes it, and is given a function to tell its progress.
    """
    if distributed.rank() == 0:
        with progress("extracting") as tell:
            make(tell)
    distributed.barrier("rank 0, which extracts features")


def build_or_captions(target: Target) -> Dataset:
    """Open a data set; if no video has features, only its captions, and say so.

    Raises:
        DataError: there are no captions either, or only some of the features are missing.
    """
    try:
        return target.build()
    except DataError as error:
        captions = survey(target.cls, target.options).captions
        if captions is None:
            raise
        echo("Captions and labels alone, since no features can be read:", fg="yellow", err=True)
        echo(error.what, err=True)
        return captions


def check_dataset(dataset: Dataset, depth: Depth, *, workers: int) -> Check:
    """Check a data set before a training, and print what is worth knowing.

    Raises:
        DataError: it has faults; they are listed.
    """
    with progress("checking the data") as tell:
        check = check_data(dataset, depth, workers=workers, progress=tell)
    how = {
        "read": f"{check.size / 1e6:,.1f} MB of numbers read in {check.seconds:.1f} s; "
        "that is not repeated until a file changes",
        "kept": "no file has changed since all numbers were read",
        "unread": "as far as headers say; --check full reads all numbers",
    }
    echo(f"data: in order: {how[check.numbers]}", err=True)
    for remark in check.remarks[:MOST]:
        echo(f"  remark: {remark.text}", fg="yellow", err=True)
    if len(check.remarks) > MOST:
        echo(f"  ... and {len(check.remarks) - MOST} more remarks", err=True)
    return check


def print_verification(result: Verification) -> None:
    """Print counts, faults, remarks and the fingerprint."""
    if result.name:
        echo(f"{result.name}{mark({'simulated': result.simulated})}", bold=True)
    if result.splits:
        columns = list(next(iter(result.splits.values())))
        named = ("with ground truth" if column == "truth" else column for column in columns)
        rows = (
            (split, *(f"{counts[column]:,}" for column in columns))
            for split, counts in result.splits.items()
        )
        print_table(Table(("split", *named), tuple(rows)))
    _print_findings("fault", "red", result.faults)
    _print_findings("remark", "yellow", result.remarks)
    echo(f"\nfingerprint {result.fingerprint or 'none, because of the faults'}")
    read = "headers only" if result.quick else f"{result.size / 1e6:,.1f} MB of numbers"
    speed = "" if result.quick else f", {result.size / 1e6 / max(result.seconds, 1e-3):,.0f} MB/s"
    echo(f"read {read} in {result.seconds:.1f} s{speed}")
    if result.faults:
        echo(f"not in order: {_count(len(result.faults), 'fault')}", fg="red")
    else:
        echo("in order" + (" as far as headers say" if result.quick else ""), fg="green")


def _print_findings(kind: str, colour: str, findings: Sequence[Finding]) -> None:
    if not findings:
        return
    echo(f"\n{_count(len(findings), kind)}", fg=colour, bold=True)
    groups: dict[str, list[str]] = {}
    for finding in findings:
        groups.setdefault(finding.group, []).append(finding.text)
    for group, texts in groups.items():
        echo(f"{group} ({len(texts)})")
        for text in texts[:MOST]:
            echo(f"  {text}", fg=colour if group == "leaks" else None)
        if len(texts) > MOST:
            echo(f"  ... and {len(texts) - MOST} more; --json lists all")


def print_statistics(statistics: Statistics, published: Mapping[str, tuple[float, str]]) -> None:
    """Print the figures by split, then by class, then those that were published."""
    figures, splits = statistics.figures, statistics.splits
    keys = dict.fromkeys(_without_split(key, splits) for key in figures)
    rows = (
        (key, *(_cell(figures.get(f"{key}.{split}".rstrip("."))) for split in ("", *splits)))
        for key in keys
        if not key.startswith("class.")
    )
    title = f"{statistics.name}{mark({'simulated': statistics.simulated})}"
    print_table(Table(("", "all", *splits), tuple(rows), title=title))
    _print_classes(statistics)
    if published:
        _print_published(statistics.beside(published))


def _print_classes(statistics: Statistics) -> None:
    names = sorted({name for video in statistics.videos for name in video.item.classes})
    if not names:
        return
    columns = [
        "videos",
        *(f"videos.{split}" for split in statistics.splits),
        "seconds.median",
        "fraction.median",
    ]
    rows = (
        (name, *(_cell(statistics.figures.get(f"class.{name}.{column}")) for column in columns))
        for name in names
    )
    echo()
    print_table(Table(("class", *(column.replace(".", " ") for column in columns)), tuple(rows)))


def _print_published(figures: Sequence[Published]) -> None:
    rows = ((f.key, f"{f.published:,g}", _cell(f.found), f.verdict, f.source) for f in figures)
    echo()
    print_table(Table(("published", "figure", "found", "", "where"), tuple(rows)))


def write_statistics(
    statistics: Statistics, published: Mapping[str, tuple[float, str]], folder: Path
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
    for key, value in statistics.figures.items():
        writer.writerow((key, value, published[key][0] if key in published else ""))
    write_json(folder / "stats.json", statistics.to_dict(published))
    write_text(folder / "stats.csv", table.getvalue())
    return [folder / "stats.json", folder / "stats.csv", *write_histograms(statistics, folder)]


def print_leak(leak: Leak) -> None:
    """Print how much the nearest training captions give away."""
    echo(f"{leak.name}{mark({'simulated': leak.simulated})}", bold=True)
    echo(f"{leak.test:,} test captions, each with the nearest of {leak.train:,} in train")
    shares = {
        "of the same class": (leak.same_class, leak.same_class_chance),
        "normal, or anomalous, as well": (leak.same_label, leak.same_label_chance),
    }
    rows = (
        (what, *("unknown" if x is None else f"{100 * x:.1f} %" for x in values))
        for what, values in shares.items()
    )
    print_table(Table(("its video is", "nearest", "at random"), tuple(rows)))
    echo(f"{_count(leak.identical, 'test caption')} literally in train too")


def print_video(details: VideoDetails) -> None:
    """Print one video."""
    facts = details.to_dict()
    echo(f"{details.item.video}", bold=True, nl=False)
    echo(f"  {details.dataset}{mark(facts)}, {details.split}")
    label = {1: "1 (anomalous)", 0: "0 (normal)", None: "unknown"}[details.item.label]
    echo(f"label    {label}   classes  {', '.join(details.item.classes) or 'unknown'}")
    echo(f"clips    {facts['clips']:,}   seconds  {facts['seconds']:,.1f}   crops  {details.crops}")
    for query, content in details.queries.items():
        shown = content if isinstance(content, str) else f"a sound of {content} clips"
        echo(f"query    {query}: {shown}")
    for name, stream in facts["streams"].items():
        norm = "  ".join(f"{key} {value:.3g}" for key, value in stream["norm"].items())
        echo(f"stream   {name}: {stream['width']} wide, {stream['clips']} clips; norm  {norm}")
    if details.truth is None:
        echo("anomaly  nobody said where")
        return
    width = min(shutil.get_terminal_size().columns, 120)
    echo(timeline(details.truth, width))
    for anomaly in details.anomalies:
        (first, after), (start, end) = anomaly["clips"], anomaly["seconds"]
        echo(f"anomaly  clips {first}-{after - 1}, {start:.1f}-{end:.1f} s")
    if not details.anomalies:
        echo("anomaly  none")


def print_guide(target: Target) -> None:
    """Print how to get the data, which options must still be given, and what is missing here."""
    echo(_guide(target).rstrip() + "\n")
    if target.lacking:
        for line in target.lacking:
            echo(f"to give: {line}")
        return
    absent = target.absent()
    for line in absent:
        echo(f"missing here: {line}")
    faults: Sequence[str] = ()
    if not absent and hasattr(target.cls, "survey"):
        faults = survey(target.cls, target.options).faults
    for line in faults[:MOST]:
        echo(f"not in order: {line}")
    if len(faults) > MOST:
        echo(f"... and {len(faults) - MOST:,} more")
    if not absent and not faults:
        echo("Nothing is missing here.")


def _guide(target: Target) -> str:
    if hasattr(target.cls, "guide"):
        try:
            guide: str = target.cls.guide(**target.options)
            return guide
        except TypeError:
            if not target.lacking:
                raise  # otherwise it needs an option that was not given
    return inspect.getdoc(target.cls) or f"{target.use} does not say where its data are."


def _without_split(key: str, splits: Sequence[str]) -> str:
    head, _, tail = key.rpartition(".")
    return head if tail in splits else key


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"
