"""Time, matrix-product ceiling and memory of a function."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch


def repeat(
    function: Callable[..., object],
    device: torch.device,
    seconds: float,
    prepare: Callable[[], tuple[Any, ...]] = tuple,
) -> list[float]:
    """Return the seconds of each of at least 3 repeats, after one that is not counted."""
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 4 or time.perf_counter() - started < seconds:
        arguments = prepare()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        begin = time.perf_counter()
        function(*arguments)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return times[1:]


def matrix_product_ceiling(dtype: torch.dtype, device: torch.device, seconds: float) -> float:
    """Return the TFLOP/s of a square product: 8192 on a GPU, 2048 on the CPU."""
    size = 8192 if device.type == "cuda" else 2048
    a = torch.randn(size, size, device=device).to(dtype)
    times = repeat(lambda: a @ a, device, seconds)
    return 2 * size**3 / statistics.median(times) / 1e12


def figures(times: list[float], operations: int, ceiling: float) -> dict[str, float]:
    """Return median and spread in ms, and the share of a ceiling in TFLOP/s."""
    p20, p80 = (statistics.quantiles(times, n=5, method="inclusive")[k] for k in (0, 3))
    median = statistics.median(times)
    tflops = operations / median / 1e12
    return {
        "median_ms": 1e3 * median,
        "p20_ms": 1e3 * p20,
        "p80_ms": 1e3 * p80,
        "tflops": tflops,
        "percent_of_ceiling": 100 * tflops / ceiling,
    }


def peak_extra(function: Callable[[], object], device: torch.device) -> int | None:
    """Return the bytes that a function holds at most, on top of what is held before.

    On the CPU it is the process's resident memory, which only Linux tells; None elsewhere.
    """
    if device.type == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        function()
        return torch.cuda.max_memory_allocated(device) - before
    status = Path("/proc/self/status")
    if not status.exists():
        return None

    def kilobytes(field: str) -> int:
        found = re.search(rf"^{field}:\s+(\d+) kB", status.read_text(), re.MULTILINE)
        return int(found[1]) if found else 0

    gc.collect()
    with contextlib.suppress(AttributeError, OSError):  # glibc: give freed memory back first
        ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    before = kilobytes("VmRSS")
    function()
    return 1024 * (kilobytes("VmHWM") - before)
