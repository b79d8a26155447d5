"""The walk over the matrix that all fused backends share.

The B x B matrix is cut into pieces of rows. The forward pass turns a piece into sums, counts and a
mask of 2 bits a pair; the backward pass turns the masks into gradients by two more products. The
matrix itself never exists. On a GPU there is one piece, which the kernels cut into tiles; on the
CPU a piece is what stays in cache. Letters are those of ``operations.py``; m are a piece's rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.operations import Labels, Mask, Operations
from varkit_kernels.similarity_ranking.violations import Violations


@dataclass(frozen=True)
class Block:
    """The hinges of a whole block.

    Attributes:
        loss: () float64, their sum.
        row_counts: (M,) int32, see :class:`Hinges`.
        column_counts: (N,) int32, likewise.
        masks: one a piece; empty tuples where no gradient is needed.
    """

    loss: Tensor
    row_counts: Tensor
    column_counts: Tensor
    masks: list[Mask]


def positives(
    operations: Operations,
    video: Callable[[slice], Tensor],
    query: Tensor,
    pieces: Sequence[slice],
) -> Tensor | None:
    """Return (B,) s_ii in at least fp32, or None.

    With None, :meth:`Operations.hinge` takes them from the diagonal of what it multiplies anyway.

    Args:
        operations: the backend.
        video: gives (m, K) packed rows.
        query: (B, K) packed.
        pieces: the rows that are worked on together.
    """
    if len(pieces) == 1 and operations.own_diagonal:
        return None
    wide = torch.promote_types(query.dtype, torch.float32)
    found = torch.empty(len(query), dtype=wide, device=query.device)
    for rows in pieces:
        found[rows] = operations.positives(video(rows), query[rows], len(query))
    return found


def forward(
    operations: Operations,
    video: Callable[[slice], Tensor],
    query: Tensor,
    labels: Labels,
    margin: float,
    *,
    save: bool,
) -> Block:
    """Walk over a block of M rows and N columns.

    Args:
        operations: the backend.
        video: gives (m, K) packed rows.
        query: (N, K) packed.
        labels: of the whole block.
        margin: Delta.
        save: whether there will be a backward pass.
    """
    device, count = query.device, len(labels.video_group)
    pieces = operations.pieces(count, len(query))
    # Long-lived numbers come first: small ones between large buffers leave holes in the heap.
    loss = torch.zeros((), dtype=torch.float64, device=device)
    column_counts = torch.zeros(len(query), dtype=torch.int32, device=device)
    row_counts = torch.empty(count, dtype=torch.int32, device=device)
    masks: list[Mask] = []
    whole: Mask | None = None  # of several pieces: one memory for all their masks
    for rows in pieces:
        found = operations.hinge(video(rows), query, labels.rows(rows), margin, save=save)
        loss += found.loss
        row_counts[rows] = found.row_counts
        column_counts += found.column_counts
        mask = found.mask
        if len(pieces) > 1:
            if whole is None:
                whole = tuple(x.new_empty(count, *x.shape[1:]) for x in mask)
            for all_rows, part in zip(whole, mask, strict=True):
                all_rows[rows] = part
            mask = tuple(all_rows[rows] for all_rows in whole)
        if save:
            mask = (*mask, found.row_counts.sum() + found.column_counts.sum())
        masks.append(mask)
    return Block(loss, row_counts, column_counts, masks)


def video_gradient(
    operations: Operations,
    masks: Sequence[Mask] | Violations,
    query: Tensor,
    *,
    own_column: int | None,
    counts: Tensor,
    scale: Tensor,
) -> Tensor:
    """Walk over a block again, with its masks: scale * (sum_j m_ij Q_j - n_i Q_i).

    Args:
        operations: the backend.
        masks: from :class:`Block`, or the list that was made of them.
        query: (N, K) packed.
        own_column: the column of row 0's own pair, row i's is i columns on; None = these rows' own
            pairs are in another block, which subtracts them.
        counts: (M,) int32, n_i, all violations of each row's pair.
        scale: (), the incoming gradient / what the sum of the hinges is divided by.

    Returns:
        (M, K).
    """
    if isinstance(masks, Violations):
        return operations.video_gradient(masks.rows, query, own_column, counts, scale)
    whole: Tensor | None = None
    for rows, mask, own in _walk(operations, masks, len(query), own_column, len(counts)):
        opened = operations.open(mask, len(query), query.dtype)
        found = operations.video_gradient(opened, query, own, counts[rows], scale)
        if len(masks) == 1:
            return found
        if whole is None:
            whole = found.new_empty(len(counts), found.shape[1])
        whole[rows] = found
    assert whole is not None  # there is at least one piece
    return whole


def query_gradient(
    operations: Operations,
    masks: Sequence[Mask] | Violations,
    video: Callable[[slice], Tensor],
    *,
    columns: int,
    own_column: int | None,
    counts: Tensor,
    scale: Tensor,
    into: Tensor | None = None,
) -> Tensor:
    """Walk over a block again, for its other side: scale * (sum_i m_ij V_i - n_j V_j).

    Args:
        operations: the backend.
        masks: as in :func:`video_gradient`.
        video: gives (m, K) packed rows.
        columns: N.
        own_column: as in :func:`video_gradient`.
        counts: likewise.
        scale: likewise.
        into: (N, K), what the gradient is added to; None = 0.

    Returns:
        (N, K).
    """
    if isinstance(masks, Violations):
        factors = video(slice(0, len(counts)))
        return operations.query_gradient(
            masks.columns, factors, own_column, counts, scale, into, columns
        )
    for rows, mask, own in _walk(operations, masks, columns, own_column, len(counts)):
        factors = video(rows)
        opened = operations.open(mask, columns, factors.dtype)
        into = operations.query_gradient(opened, factors, own, counts[rows], scale, into, columns)
    assert into is not None  # there is at least one piece
    return into


def _walk(
    operations: Operations,
    masks: Sequence[Mask],
    columns: int,
    own_column: int | None,
    count: int,
) -> Iterator[tuple[slice, Mask, int | None]]:
    """Yield each piece's rows, its mask, and the column of its first row's own pair."""
    for rows, mask in zip(operations.pieces(count, columns), masks, strict=True):
        yield rows, mask, None if own_column is None else own_column + rows.start
