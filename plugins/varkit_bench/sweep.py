"""Measures every size and backend in turn, and says why one could not be measured.

:func:`varkit_kernels.bench.bench` measures one case at a time, so a batch that does not fit in
memory loses only its own row.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from varkit_kernels import bench
from varkit_kernels.similarity_ranking import in_forward
from varkit_kernels.similarity_ranking.backends import BACKENDS, why_not

from varkit import __version__
from varkit.errors import VarkitError
from varkit_bench.machine import bad, find_device, free_memory, model, unknown

SCHEMA = 1
"""The version of the JSON. Raise it when a figure is renamed or changes its meaning."""
DIRECTIONS = ("forward", "backward", "both")
NAMES = tuple(dict.fromkeys((*bench.BASELINES, *BACKENDS)))
DENSE = ("eager", "one_product", "keep_index", "compiled")
"""Backends that keep at least five copies of the whole matrix."""
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in bench.TOLERANCE}


@dataclass(frozen=True)
class Sweep:
    """What to measure, checked against this machine.

    Attributes:
        sizes: batch sizes B.
        backends: in the order in which they are measured.
        explicit: whether the user named the backends; each must then run.
        refused: backend -> why it cannot run here.
        dtype: of the products.
        device: where to measure.
        experts: E, in each of two alignments.
        width: d.
        seconds: approximate measuring time per figure.
    """

    sizes: tuple[int, ...]
    backends: tuple[str, ...]
    explicit: bool
    refused: dict[str, str]
    dtype: torch.dtype
    device: torch.device
    experts: int
    width: int
    seconds: float

    @classmethod
    def checked(
        cls,
        sizes: tuple[int, ...],
        backends: tuple[str, ...] | None,
        dtype: str,
        device: str,
        experts: int,
        width: int,
        seconds: float,
    ) -> Sweep:
        """Turn options into a sweep.

        Raises:
            click.BadParameter: there is no such backend, dtype or device; a named backend cannot
                run here; a batch does not fit in memory.
        """
        if dtype not in DTYPES:
            raise unknown("dtype", dtype, tuple(DTYPES))
        for name in backends or ():
            if name not in NAMES:
                raise unknown("backends", name, NAMES)
        place = find_device(device)
        reasons = {name: why_not(name, place, DTYPES[dtype]) for name in NAMES}
        refused = {name: why for name, why in reasons.items() if why is not None}
        for name in backends or ():
            if name in refused:
                raise bad("backends", f"{name!r} cannot run here: {refused[name]}")
        able = backends or tuple(name for name in NAMES if name not in refused)
        sweep = cls(
            sizes,
            able,
            backends is not None,
            refused,
            DTYPES[dtype],
            place,
            experts,
            width,
            seconds,
        )
        for size in sizes:
            reasons = {name: sweep.too_large(size, name) for name in able}
            full = [f"{name} {why}" for name, why in reasons.items() if why is not None]
            if full and (sweep.explicit or len(full) == len(able)):
                raise bad("sizes", f"B = {size} does not fit: {full[0]}")
        return sweep

    def too_large(self, size: int, backend: str) -> str | None:
        """Return why a batch cannot fit in memory, or None if it may.

        The vectors with their gradients count, and the matrix of backends that build it. Of all
        other backends the mask counts, which is kept only up to a size.
        """
        free = free_memory(self.device)
        number = 8 if self.dtype == torch.float64 else 4
        a_pair = 2 * 4 * self.experts * self.width * min(number, self.dtype.itemsize)
        squared, kept = (5 * number, math.inf) if backend in DENSE else (0.25, in_forward.MASK)
        needed = size * a_pair + min(size**2 * squared, kept)
        if free is None or needed <= free:
            return None
        root = (math.sqrt(a_pair**2 + 4 * squared * free) - a_pair) / (2 * squared)
        largest = int(max(root, (free - kept) / a_pair))
        return (
            f"needs at least {needed / 2**30:,.1f} GiB, and {free / 2**30:,.1f} GiB of memory are "
            f"free; at most B = {largest} can fit"
        )

    def named(self) -> dict[str, Any]:
        """Return what was measured, as JSON."""
        return {
            "sizes": list(self.sizes),
            "backends": list(self.backends),
            "device": str(self.device),
        }


def measure(sweep: Sweep, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure every size and backend.

    Args:
        sweep: what to measure.
        tell: gets one line of progress per case.

    Returns:
        The content of the JSON; ``docs/cli.md`` names its parts. The ceiling is the fastest of the
        square products measured before each case.

    Raises:
        VarkitError: no case fits in memory.
    """
    cases = [(size, backend) for size in sweep.sizes for backend in sweep.backends]
    rows: list[dict[str, Any]] = []
    ceilings: list[float] = []
    machine: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    for number, (size, backend) in enumerate(cases, 1):
        tell(f"{number} of {len(cases)}: B = {size:,}, {backend}")
        case = _case(sweep, size, backend)
        if isinstance(case, str):
            rows.append(_row(size, backend, reason=case))
            continue
        rows.append(_row(**case["results"][0]))
        ceilings.append(case["ceiling_tflops"])
        machine, settings = case["machine"], case["settings"]
    if not ceilings:
        raise VarkitError(
            f"nothing could be measured: {rows[0]['reason']}", hint="pass smaller --sizes"
        )
    ceiling = max(ceilings)
    _relate(rows, ceiling)
    return {
        "schema": SCHEMA,
        "operator": "similarity",
        "varkit": __version__,
        "machine": machine | {"model": model(), "system": platform.platform()},
        "settings": settings | sweep.named(),
        "ceiling_tflops": ceiling,
        "refused": sweep.refused,
        "results": rows,
    }


def _case(sweep: Sweep, size: int, backend: str) -> dict[str, Any] | str:
    """Measure one case, or return why it could not be measured."""
    reason = sweep.too_large(size, backend)
    if reason is not None:
        return reason
    try:
        return bench.bench(
            [size],
            backends=[backend],
            dtype=sweep.dtype,
            experts=sweep.experts,
            width=sweep.width,
            device=sweep.device,
            seconds=sweep.seconds,
        )
    except RuntimeError as error:  # the CPU has no separate error for full memory
        full = isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)
        if not full:
            raise
    if sweep.device.type == "cuda":
        torch.cuda.empty_cache()
    return "out of memory"


def _row(pairs: int, backend: str, *, reason: str | None = None, **measured: Any) -> dict[str, Any]:
    """Return a row with every key; None = not measured."""
    errors = measured.get("error")
    if errors is not None:  # JSON has no NaN
        errors = {name: e if math.isfinite(e) else None for name, e in errors.items()}
    return {
        "pairs": pairs,
        "backend": backend,
        "correct": measured.get("correct"),
        "reason": reason,
        "error": errors,
        **{direction: measured.get(direction) for direction in DIRECTIONS},
        "peak_extra_mib": measured.get("peak_extra_mib"),
    }


def _relate(rows: list[dict[str, Any]], ceiling: float) -> None:
    """Add to every time its share of the ceiling and its speed over eager's."""
    eager = {row["pairs"]: row for row in rows if row["backend"] == "eager"}
    for row in rows:
        for direction in DIRECTIONS:
            figures, base = row[direction], eager.get(row["pairs"], {}).get(direction)
            if figures is not None:
                figures["percent_of_ceiling"] = 100 * figures["tflops"] / ceiling
                figures["speed"] = base and base["median_ms"] / figures["median_ms"]
