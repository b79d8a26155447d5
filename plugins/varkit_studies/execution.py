"""Runs the rows that a study lacks, each in its own process: one failure does not stop the rest."""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from varkit.data.inspect.check import Depth
from varkit.errors import StoppedError
from varkit.system.inputs import read_user_file
from varkit.system.signals import StopRequest
from varkit_studies.plan import Planned, Planner

PAUSE = 0.1
"""Seconds between checks for processes that ended."""
REFRESH = 1.0
"""Seconds between updates of the progress line."""


@dataclass(frozen=True)
class Settings:
    """How children run.

    Attributes:
        jobs: how many at once.
        device: of each.
        threads: of each.
        check: of the data before a training.
        strict: refuse to use an embedded block.
        accept_code: resume and measure runs that other code made.
    """

    jobs: int
    device: str
    threads: int
    check: Depth = "full"
    strict: bool = False
    accept_code: bool = False


@dataclass
class _Child:
    row: str
    process: subprocess.Popen[bytes]
    log: Path
    started: float


def execute(
    planner: Planner,
    settings: Settings,
    *,
    stop: StopRequest,
    tell: Callable[[str], None],
    watch: Callable[[str], None],
) -> dict[str, str]:
    """Run every unfinished row; a row that measures another waits until that is finished.

    Args:
        planner: of the study.
        settings: how children run.
        stop: when set, children are told to save what they have and stop.
        tell: called with a line when a row starts and when it ends.
        watch: called every second with the progress of the running rows.

    Returns:
        Row -> why it is not finished, for every unfinished row.

    Raises:
        StoppedError: ``stop`` was set; what was done is saved.
    """
    children: list[_Child] = []
    failed: dict[str, str] = {}
    started: set[str] = set()
    plan, looked = planner.plan(), 0.0
    try:
        while not stop:
            for planned in _ready(plan, started)[: settings.jobs - len(children)]:
                started.add(planned.name)
                children.append(_start(planned, plan, planner, settings, tell))
            if not children:
                break
            time.sleep(PAUSE)
            ended = [child for child in children if child.process.poll() is not None]
            if ended:
                plan = planner.plan()
            for child in ended:
                children.remove(child)
                _ended(child, plan, failed, tell)
            if time.monotonic() - looked >= REFRESH:
                looked = time.monotonic()
                watch("; ".join(f"{child.row}: {_progress(child.log)}" for child in children))
    finally:
        _end(children)
    if stop:
        raise StoppedError(
            "stopped; what was trained so far is saved",
            signal_number=stop.signal_number or signal.SIGTERM,
            hint="run the same command again to continue",
        )
    return {
        name: failed.get(planned.same_as or name) or _waiting(planned, started)
        for name, planned in plan.items()
        if planned.state != "cached"
    }


def _waiting(planned: Planned, started: set[str]) -> str:
    if planned.name in started:
        return "its process succeeded, but its run is not the planned one"
    row = planned.resolved.row
    return "not finished" if row.trains else f"{row.base}, which it measures, is not finished"


def _ready(plan: dict[str, Planned], started: set[str]) -> list[Planned]:
    """Return the rows that can start: trainings, and rows whose base is finished."""
    return [
        planned
        for name, planned in plan.items()
        if planned.state != "cached"
        and planned.same_as is None
        and name not in started
        and (planned.resolved.row.trains or plan[planned.resolved.row.base].state == "cached")
    ]


def command(planned: Planned, base: Path | None, out: Path, settings: Settings) -> list[str]:
    """Return the arguments of ``varkit`` for a row.

    Args:
        planned: the row.
        base: the run that it measures, if it does.
        out: the folder of runs.
        settings: how children run.
    """
    resolved = planned.resolved
    machine = ["--device", settings.device, "--threads", str(settings.threads)]
    accept = ["--accept-code"] * settings.accept_code
    if not resolved.row.trains:
        place = ["--out", str(planned.folder)]
        return ["eval", str(base), *resolved.overrides, *place, *accept, *machine]
    check = ["--check", settings.check] * (settings.check != "full")
    if planned.state == "partial":  # with the device and threads that it began with
        return ["resume", str(planned.folder), *check, *accept]
    strict = ["--strict"] * settings.strict
    return [
        "run",
        str(resolved.file),
        *resolved.overrides,
        *strict,
        *check,
        "--out",
        str(out),
        *machine,
    ]


def _start(
    planned: Planned,
    plan: dict[str, Planned],
    planner: Planner,
    settings: Settings,
    tell: Callable[[str], None],
) -> _Child:
    arguments = command(planned, plan[planned.resolved.row.base].folder, planner.out, settings)
    log = planner.folder / "logs" / f"{planned.name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    tell(f"{planned.name}: varkit {shlex.join(arguments)}")
    with log.open("wb") as file:
        # In its own session it gets Ctrl-C only once, from this process.
        process = subprocess.Popen(
            [sys.executable, "-m", "varkit", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    return _Child(planned.name, process, log, time.monotonic())


def _ended(
    child: _Child,
    plan: dict[str, Planned],
    failed: dict[str, str],
    tell: Callable[[str], None],
) -> None:
    code = child.process.returncode
    if code == 0:
        minutes = (time.monotonic() - child.started) / 60
        done = sum(planned.state == "cached" for planned in plan.values())
        tell(f"{child.row}: finished in {minutes:.1f} min; {done} of {len(plan)} rows are done")
        return
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    errors = [line for line in _lines(child.log) if line.startswith("error: ")]
    reason = errors[-1].removeprefix("error: ") if errors else _last_line(child.log)
    failed[child.row] = f"{how}: {reason} (log: {child.log})"
    tell(f"{child.row}: failed with {failed[child.row]}")


def _end(children: Sequence[_Child]) -> None:
    """Ask children to save and stop, and wait; a second signal to this process kills them."""
    for child in children:
        child.process.terminate()
    try:
        for child in children:
            child.process.wait()
    except BaseException:
        for child in children:
            child.process.kill()
        raise


def _progress(log: Path) -> str:
    """Return the last line of progress in the log of a training."""
    return next((line for line in reversed(_lines(log)) if line.startswith("seed ")), "started")


def _last_line(log: Path) -> str:
    return next((line for line in reversed(_lines(log)) if line.strip()), "")


def _lines(log: Path) -> list[str]:
    try:
        return read_user_file(log).decode(errors="replace").splitlines()
    except OSError:
        return []
