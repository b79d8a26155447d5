"""Bounds that the system enforces on this process."""

from __future__ import annotations

import os
import resource
from contextlib import suppress
from pathlib import Path


def bound_memory(extra: int) -> None:
    """Let this process map ``extra`` bytes more than now, where the system can enforce it."""
    with suppress(OSError, ValueError):  # macOS has neither the file nor the limit
        mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        _lower(resource.RLIMIT_AS, mapped + extra)


def forbid_opening(spare: int) -> None:
    """Let this process open only ``spare`` more handles: files, sockets and all else.

    The system counts neither, but numbers: new handles get the lowest free ones.
    """
    handles = [os.dup(0) for _ in range(spare)]
    _lower(resource.RLIMIT_NOFILE, max(handles, default=0) + 1)
    for handle in handles:
        os.close(handle)


def _lower(limit: int, value: int) -> None:
    hard = resource.getrlimit(limit)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(limit, (value, value))
