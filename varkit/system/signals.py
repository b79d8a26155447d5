"""Ctrl-C and SIGTERM ask for a stop; the training loop stops where nothing is lost."""

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
    """Whether somebody asked the program to stop, and by which signal."""

    signal_number: int | None = None

    def __bool__(self) -> bool:
        """Return whether a stop was asked for."""
        return self.signal_number is not None

    def error(self, what: str, run: Path) -> StoppedError:
        """Return the error that ends the program; ``run`` is the folder to go on from."""
        number = self.signal_number or signal.SIGTERM  # on the ranks that got none themselves
        hint = f"varkit resume {shlex.quote(str(run))}"
        return StoppedError(what, signal_number=number, hint=hint)


@contextmanager
def stop_request() -> Iterator[StopRequest]:
    """Note the first SIGINT or SIGTERM instead of dying of it; the second has its usual effect.

    Outside the main thread, where Python allows no handlers, nothing is caught.
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
