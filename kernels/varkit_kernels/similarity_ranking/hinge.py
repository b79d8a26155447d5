"""The ranking loss as one autograd function over any fused backend.

The walk over the matrix is in ``blocks.py``; what a step of it computes is the backend's,
``cpu.py`` or ``triton_operations.py``. ``docs/kernels.md`` derives what is computed.
"""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking import blocks
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.operations import Labels
from varkit_kernels.similarity_ranking.task import Task, packed_rows, regroup, unpacked
from varkit_kernels.similarity_ranking.violations import listed

BEFORE_TENSORS = 4
"""Arguments of ``forward`` before the tensors; none of them gets a gradient."""


class RankingLoss(torch.autograd.Function):
    """One product in the forward pass, and one a side in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        task: Task,
        margin: float,
        divisor: Tensor | int,
        gradient: str,
        *tensors: Tensor,
    ) -> Tensor:
        """Return the () loss of the tensors of both sides, in at least fp32.

        Args:
            ctx: autograd's.
            task: what they are.
            margin: Delta.
            divisor: what the sum of the hinges is divided by (:func:`terms`).
            gradient: ``auto``, ``dense`` or ``gather``, see :func:`violations.listed`.
            tensors: of the videos, then of the queries.
        """
        operations = task.operations
        with on_device(task.group.device):
            video, query = map(operations.prepare, task.sides(tensors))
            pieces = operations.pieces(len(video), len(query))
            query_factors = operations.pack(query, task.dtype)
            # Where there are several pieces, factors are large: they are made again when needed.
            keep = len(pieces) == 1
            video_factors = operations.pack(video, task.dtype) if keep else None
            video_rows = packed_rows(operations, video, task.dtype, video_factors)
            positive = blocks.positives(operations, video_rows, query_factors, pieces)
            labels = Labels(task.group, task.group, positive, positive)
            save = any(ctx.needs_input_grad)
            block = blocks.forward(operations, video_rows, query_factors, labels, margin, save=save)
        ctx.task, ctx.divisor, ctx.gradient, ctx.pieces = task, divisor, gradient, len(pieces)
        ctx.save_for_backward(
            video_factors,
            query_factors if keep else None,
            video.inverse,
            query.inverse,
            block.row_counts + block.column_counts,
            *tensors,
            *chain.from_iterable(block.masks),
        )
        return (block.loss / divisor).to(torch.promote_types(task.dtype, torch.float32))

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one."""
        task, operations = ctx.task, ctx.task.operations
        video_factors, query_factors, video_inverse, query_inverse, counts, *saved = (
            ctx.saved_tensors
        )
        needed = ctx.needs_input_grad[BEFORE_TENSORS:]
        tensors, masks = saved[: len(needed)], regroup(saved[len(needed) :], ctx.pieces)
        video, query = task.sides(tensors, (video_inverse, query_inverse))
        need_video, need_query = needed[: len(video.tensors)], needed[len(video.tensors) :]
        scale = incoming / ctx.divisor
        own_column = 0  # rows and columns are the same pairs, so row 0's own pair is column 0
        of_video = of_query = None
        with on_device(incoming.device):
            found = listed(operations, masks, len(video), len(query), ctx.gradient)
            if any(need_video):
                if query_factors is None:
                    query_factors = operations.pack(query, task.dtype)
                of_video = blocks.video_gradient(
                    operations,
                    found,
                    query_factors,
                    own_column=own_column,
                    counts=counts,
                    scale=scale,
                )
            del query_factors  # of a large batch they need not live beside both gradients
            if any(need_query):
                of_query = blocks.query_gradient(
                    operations,
                    found,
                    packed_rows(operations, video, task.dtype, video_factors),
                    columns=len(query),
                    own_column=own_column,
                    counts=counts,
                    scale=scale,
                )
        return (
            *(None,) * BEFORE_TENSORS,
            *unpacked(operations, video, of_video, need_video),
            *unpacked(operations, query, of_query, need_query),
        )


def terms(group: Tensor, reduction: str) -> Tensor | int:
    """Return what the sum of the hinges is divided by, at least 1.

    ``paper``: B, as in ALAN's Eq. 6. ``mean``: the number of hinges, two for each pair of rows that
    are negatives of one another.
    """
    if reduction == "paper":
        return max(len(group), 1)
    sizes: Tensor = torch.unique(group, return_counts=True)[1]
    return (2 * (len(group) ** 2 - sizes.square().sum())).clamp(min=1)
