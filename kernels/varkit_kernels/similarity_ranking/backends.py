"""Which backend runs, and why. A backend that was asked for runs, or the reason is raised."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from varkit_kernels.device import autocast_dtype
from varkit_kernels.errors import BackendError, InputError
from varkit_kernels.similarity_ranking import compiled
from varkit_kernels.similarity_ranking.cpu import CpuOperations
from varkit_kernels.similarity_ranking.operations import Operations
from varkit_kernels.similarity_ranking.sides import Side

BACKENDS = ("eager", "compiled", "cpu", "triton")


@dataclass(frozen=True)
class Choice:
    """A backend, and the reason.

    Attributes:
        backend: one of :data:`BACKENDS`.
        why: a clause.
        dtype: in which products are computed.
        refused: the backends that cannot run for these inputs, and why not; filled by ``explain``.
    """

    backend: str
    why: str
    dtype: torch.dtype
    refused: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.backend} in {self.dtype}: {self.why}"]
        return "\n".join(lines + [f"not {name}: {why}" for name, why in self.refused.items()])


def choose(side: Side, backend: str, dtype: torch.dtype | None) -> Choice:
    """Choose a backend for these inputs.

    Args:
        side: either side of the similarity.
        backend: ``auto`` or one of :data:`BACKENDS`.
        dtype: in which products are computed; None = autocast's if it is on, else that of the
            vectors, and on the CPU at least fp32, where torch rounds a half-precision product.

    Raises:
        InputError: there is no such backend or the dtype is no floating-point one.
        BackendError: it cannot run for these inputs; the message says why.
    """
    device, chosen = side.vectors[0].device, _dtype(side, dtype)
    if backend == "auto":
        return Choice(*_automatic(device), chosen)
    if backend not in BACKENDS:
        near = difflib.get_close_matches(backend, BACKENDS, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise InputError(f"no backend {backend!r}; there are auto, {', '.join(BACKENDS)}.{hint}")
    why = why_not(backend, device, chosen)
    if why is not None:
        raise BackendError(f"backend {backend!r} cannot run here: {why}")
    return Choice(backend, "it was asked for", chosen)


def refusals(side: Side, dtype: torch.dtype) -> dict[str, str]:
    """Return the backends that cannot run for these inputs, and why not."""
    found = {name: why_not(name, side.vectors[0].device, dtype) for name in BACKENDS}
    return {name: why for name, why in found.items() if why is not None}


def operations(backend: str) -> Operations:
    """Return the steps of a fused backend, ``cpu`` or ``triton``."""
    if backend == "cpu":
        return CpuOperations()
    from varkit_kernels.similarity_ranking.triton_operations import TritonOperations

    return TritonOperations()


def _automatic(device: torch.device) -> tuple[str, str]:
    if device.type == "cpu":
        return "cpu", "fused, without the matrix in memory, and no compiler is needed"
    return "eager", "torch alone; triton is on request only, for it has not run on a GPU yet"


def why_not(backend: str, device: torch.device, dtype: torch.dtype) -> str | None:
    """Return why a backend cannot run, None if it can."""
    if backend == "cpu" and device.type != "cpu":
        return f"it needs tensors on the CPU, and these are on {device}"
    if backend == "compiled":
        return compiled.missing(device)
    if backend == "triton":
        return _why_not_triton(device, dtype)
    return None


def _why_not_triton(device: torch.device, dtype: torch.dtype) -> str | None:
    try:
        from varkit_kernels.similarity_ranking import triton_operations, triton_sizes
    except ImportError as error:
        return f"triton cannot be imported ({error})"
    if (device.type == "cpu") != triton_sizes.INTERPRETED:
        needed = "the CPU, under TRITON_INTERPRET=1" if triton_sizes.INTERPRETED else "a GPU"
        return f"it needs tensors on {needed}, and these are on {device}"
    if device.type not in ("cpu", "cuda"):
        return f"it needs tensors on a CUDA device, and these are on {device}"
    if dtype not in triton_operations.DTYPES:
        return f"it computes in float32, bfloat16 or float16, not in {dtype}"
    if device.type == "cuda" and torch.cuda.get_device_capability(device) < (8, 0):
        return "it needs a GPU of compute capability 8.0 or more"
    return None


def _dtype(side: Side, dtype: torch.dtype | None) -> torch.dtype:
    given, device = side.vectors[0].dtype, side.vectors[0].device
    if dtype is not None:
        if not dtype.is_floating_point:
            raise InputError(f"dtype is {dtype}, not a floating-point type")
        return dtype
    automatic = autocast_dtype(device)
    if automatic is not None and given != torch.float64:
        return automatic
    return torch.promote_types(given, torch.float32) if device.type == "cpu" else given
