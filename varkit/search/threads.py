"""Threads for products in NumPy, without torch."""

from __future__ import annotations

import os


def usable_threads() -> int:
    """Return ``OMP_NUM_THREADS``, or how many cores this process may use."""
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    if said.isascii() and said.isdigit() and int(said):
        return int(said)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
