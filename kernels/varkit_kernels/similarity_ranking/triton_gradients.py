"""The gradient of one side of the ranking loss on a GPU: by all of the mask, or by its list."""

from __future__ import annotations

from dataclasses import replace

import torch
import triton
from torch import Tensor

from varkit_kernels.similarity_ranking.operations import Mask, Segments
from varkit_kernels.similarity_ranking.triton_gather import gather_kernel
from varkit_kernels.similarity_ranking.triton_mask_product import mask_product_kernel
from varkit_kernels.similarity_ranking.triton_sizes import (
    GROUP,
    gather_blocks,
    precision_of,
    product_blocks,
    sizes_of,
    upcast,
)


def mask_product(
    mask: Mask,
    transposed: bool,
    factors: Tensor,
    own_shift: int | None,
    counts: Tensor,
    scale: Tensor,
    rows: int | None = None,
) -> Tensor:
    """Return the gradient of one side by two bits a pair, see ``triton_mask_product.py``.

    Args:
        mask: from ``TritonOperations.hinge``.
        transposed: whether rows of the gradient are columns of the mask, that is queries.
        factors: (C, K) the other side's.
        own_shift: row r's own pair is row r + own_shift of the factors; None = it is not there.
        counts: (R,) int32, n_i of the rows.
        scale: ().
        rows: R; None = as many as there are counts.
    """
    bits, row_tiles, row_numbers, column_tiles, column_numbers = mask[:5]
    tiles, number = (column_tiles, column_numbers) if transposed else (row_tiles, row_numbers)
    rows, (others, width) = len(counts) if rows is None else rows, factors.shape
    out = _room(rows, factors)
    # The tile of the forward pass, even if torch's matmul precision was changed since.
    tile = len(bits) // max(len(row_numbers), 1)
    size = replace(sizes_of(rows, others, factors), tile=tile)
    blocks = product_blocks(size, width, factors.dtype)
    if rows:
        mask_product_kernel[(triton.cdiv(rows, size.tile) * (width // blocks["BLOCK_K"]),)](
            bits,
            factors,
            counts,
            tiles,
            number,
            scale.to(torch.float32),
            out,
            rows,
            others,
            width,
            0 if own_shift is None else own_shift,
            bits.shape[1],
            TRANSPOSED=transposed,
            HAS_OWN=own_shift is not None,
            TILE=size.tile,
            **blocks,
            GROUP=GROUP,
            PRECISION=precision_of(factors.dtype),
            UPCAST=upcast(factors.dtype),
            num_warps=size.warps,
            num_stages=size.stages,
        )
    return out


def gather(
    segments: Segments, factors: Tensor, own_shift: int | None, counts: Tensor, scale: Tensor
) -> Tensor:
    """Return the gradient of one side by a list of pairs; arguments as in :func:`mask_product`."""
    rows, width = len(segments.starts) - 1, factors.shape[1]
    out, blocks = _room(rows, factors), gather_blocks(width)
    if rows:
        gather_kernel[(rows, width // blocks["BLOCK_K"])](
            segments.starts,
            segments.other,
            segments.times,
            factors,
            counts,
            scale.to(torch.float32),
            out,
            len(factors),
            width,
            0 if own_shift is None else own_shift,
            HAS_OWN=own_shift is not None,
            **blocks,
            num_warps=4,
        )
    return out


def _room(rows: int, factors: Tensor) -> Tensor:
    """Return room for a gradient: float16 would lose what is below 6e-8, and it shrinks with B."""
    dtype = torch.float32 if factors.dtype == torch.float16 else factors.dtype
    return torch.empty(rows, factors.shape[1], dtype=dtype, device=factors.device)


def tiles_with_hits(hit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the list that ``triton_mask_product.py`` walks along.

    Args:
        hit: (tiles down, tiles across) uint8, 1 where any pair of a tile violates.

    Returns:
        (tiles down, tiles across) int32, in each row first the columns with a hit, in order; and
        (tiles down,) int32, how many these are.
    """
    hit = hit.contiguous()  # argsort keeps strides, and the kernel reads rows
    order = torch.argsort(hit, dim=1, descending=True, stable=True)
    return order.to(torch.int32), hit.sum(1, dtype=torch.int32)
