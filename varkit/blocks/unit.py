"""Unit vectors, for cosines."""

from __future__ import annotations

import torch
from torch import Tensor


def unit(x: Tensor) -> Tensor:
    """Scale the last dimension to length 1, in at least fp32.

    A zero vector has no direction: it stays 0, and so does its gradient.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    zero = norm == 0
    return x * torch.where(zero, 0.0, 1 / norm.masked_fill(zero, 1.0))
