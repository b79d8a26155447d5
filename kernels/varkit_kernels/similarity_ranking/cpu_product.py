"""float32 products on the CPU by whichever of torch's two libraries is faster.

torch's own products of float32 go to MKL, which uses AVX-512 on Intel's processors alone. oneDNN,
which torch carries as well and takes for bfloat16, uses it on all: on an AMD EPYC (Zen 5) it has
twice MKL's speed. torch lets dense float32 matrices reach it by one operator without a public name.
Where that is missing, or there is no AVX-512, the product is torch's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

Linear = Callable[[Tensor, Tensor], Tensor]


def product(left: Tensor, right: Tensor) -> Tensor:
    """Return (M, N) = (M, K) @ (K, N)."""
    linear = _onednn()
    if linear is None or left.dtype != torch.float32 or 0 in (*left.shape, *right.shape):
        return left @ right
    # With gaps between rows oneDNN falls back to loops that are a thousand times slower.
    if right.is_contiguous() or right.T.is_contiguous():
        return linear(left, right.T)
    return linear(left, right.T.contiguous())


@functools.cache
def _onednn() -> Linear | None:
    """Return what multiplies (M, K) and (N, K), None where it cannot or is not faster."""
    found = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if found is None or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return None
    return lambda left, right: found(left, right, None, "none", [], "")
