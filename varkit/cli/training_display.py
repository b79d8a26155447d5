"""Shows a training: what is about to run, its progress, and the table of results."""

from __future__ import annotations

import shlex
import time
from contextlib import nullcontext
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from varkit.cli import print_warning
from varkit.cli.output import echo, print_json
from varkit.cli.terminal import print_table
from varkit.data.inspect.check import Check
from varkit.errors import VarkitError, WriteError
from varkit.evaluation.results import RunResults
from varkit.interfaces import Dataset
from varkit.recipe.load import Recipe
from varkit.runs.experiment import run_experiment, training_parts
from varkit.runs.folder import Run, locked
from varkit.runs.report import write_report
from varkit.runs.report.tables import results_table
from varkit.system import distributed
from varkit.system.machine import return_freed_memory
from varkit.system.output import stdout_to_stderr
from varkit.system.signals import stop_request
from varkit.training.log import Listener, Record

HEARTBEAT = 30.0
"""Seconds between lines of progress where the output is not a terminal."""
LARGE_BATCH = 64 * 2**20
"""Bytes; the benchmarks' own features make larger ones."""


def _make_room(recipe: Recipe, dataset: Dataset) -> None:
    """Return freed memory to the system if batches are large; for small ones the cost is larger."""
    numbers = recipe.train.batch_size * recipe.train.max_clips * sum(dataset.widths.values())
    if 4 * numbers > LARGE_BATCH:
        return_freed_memory()


def announce(recipe: Recipe, device: torch.device, threads: int) -> None:
    """Print what is about to run, and a warning if it is not the benchmark."""
    if distributed.rank() != 0:
        return
    echo(f"varkit: {recipe.name} on {device}, {threads} threads", err=True)
    if recipe.embedded:
        echo("\nEMBEDDED VARIANT: not the benchmark. This machine lacks:", fg="yellow", err=True)
        for line in recipe.missing:
            echo(f"  - {line}", err=True)
        echo(
            f"The recipe's embedded: block is used instead. It sets {', '.join(_replaced(recipe))}."
            " Every result below says so; --strict refuses to use it.\n",
            fg="yellow",
            err=True,
        )


def _replaced(recipe: Recipe) -> list[str]:
    """Return what the embedded block sets: a whole component by its name, else dotted keys."""
    keys = [key for key, origin in recipe.origins.items() if origin.startswith("embedded,")]
    whole = [key.removesuffix(".use") for key in keys if key.endswith(".use")]
    rest = [key for key in keys if not key.startswith(tuple(f"{name}." for name in whole))]
    return sorted([*whole, *rest])


def finish(
    run: Run, dataset: Dataset, check: Check | None, device: torch.device, *, as_json: bool
) -> None:
    """Train and measure what is left of a run, and print its results.

    Args:
        run: a new run, or one to continue.
        dataset: the run's.
        check: of the data set; None on ranks other than 0.
        device: where to compute.
        as_json: print the results as JSON.
    """
    _make_room(run.recipe, dataset)
    first = distributed.rank() == 0
    train, select = training_parts(run.recipe, dataset)
    simulated = " (simulated data)" if dataset.simulated else ""
    if first:
        echo(
            f"data: {dataset.name}{simulated}: {len(train)} videos to train on, {len(select)} to "
            f"select a checkpoint on, {len(dataset.split('test'))} to test on",
            err=True,
        )
        if len(select) == 1:
            print_warning(
                "one video cannot tell checkpoints apart, so best is the first epoch; raise "
                "train.validation, or set train.select=last"
            )
    try:
        held = locked(run.folder) if first else nullcontext()
        with (
            held,
            stop_request() as stop,
            Display(enabled=first) as display,
            stdout_to_stderr(),  # what plugins print is not a result
        ):
            results = run_experiment(
                run, dataset, check, device=device, listen=display.listen, stop=stop
            )
    except WriteError as error:
        error.hint = f"{error.hint}, then: varkit resume {shlex.quote(str(run.folder))}"
        raise
    if not first:
        return
    try:
        show_results(results, as_json=as_json)
    finally:  # also if nobody reads the results
        report(run.folder)


def show_finished(run: Run, results: RunResults, *, as_json: bool) -> None:
    """Print the results of a finished run; nothing needs to be written."""
    if distributed.rank() != 0:
        return
    if changed := run.facts.get("data_changed"):
        text = f"WARNING: the data changed while this run trained: {', '.join(changed)}"
        echo(text, fg="red", err=True)
    show_results(results, as_json=as_json)
    page = run.folder / "report.html"
    if page.is_file():
        echo(f"report: {page}", err=True)
    else:
        report(run.folder)


def show_results(results: RunResults, *, as_json: bool) -> None:
    """Print results on stdout: as a table, or as JSON."""
    if as_json:
        print_json(results, indent=None)
    else:
        print_table(results_table(results))


def report(folder: Path) -> None:
    """Write the page of a run and print its path, or why it could not be written."""
    try:
        echo(f"report: {write_report(folder)}", err=True)
    except VarkitError as error:  # the results are saved; the page can be written later
        echo(f"no report: {error}\n  then: varkit report {folder}", err=True)


class Display:
    """A progress bar on a terminal; elsewhere a line every :data:`HEARTBEAT` seconds.

    Args:
        enabled: False shows nothing.
    """

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.console = Console(stderr=True)
        self.progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[unit]} {task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self.console,
            disable=not enabled or not self.console.is_terminal,
        )
        self.spoken = time.monotonic()

    def __enter__(self) -> Display:
        """Start drawing."""
        self.progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self.progress.stop()

    def listen(self, seed: int) -> Listener:
        """Return a listener for the training of one seed."""
        tasks: dict[str, TaskID] = {}
        note = ""

        def show(unit: str, done: int, of: int, note: str) -> None:
            what = f"seed {seed}"
            if unit not in tasks:
                tasks[unit] = self.progress.add_task(what, unit=unit, note="")
            self.progress.update(tasks[unit], completed=done, total=of, note=note)
            self._say(f"{what}: {unit} {done}/{of}  {note}")

        def hear(record: Record) -> None:
            nonlocal note
            if not self.enabled:
                return
            if record["kind"] == "validation":
                note = f"{record['part']} SumR {record['SumR']:.1f}"
            elif record["kind"] == "remark":
                echo(record["text"], err=True)
            elif record["kind"] == "captions":
                show("captions", record["done"], record["of"], "")
            elif record["kind"] == "step":
                loss = f"loss {record['losses']['total']:.3f}"
                show("step", record["step"], record["of"], f"{loss}  {note}")

        return hear

    def _say(self, line: str) -> None:
        if not self.progress.disable and self.console.is_terminal:
            return
        if time.monotonic() - self.spoken >= HEARTBEAT:
            self.spoken = time.monotonic()
            echo(line, err=True)
