"""The walk over the matrix that all fused backends share.

The B x B matrix is cut into pieces of rows. The forward pass turns a piece into sums, counts and a
mask of 2 bits a pair; the backward pass turns the masks into gradients by two more products. The
matrix itself never exists.
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
    """The hinges of a whole block, and the masks of its pieces.

    The last tensor of every mask is () int64, how many violations there are in its piece.
    """

    loss: Tensor
    rows: Tensor
    columns: Tensor
    masks: list[Mask]


def positives(
    operations: Operations,
    video: Callable[[slice], Tensor],
    query: Tensor,
    pieces: Sequence[slice],
) -> Tensor | None:
    """Return (B,) s_ii, None where :meth:`Operations.hinge` takes them from the diagonal.

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
    device = query.device
    loss = torch.zeros((), dtype=torch.float64, device=device)
    columns = torch.zeros(len(query), dtype=torch.int32, device=device)
    pieces = operations.pieces(len(labels.video_group), len(query))
    # Long-lived numbers come first: small ones between large buffers leave holes in the heap.
    counts = torch.empty(len(labels.video_group), dtype=torch.int32, device=device)
    masks: list[Mask] = []
    room: Mask | None = None
    for rows in pieces:
        found = operations.hinge(video(rows), query, labels.rows(rows), margin, save=save)
        loss += found.loss
        columns += found.columns
        counts[rows] = found.rows
        mask = found.mask
        if len(pieces) > 1:
            if room is None:
                room = tuple(x.new_empty(len(labels.video_group), *x.shape[1:]) for x in mask)
            for whole, part in zip(room, mask, strict=True):
                whole[rows] = part
            mask = tuple(whole[rows] for whole in room)
        masks.append((*mask, found.rows.sum() + found.columns.sum()) if save else mask)
    return Block(loss, counts, columns, masks)


def video_gradient(
    operations: Operations,
    masks: Sequence[Mask] | Violations,
    query: Tensor,
    own: int | None,
    count: Tensor,
    scale: Tensor,
) -> Tensor:
    """Walk over a block again, with the masks of its forward pass.

    Args:
        operations: the backend.
        masks: from :class:`Block`, or the list that was made of them.
        query: (N, K) packed.
        own: the column of row 0's own pair; None = they are in another block.
        count: (M,) int32, all violations of each row's pair.
        scale: (), what the sum of the hinges is multiplied by, times the incoming gradient.

    Returns:
        (M, K).
    """
    if isinstance(masks, Violations):
        return operations.video_gradient(masks.rows, query, own, count, scale)
    whole: Tensor | None = None
    for rows, mask, at in _walk(operations, masks, len(query), own, len(count)):
        opened = operations.open(mask, len(query), query.dtype)
        found = operations.video_gradient(opened, query, at, count[rows], scale)
        if len(masks) == 1:
            return found
        if whole is None:
            whole = found.new_empty(len(count), found.shape[1])
        whole[rows] = found
    assert whole is not None  # there is at least one piece
    return whole


def query_gradient(
    operations: Operations,
    masks: Sequence[Mask] | Violations,
    video: Callable[[slice], Tensor],
    columns: int,
    own: int | None,
    count: Tensor,
    scale: Tensor,
    into: Tensor | None = None,
) -> Tensor:
    """Walk over a block again, along its other side; it needs no queries.

    Args:
        operations: the backend.
        masks: as in :func:`video_gradient`.
        video: gives (m, K) packed rows.
        columns: N.
        own: as in :func:`video_gradient`.
        count: likewise.
        scale: likewise.
        into: (N, K), what the gradient is added to; None = 0.

    Returns:
        (N, K).
    """
    if isinstance(masks, Violations):
        left = video(slice(0, len(count)))
        return operations.query_gradient(masks.columns, left, own, count, scale, into, columns)
    for rows, mask, at in _walk(operations, masks, columns, own, len(count)):
        left = video(rows)
        opened = operations.open(mask, columns, left.dtype)
        into = operations.query_gradient(opened, left, at, count[rows], scale, into, columns)
    assert into is not None  # there is at least one piece
    return into


def _walk(
    operations: Operations, masks: Sequence[Mask], columns: int, own: int | None, count: int
) -> Iterator[tuple[slice, Mask, int | None]]:
    """Yield each piece's rows, its mask, and the column of its first row's own pair."""
    for rows, mask in zip(operations.pieces(count, columns), masks, strict=True):
        at = None if own is None else own + rows.start
        yield rows, mask, at
