"""A benchmark's table and notes, for the terminal and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from varkit.cli.terminal import print_table, print_text
from varkit.runs.report.tables import Table
from varkit_bench.sweep import DIRECTIONS

COLUMNS = ("B", "backend", "pass", "ms", "p20-p80", "TFLOP/s", "% ceiling", "MiB", "speed")


def show(report: dict[str, Any]) -> None:
    """Print the table with its title and notes."""
    rows = tuple(cells for row in report["results"] for cells in _cells(row))
    print_table(Table(COLUMNS, rows, title=_title(report), words=3))
    for note in _notes(report):
        print_text(note)


def markdown(report: dict[str, Any]) -> str:
    """Return the table and the notes as Markdown."""
    head = [COLUMNS, tuple("---:" if c not in COLUMNS[1:3] else "---" for c in COLUMNS)]
    lines = [*head, *(cells for row in report["results"] for cells in _cells(row))]
    table = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(f"- {' '.join(note.split())}\n" for note in _notes(report))
    return f"# {_title(report)}\n\n{table}\n{notes}\n```console\n$ {report['command']}\n```\n"


def _title(report: dict[str, Any]) -> str:
    machine, settings = report["machine"], report["settings"]
    gpu = settings["device"].startswith("cuda")
    device = machine["device"] if gpu else machine["model"] or machine["device"]
    count = machine["threads"]
    return (
        f"{report['operator']}, {settings['dtype']}, E = {settings['experts']}, "
        f"d = {settings['width']}: {device}, {count} CPU thread{'s' * (count != 1)}, "
        f"torch {machine['torch']}, triton {machine['triton'] or 'absent'}"
    )


def _cells(row: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the lines of a row: one per direction, or one that says what went wrong."""
    start = (f"{row['pairs']:,}", row["backend"])
    if not row["correct"]:
        yield *start, "WRONG" if row["correct"] is False else "no room", *[""] * 6
        return
    for direction in DIRECTIONS:
        figures = row[direction]
        extra, speed = row["peak_extra_mib"], figures["speed"]
        whole = direction == "both"
        yield (
            *start,
            direction,
            _number(figures["median_ms"]),
            f"{_number(figures['p20_ms'])}-{_number(figures['p80_ms'])}",
            _number(figures["tflops"]),
            f"{figures['percent_of_ceiling']:.1f}",
            f"{extra:,.1f}" if whole and extra is not None else "",
            "" if speed is None else f"{speed:.2f}",
        )
        start = ("", "")


def _notes(report: dict[str, Any]) -> Iterator[str]:
    has_eager = any(row["backend"] == "eager" and row["correct"] for row in report["results"])
    dtype, ceiling = report["settings"]["dtype"], report["ceiling_tflops"]
    yield f"ms: median. ceiling: {ceiling:,.3g} TFLOP/s, a square {dtype} product in the same run."
    yield "MiB: most memory beyond the inputs, gradients included."
    if has_eager:
        yield "speed: times as fast as eager, expert by expert."
    else:
        yield "speed: unknown, since eager was not measured."
    for backend, reason in report["refused"].items():
        yield f"{backend} cannot run here: {reason}"
    for row in report["results"]:
        if row["correct"] is False:
            wrong = ", ".join(
                f"{name} {'NaN' if e is None else format(e, '.1e')}"
                for name, e in row["error"].items()
            )
            yield f"B = {row['pairs']:,}, {row['backend']} is WRONG, so not timed; off by {wrong}"
        elif row["reason"] is not None:
            yield f"B = {row['pairs']:,}, {row['backend']} was not measured: {row['reason']}"


def _number(value: float) -> str:
    """Format with three significant digits, or more where the integer part has more."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
