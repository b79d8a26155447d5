"""The walk over the matrix that all fused backends share.

The B x B matrix is cut into pieces of rows. The forward pass turns a piece into sums, counts and a
mask of 2 bits a pair; the backward pass turns the masks into gradients by two more products. The
matrix itself never exists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.operations import Labels, Mask, Operations


@dataclass(frozen=True)
class Block:
    """The hinges of a whole block, and the masks of its pieces."""

    loss: Tensor
    rows: Tensor
    columns: Tensor
    masks: list[Mask]


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
    counts: list[Tensor] = []
    masks: list[Mask] = []
    room: Mask | None = None
    for rows in pieces:
        found = operations.hinge(video(rows), query, labels.rows(rows), margin, save=save)
        loss += found.loss
        columns += found.columns
        counts.append(found.rows)
        mask = found.mask
        if len(pieces) > 1:
            # One allocation: small masks between large buffers would leave holes in the heap.
            if room is None:
                room = tuple(x.new_empty(len(labels.video_group), *x.shape[1:]) for x in mask)
            for whole, part in zip(room, mask, strict=True):
                whole[rows] = part
            mask = tuple(whole[rows] for whole in room)
        masks.append(mask)
    return Block(loss, torch.cat(counts), columns, masks)


def backward(
    operations: Operations,
    masks: Sequence[Mask],
    video: Callable[[slice], Tensor],
    query: Tensor,
    own: int | None,
    count: Tensor,
    scale: Tensor,
    *,
    need_video: bool,
    need_query: bool,
    into: Tensor | None = None,
) -> tuple[Tensor | None, Tensor | None]:
    """Walk over a block again, with the masks of its forward pass.

    Args:
        operations: the backend.
        masks: from :class:`Block`.
        video: gives (m, K) packed rows.
        query: (N, K) packed.
        own: the column of row 0's own pair; None = they are in another block.
        count: (M,) int32, all violations of each row's pair.
        scale: (), what the sum of the hinges is multiplied by, times the incoming gradient.
        need_video: whether the videos' gradient is needed.
        need_query: whether the queries' is.
        into: (N, K), what the queries' gradient is added to; None = 0.

    Returns:
        (M, K) the videos' gradient and (N, K) the queries', None where it is not needed.
    """
    pieces = operations.pieces(len(count), len(query))
    dvideo: Tensor | None = None
    for rows, mask in zip(pieces, masks, strict=True):
        opened = operations.open(mask, len(query), query.dtype)
        at = None if own is None else own + rows.start
        if need_video:
            found = operations.video_gradient(opened, query, at, count[rows], scale)
            if len(pieces) == 1:
                dvideo = found
            else:
                if dvideo is None:
                    dvideo = found.new_empty(len(count), found.shape[1])
                dvideo[rows] = found
        if need_query:
            into = operations.query_gradient(
                opened, video(rows), at, count[rows], scale, into, len(query)
            )
    return dvideo, into
