"""Executors: where workers run. In this process, or in processes of their own."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from varkit.errors import VarkitError
from varkit.media.catalogue import Video
from varkit.media.work import Job, Progress, Setup, Worker, failed

NextJob = Callable[[], Job | None]
"""Gives the next file, or None if there is none now; asked again after each result."""
Executor = Callable[[Setup, NextJob, Progress], Iterator[tuple[Job, Video]]]
"""Works on files as workers become free, and yields how each went."""


def in_this_process(
    setup: Setup, next_job: NextJob, progress: Progress
) -> Iterator[tuple[Job, Video]]:
    """Work on one file after another; decoding has a process of its own all the same."""
    with Worker(setup) as worker:
        while (job := next_job()) is not None:
            yield job, worker.do(job, progress)


class InProcesses:
    """Work in several processes. One that dies is replaced, and its file counts as failed.

    Args:
        count: of the processes.
    """

    def __init__(self, count: int) -> None:
        self._count = count

    def __call__(
        self, setup: Setup, next_job: NextJob, progress: Progress
    ) -> Iterator[tuple[Job, Video]]:
        """Yield each file with how it went, in the order in which they are done."""
        idle: list[_Process] = []
        busy: dict[Any, _Process] = {}
        try:
            while True:
                while len(busy) < self._count and (job := next_job()) is not None:
                    process = idle.pop() if idle else _start(setup)
                    process.give(job)
                    busy[process.connection] = process
                if not busy:
                    return
                for ready in wait(list(busy)):
                    process = busy[ready]
                    job, answer = process.answer()
                    if isinstance(answer, tuple):
                        progress(job.path, *answer)
                        continue
                    del busy[ready]
                    if answer is None:
                        died = failed(job, setup.media, process.death(), again=True)
                        yield job, died
                        continue
                    idle.append(process)
                    if isinstance(answer, Exception):
                        raise answer
                    yield job, answer
        finally:
            for process in (*idle, *busy.values()):
                process.end()


@dataclass
class _Process:
    process: BaseProcess
    connection: Connection
    job: Job | None = None

    def give(self, job: Job) -> None:
        self.job = job
        try:
            self.connection.send(job)
        except OSError:  # it died while it was idle: its answer says so
            return

    def answer(self) -> tuple[Job, Video | Exception | tuple[float, float | None] | None]:
        """Return its job and a result, an error, its progress, or None if it died."""
        assert self.job is not None
        try:
            return self.job, self.connection.recv()
        except (EOFError, OSError):
            return self.job, None

    def death(self) -> str:
        """Return why it died."""
        self.process.join()
        code = self.process.exitcode or 0
        how = signal.Signals(-code).name if code < 0 else f"status {code}"
        return f"the worker that extracted it died ({how})"

    def end(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()


def _start(setup: Setup) -> _Process:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(setup, theirs), daemon=False)
    process.start()
    theirs.close()
    return _Process(process, ours)


def _serve(setup: Setup, connection: Connection) -> None:
    """Work until the other side closes; it may be killed at any time."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all; the other side decides
    try:
        with Worker(setup) as worker:
            while True:
                job = connection.recv()
                try:
                    result: Any = worker.do(job, lambda _, *reached: connection.send(reached))
                except VarkitError as error:
                    result = error
                connection.send(result)
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return
    except VarkitError as error:
        connection.send(error)
