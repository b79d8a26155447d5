"""Products by torch's libraries: cuBLAS on a GPU, the faster of two on the CPU.

torch's own products of float32 on the CPU go to MKL, which uses AVX-512 on Intel's processors
alone. oneDNN, which torch carries as well and takes for bfloat16, uses it on all: on an AMD EPYC
(Zen 5) it has twice MKL's speed. torch lets dense float32 matrices reach it by one operator without
a public name. Where that is missing, or there is no AVX-512, the product is torch's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

Linear = Callable[[Tensor, Tensor], Tensor]

ROWS = 1024
"""Rows that :func:`add_product` computes at a time, so that they are still in cache when added."""


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, N) = (M, K) @ (K, N)."""
    linear = _onednn()
    if linear is None or left.is_cuda or left.dtype != torch.float32:
        return left @ right
    if 0 in (*left.shape, *right.shape):
        return left @ right
    # With gaps between rows oneDNN falls back to loops that are a thousand times slower.
    if right.is_contiguous() or right.T.is_contiguous():
        return linear(left, right.T)
    return linear(left, right.T.contiguous())


def wide_product(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, N) = (M, K) @ (K, N) in at least float32.

    On a GPU products of half precision are not rounded on the way; on the CPU torch rounds them.
    """
    if left.is_cuda and left.itemsize == 2:
        return torch.mm(left, right, out_dtype=torch.float32)
    return product(left, right).to(torch.promote_types(left.dtype, torch.float32))


def add_product(into: Tensor, left: Tensor, right: Tensor, factor: float = 1.0) -> None:
    """Add factor * (M, K) @ (K, N) to a wide (M, N)."""
    for begin in range(0, len(into), ROWS):
        rows = slice(begin, begin + ROWS)
        into[rows].add_(wide_product(left[rows], right), alpha=factor)


@functools.cache
def _onednn() -> Linear | None:
    """Return what multiplies (M, K) and (N, K), None where it cannot or is not faster."""
    found = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if found is None or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    return lambda left, right: found(left, right, None, "none", [], "")
