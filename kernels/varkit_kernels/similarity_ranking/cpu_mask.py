"""The bits of a mask on the CPU: four codes a byte, one of each quarter of the columns.

With q = ceil(N / 4) bytes a row, byte b holds columns b, b + q, b + 2q and b + 3q, the first in its
lowest two bits; columns from N on have code 0. So torch packs and opens a whole quarter of a row at
a time. Four neighbours a byte, as in ``triton_hinge.py``, would make it read every fourth number.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pack_codes(codes: Tensor) -> Tensor:
    """Return (M, q) uint8, the (M, N) uint8 codes 0, 1 and 2 packed."""
    quarter = -(-codes.shape[1] // 4)
    codes = F.pad(codes, (0, 4 * quarter - codes.shape[1]))
    packed = codes[:, :quarter].clone()
    for k in range(1, 4):
        packed |= codes[:, k * quarter : (k + 1) * quarter] << (2 * k)
    return packed


def open_codes(bits: Tensor, columns: int, dtype: torch.dtype) -> Tensor:
    """Return the (M, N) codes that :func:`pack_codes` packed, in ``dtype``."""
    rows, quarter = bits.shape
    codes = torch.empty(rows, 4 * quarter, dtype=dtype)
    for k in range(4):
        codes[:, k * quarter : (k + 1) * quarter] = bits >> (2 * k) & 3
    return codes[:, :columns]
