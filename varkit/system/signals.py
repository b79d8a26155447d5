"""Ctrl-C and SIGTERM request a stop; the training loop then saves and stops."""

from __future__ import annotations

import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from varkit.errors import StoppedError


class StopRequest:
    """Whether a signal asked the program to stop, and which one."""

    signal_number: int | None = None

    def __bool__(self) -> bool:
        """Return whether a stop was requested."""
        return self.signal_number is not None

    def error(self, what: str, run: Path) -> StoppedError:
        """Return the error that ends the program; ``run`` is the folder to resume."""
        number = self.signal_number or signal.SIGTERM  # another rank got the signal
        hint = f"varkit resume {shlex.quote(str(run))}"
        return StoppedError(what, signal_number=number, hint=hint)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Record the first SIGINT or SIGTERM; a second one has its usual effect.

    Outside the main thread Python does not allow signal handlers, so nothing is caught.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.getsignal(number) for number in numbers}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, _: FrameType | None) -> None:
        request.signal_number = number
        restore()

    for number in numbers:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
