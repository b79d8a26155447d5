"""Many vectors become one."""

from __future__ import annotations

from torch import Tensor


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Return the ``(B, D)`` mean of ``(B, T, D)`` over the real positions of ``(B, T)``."""
    padding = ~mask.unsqueeze(-1)
    return x.masked_fill(padding, 0).sum(dim=1) / mask.sum(dim=1, keepdim=True)
