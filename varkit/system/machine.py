"""The cores, memory and devices that this process can use."""

from __future__ import annotations

import ctypes
import os
import platform
import re
from pathlib import Path

import torch

from varkit.errors import VarkitError


def usable_threads() -> int:
    """Return how many threads this process should compute with, at least 1.

    ``OMP_NUM_THREADS`` says so, as for every program that uses OpenMP, of which a list's first
    number counts; without it, all usable cores.
    """
    said = os.environ.get("OMP_NUM_THREADS", "").split(",")[0].strip()
    return int(said) if said.isascii() and said.isdigit() and int(said) else usable_cores()


def usable_cores() -> int:
    """Return how many cores this process may use, at least 1.

    Both the scheduler's affinity and the cgroup's CPU quota limit it. A container on a big machine
    often has two cores; if torch starts a thread for every core of the machine, they only spin.
    """
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not have it
        cores = os.cpu_count() or 1
    quota = cgroup_quota()
    return max(1, cores if quota is None else min(cores, int(quota)))


def cgroup_quota(root: Path = Path("/")) -> float | None:
    """Return the smallest CPU quota of this process's cgroups in cores, or None without one.

    Both cgroup versions are read; a quota of any ancestor holds for its descendants.

    Args:
        root: where ``proc`` and ``sys`` are mounted.
    """
    quotas = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            top, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            top, read = root / "sys/fs/cgroup/cpu", _quota_v1
        else:
            continue
        own = top / path.lstrip("/")
        for folder in (own, *own.parents):
            quotas.append(read(folder))
            if folder == top:
                break
    return min((quota for quota in quotas if quota is not None), default=None)


def arithmetic(device: torch.device) -> list[str | int]:
    """Return what the last bits of a computation depend on, apart from code and input."""
    processor = re.search(r"model name\s*: (.*)", _read(Path("/proc/cpuinfo")))
    return [
        torch.__version__,
        torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        processor[1] if processor else platform.machine(),
        torch.backends.cpu.get_cpu_capability(),
        torch.get_num_threads(),
    ]


def return_freed_memory(above: int = 2 * 2**20) -> bool:
    """Return freed memory to the system at once; return whether the C library can do so.

    glibc keeps freed blocks of up to 32 MiB for later. Batches of videos differ in length, so
    blocks seldom fit again, and training would hold a fifth more memory than it uses.

    Args:
        above: bytes of the smallest block that is returned.
    """
    mmap_threshold = -3  # M_MMAP_THRESHOLD of <malloc.h>
    try:
        return bool(ctypes.CDLL(None).mallopt(mmap_threshold, above))
    except (AttributeError, OSError, TypeError):  # not glibc
        return False


def _quota_v2(folder: Path) -> float | None:
    return _cores(*_read(folder / "cpu.max").split())


def _quota_v1(folder: Path) -> float | None:
    quota = _read(folder / "cpu.cfs_quota_us").strip()
    return _cores(quota, _read(folder / "cpu.cfs_period_us").strip())


def _cores(*numbers: str) -> float | None:
    """Return quota / period, or None: ``max``, -1 and an absent file mean no quota."""
    try:
        quota, period = map(int, numbers)
    except ValueError:
        return None
    return quota / period if quota > 0 and period > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def prepare(device: str, threads: int | None) -> tuple[torch.device, int]:
    """Choose the device and set torch's threads; return both.

    Raises:
        VarkitError: there is no such device.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
        torch.empty(1, device=chosen)
    except (RuntimeError, AssertionError) as error:
        raise VarkitError(
            f"--device {device}: {str(error).splitlines()[0]}", hint="try --device cpu"
        ) from error
    count = threads or usable_threads()
    torch.set_num_threads(count)
    # Tokenizers warn when a process that used them forks, which DataLoader's workers do.
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    return chosen, count
