"""Few violations: a list of the pairs that violate, instead of two products with the mask.

Late in training few pairs violate the margin. A row of the gradient is then the sum of a few rows
of the other side, and gathering these costs less than a product with a mask that is nearly all 0.
A row is summed by ``_gather`` of ``cpu.py`` and ``gather`` of ``triton_gradients.py``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.operations import Mask, Operations, Segments


@dataclass(frozen=True)
class Violations:
    """The pairs of a block that violate.

    Attributes:
        rows: sorted by row; what the gradient of the videos sums.
        columns: sorted by column; what that of the queries sums.
    """

    rows: Segments
    columns: Segments


def listed(
    operations: Operations,
    masks: Sequence[Mask],
    rows: int,
    columns: int,
    gradient: str = "auto",
) -> Sequence[Mask] | Violations:
    """Return the list of a block's violations if they are few, else the masks as they are.

    The forward pass has counted them. Reading that number is the one time that the host waits for
    the device; nothing else here does.

    Args:
        operations: the backend.
        masks: of the block's pieces, from the forward pass.
        rows: M.
        columns: N.
        gradient: ``auto`` = a list where they are few; ``gather`` = in any case; ``dense`` = never.
    """
    always, pairs = gradient == "gather", rows * columns
    if not always and (gradient == "dense" or pairs < operations.gather_from):
        return masks
    numbers = torch.stack([mask[-1] for mask in masks]).tolist()
    if not always and sum(numbers) > operations.gather_below * pairs:
        return masks
    found = []
    for piece, mask, number in zip(operations.pieces(rows, columns), masks, numbers, strict=True):
        row, column, times = _pairs(mask[0], number, *operations.column_steps(mask))
        # A pair whose two hinges violate is counted twice and listed once. What fills up the list
        # gets a row and a column beyond the end, so it stands last, where it is not read.
        real = times > 0
        row = torch.where(real, row + piece.start, rows)
        found.append((row, torch.where(real, column, columns), times))
    row, column, times = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Violations(
        _segments(row, column, times, rows, columns), _segments(column, row, times, columns, rows)
    )


def _pairs(bits: Tensor, number: int, byte_step: int, code_step: int) -> tuple[Tensor, ...]:
    """Return (n,) rows, columns and codes of a mask, n = number, those beyond the last with code 0.

    The bytes that are not 0 are found first, then among their codes those that are not 0: there are
    at most ``number`` of either, and the sizes of all tensors follow from it without waiting.

    Args:
        bits: (M, bytes) uint8, four codes of 2 bits a byte.
        number: the sum of the codes.
        byte_step: see :meth:`Operations.column_steps`.
        code_step: likewise.
    """
    flat, shift = bits.flatten(), torch.arange(0, 8, 2, dtype=torch.uint8, device=bits.device)
    byte = torch.nonzero_static(flat, size=number, fill_value=-1).flatten()
    codes = (flat[byte].unsqueeze(1) >> shift) & 3
    codes.masked_fill_((byte < 0).unsqueeze(1), 0)
    codes = codes.flatten()
    pair = torch.nonzero_static(codes, size=number, fill_value=-1).flatten()
    times = codes[pair].masked_fill_(pair < 0, 0)
    byte, code = byte[pair // 4], pair % 4
    width = max(bits.shape[1], 1)  # bytes in a row
    return byte // width, byte % width * byte_step + code * code_step, times


def _segments(key: Tensor, other: Tensor, times: Tensor, length: int, others: int) -> Segments:
    """Sort a list of pairs into the segments of one side.

    Args:
        key: (n,) rows of this side, ``length`` where there is no pair.
        other: (n,) rows of the other side.
        times: (n,) codes.
        length: rows of this side.
        others: rows of the other side.
    """
    # The order among equal keys stays, so that sums repeat bit for bit.
    key, order = torch.sort(key, stable=True)
    starts = torch.searchsorted(key, torch.arange(length + 1, device=key.device))
    return Segments(starts, other[order].clamp_(max=others - 1).to(torch.int32), times[order])
