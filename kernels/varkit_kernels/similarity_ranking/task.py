"""What both autograd functions are told, and how they turn sides into factors and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking.operations import Mask, Operations
from varkit_kernels.similarity_ranking.sides import Side


@dataclass(frozen=True)
class Task:
    """What a loss is computed from, apart from its tensors.

    Attributes:
        operations: the backend.
        video: this side; its tensors are passed beside the task, for autograd to see.
        query: the other.
        group: (B,) int64.
        dtype: in which products are computed.
    """

    operations: Operations
    video: Side
    query: Side
    group: Tensor
    dtype: torch.dtype

    def sides(
        self, tensors: Sequence[Tensor], inverse: Sequence[Tensor | None] = (None, None)
    ) -> tuple[Side, Side]:
        """Return both sides with the tensors that autograd handed over.

        Args:
            tensors: of the videos, then of the queries.
            inverse: (B, sum of E) 1 / length, where a backend keeps it.
        """
        count = len(self.video.tensors)
        return (
            replace(self.video.replace(tensors[:count]), inverse=inverse[0]),
            replace(self.query.replace(tensors[count:]), inverse=inverse[1]),
        )


def regroup(tensors: Sequence[Tensor], count: int) -> list[Mask]:
    """Return the masks whose tensors were saved one after another."""
    size = len(tensors) // count
    return [tuple(tensors[k * size : (k + 1) * size]) for k in range(count)]


def packed_rows(
    operations: Operations, side: Side, dtype: torch.dtype, kept: Tensor | None
) -> Callable[[slice], Tensor]:
    """Return what gives packed rows: from all of them if kept, or made when asked for.

    Packing again costs a copy; keeping the factors of a large batch costs much memory. Rows are
    valid until others are asked for: they are written to the same memory, since new memory for
    every piece leaves holes in the heap.
    """
    if kept is not None:
        return lambda rows: kept[rows]
    room: Tensor | None = None

    def pack(rows: slice) -> Tensor:
        nonlocal room
        some = side.rows(rows)
        found = operations.pack(some, dtype, None if room is None else room[: len(some)])
        if room is None:  # the first piece is the longest
            room = found
        return found

    return pack


def unpacked(
    operations: Operations, side: Side, gradient: Tensor | None, needed: Sequence[bool]
) -> list[Tensor | None]:
    """Return the gradients of a side's tensors, given that of its factors; None = none needed."""
    if gradient is None:
        return [None] * len(needed)
    with on_device(gradient.device):
        return operations.unpack(side, gradient, needed)
