"""This machine: its devices, free memory and processor, and errors about what it lacks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click
import torch

from varkit.errors import did_you_mean


def find_device(name: str) -> torch.device:
    """Return the device of a name; ``auto`` is a GPU where there is one.

    Raises:
        click.BadParameter: there is no such device.
    """
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    known = ["auto", "cpu", *(["cuda", *gpus] if gpus else [])]
    if name == "auto":
        return torch.device("cuda" if gpus else "cpu")
    try:
        place = torch.device(name)
        torch.ones(1, device=place).item()  # "meta" allocates but cannot compute
    except (RuntimeError, AssertionError, NotImplementedError):
        raise unknown("device", name, known) from None
    return place


def free_memory(device: torch.device) -> int | None:
    """Return the free bytes of a device, or None if unknown."""
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept
    if device.type != "cpu":
        return None
    kilobytes = _search("/proc/meminfo", r"^MemAvailable:\s+(\d+) kB")
    return None if kilobytes is None else 1024 * int(kilobytes)


def model() -> str | None:
    """Return the processor's name, or None if unknown."""
    return _search("/proc/cpuinfo", r"^model name\s*:\s*(.+)$")


def bad(option: str, message: str) -> click.BadParameter:
    """Return the error for an option's value."""
    return click.BadParameter(message, param_hint=f"'--{option}'")


def unknown(option: str, name: str, known: Sequence[str]) -> click.BadParameter:
    """Return the error for a name that is not in ``known``, with the nearest one."""
    kind = option.removesuffix("s")
    near = did_you_mean(name, known)
    return bad(option, f"no {kind} {name!r}.{near} Known here: {', '.join(known)}.")


def _search(file: str, pattern: str) -> str | None:
    try:
        match = re.search(pattern, Path(file).read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return None
    return match[1] if match else None
