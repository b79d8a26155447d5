"""Shows an extraction: its plan, its progress, and what came out."""

from __future__ import annotations

import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from varkit.cli.output import echo, printable
from varkit.cli.terminal import print_table
from varkit.errors import StoppedError
from varkit.media.catalogue import Video
from varkit.media.extract_folder import Request, Summary, Watcher
from varkit.media.plan import Plan
from varkit.media.work import Job
from varkit.runs.report.tables import Table
from varkit.system.signals import StopRequest

HEARTBEAT = 30.0
"""Seconds between lines of progress where the output is not a terminal."""
LISTED = 20
"""Most files that are listed one by one."""


class Display(Watcher):
    """A progress bar on a terminal; elsewhere a line every :data:`HEARTBEAT` seconds.

    What is left is told by the files' bytes, since how long a file is shows only when it is opened.

    Args:
        stop: ends the extraction once it is set.
    """

    def __init__(self, stop: StopRequest) -> None:
        self._stop = stop
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.fields[files]}"),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[pace]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[file]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None, files="", pace="", file="")
        self._began = self._spoken = time.monotonic()
        self._sizes: dict[Path, int] = {}
        self._files, self._bytes, self._seconds = 0, 0.0, 0.0  # that are done
        self._reached: dict[Path, tuple[float, float]] = {}  # seconds and bytes of those begun

    def __enter__(self) -> Display:
        """Start drawing."""
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop drawing."""
        self._bar.stop()

    def begin(self, jobs: Sequence[Job], summary: Summary) -> None:
        """Say how many files there are."""
        self._began = self._spoken = time.monotonic()
        self._sizes = {job.path: job.size for job in jobs}
        self._bar.update(self._task, total=sum(self._sizes.values()))
        done = f"; {len(summary.videos):,} are in the store already" if summary.videos else ""
        skipped = f"; {len(summary.skipped):,} skipped" if summary.skipped else ""
        echo(f"{len(jobs):,} files to extract{done}{skipped}", err=True)

    def reached(self, path: Path, seconds: float, of: float | None) -> None:
        """Show how far a file is."""
        share = min(1.0, seconds / of) if of else 0.0
        self._reached[path] = seconds, share * self._sizes.get(path, 0)
        self._show(path)

    def done(self, video: Video) -> None:
        """Show how a file went, if it is not as it should be."""
        path = video.source.path
        self._reached.pop(path, None)
        self._files += 1
        self._bytes += self._sizes.get(path, 0)
        self._seconds += video.duration or 0.0
        if video.status != "ok":
            echo(f"{video.name}: {video.status}: {video.reason}", fg="yellow", err=True)
        self._show(path)

    def _show(self, path: Path) -> None:
        if self._stop:
            raise StoppedError(
                "stopped; what is done is in the store",
                signal_number=self._stop.signal_number or signal.SIGTERM,
                hint="the same command continues",
            )
        took = max(time.monotonic() - self._began, 1e-3)
        covered = self._seconds + sum(seconds for seconds, _ in self._reached.values())
        size = self._bytes + sum(part for _, part in self._reached.values())
        files, pace = f"{self._files}/{len(self._sizes)} files", f"{covered / took:.1f}x real time"
        name = printable(path.name)[:24]
        self._bar.update(self._task, completed=size, files=files, pace=pace, file=name)
        if self._bar.disable and time.monotonic() - self._spoken >= HEARTBEAT:
            self._spoken = time.monotonic()
            total = sum(self._sizes.values())
            left = f", about {duration(took / size * (total - size))} left" if size else ""
            echo(f"{files}, {pace}{left}", err=True)


def print_plan(plan: Plan) -> None:
    """Print what an extraction will take."""
    echo(f"{plan.files:,} files to extract, {plan.done:,} in the store already")
    unknown = f", and {plan.unknown:,} files that do not say how long they are"
    echo(f"video: {duration(plan.seconds)}{unknown if plan.unknown else ''}")
    rows = [
        (
            cost.name,
            "unknown" if cost.pace is None else f"{cost.pace:.1f}x",
            size(cost.bytes_per_hour),
            "unknown" if cost.pace is None else duration(plan.seconds / cost.pace),
        )
        for cost in plan.costs
    ]
    print_table(
        Table(
            ("extractor", "real time", "disk an hour", "time alone"),
            tuple(rows),
            words=1,
            caption="Measured on the beginning of one file, decoding included, with one worker. "
            "Together they take less, since a file is decoded once.",
        )
    )
    took = "unknown" if plan.time is None else f"at most {duration(plan.time)}"
    echo(f"in all: {took}, {size(plan.disk)} of disk")
    _list("skipped", plan.skipped)
    _list("cannot be opened", plan.unreadable)


def print_summary(request: Request, summary: Summary) -> None:
    """Print what came out of an extraction."""
    counts = {
        status: [video for video in summary.videos.values() if video.status == status]
        for status in ("ok", "partial", "failed")
    }
    said = ", ".join(f"{len(videos):,} {status}" for status, videos in counts.items() if videos)
    echo(f"{request.store}: {said or 'nothing'}; {len(summary.done):,} of them done now")
    silent: dict[str, int] = {}
    for video in summary.videos.values():
        for name, made in video.made.items():
            if made.absent is not None:
                key = f"{name}: {made.absent}"
                silent[key] = silent.get(key, 0) + 1
    for why, count in sorted(silent.items()):
        echo(f"  {count:,} without {why}")
    for status in ("partial", "failed"):
        _list(status, [(video.name, video.reason) for video in counts[status]])
    _list("skipped", summary.skipped)
    if summary.elsewhere:
        echo(f"another process extracts {len(summary.elsewhere):,} more into this store")


def summary_dict(request: Request, summary: Summary) -> dict[str, Any]:
    """Return what came out of an extraction as JSON."""
    return {
        "store": str(request.store),
        "whole": summary.whole,
        "extracted": len(summary.done),
        "videos": [
            {
                "video": video.name,
                "status": video.status,
                "reason": video.reason,
                "coverage": video.coverage,
                "duration": video.duration,
                "start": video.start,
                "camera": video.camera,
                "made": {n: {"clips": m.clips, "absent": m.absent} for n, m in video.made.items()},
            }
            for _, video in sorted(summary.videos.items())
        ],
        "skipped": [{"file": name, "reason": reason} for name, reason in summary.skipped],
        "elsewhere": sorted(summary.elsewhere),
    }


def duration(seconds: float) -> str:
    """Return a time in the units of people.

    >>> duration(42), duration(150), duration(7 * 3600), duration(400_000)
    ('42 s', '2.5 min', '7.0 h', '4.6 days')
    """
    for unit, length, most in (("s", 1, 100), ("min", 60, 6000), ("h", 3600, 172_800)):
        if seconds < most:
            return f"{seconds:.0f} s" if unit == "s" else f"{seconds / length:.1f} {unit}"
    return f"{seconds / 86_400:.1f} days"


def size(count: float) -> str:
    """Return bytes in the units of people.

    >>> size(12_300_000), size(4_560_000_000)
    ('12.3 MB', '4.6 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def _list(what: str, files: Sequence[tuple[str, str]]) -> None:
    if not files:
        return
    echo(f"{what}:")
    for name, reason in files[:LISTED]:
        echo(f"  {name}: {reason}")
    if len(files) > LISTED:
        echo(f"  ... and {len(files) - LISTED:,} more")
