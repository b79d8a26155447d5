"""Keeps standard output for results: what libraries and plugins print goes to standard error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any


class _Aside:
    """Standard error in the place of standard output; a plugin that closes it closes nothing."""

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)

    def close(self) -> None:
        pass


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send to standard error what a block prints, or writes to file descriptor 1."""
    stdout, stderr = sys.stdout, sys.stderr
    with ExitStack() as stack:
        with suppress(OSError, ValueError):  # a descriptor that is closed needs no care
            for descriptor in (1, 2):
                kept = os.dup(descriptor)
                stack.callback(os.close, kept)
                stack.callback(os.dup2, kept, descriptor)
            stdout.flush()
            os.dup2(2, 1)
        sys.stdout = _Aside()
        try:
            yield
        finally:
            sys.stdout, sys.stderr = stdout, stderr
