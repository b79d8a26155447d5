"""The ranking loss as one autograd function over any fused backend."""

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
            packed = operations.pack(query, task.dtype)
            kept = operations.pack(video, task.dtype) if len(pieces) == 1 else None
            pack = packed_rows(operations, video, task.dtype, kept)
            positive = blocks.positives(operations, pack, packed, pieces)
            labels = Labels(task.group, task.group, positive, positive)
            save = any(ctx.needs_input_grad)
            block = blocks.forward(operations, pack, packed, labels, margin, save=save)
        ctx.task, ctx.divisor, ctx.gradient, ctx.pieces = task, divisor, gradient, len(pieces)
        ctx.save_for_backward(
            kept,
            None if kept is None else packed,
            video.inverse,
            query.inverse,
            block.rows + block.columns,
            *tensors,
            *chain.from_iterable(block.masks),
        )
        return (block.loss / divisor).to(torch.promote_types(task.dtype, torch.float32))

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one."""
        task, operations = ctx.task, ctx.task.operations
        kept, packed, *inverse, counts = ctx.saved_tensors[:5]
        split = len(ctx.needs_input_grad) - 4
        video, query = task.sides(ctx.saved_tensors[5 : 5 + split], inverse)
        masks = regroup(ctx.saved_tensors[5 + split :], ctx.pieces)
        split = 4 + len(video.tensors)
        need_video, need_query = ctx.needs_input_grad[4:split], ctx.needs_input_grad[split:]
        scale = incoming / ctx.divisor
        of_video = of_query = None
        with on_device(incoming.device):
            found = listed(operations, masks, len(video), len(query), ctx.gradient)
            if any(need_video):
                if packed is None:
                    packed = operations.pack(query, task.dtype)
                of_video = blocks.video_gradient(operations, found, packed, 0, counts, scale)
            del packed  # of a large batch it need not live beside both gradients
            if any(need_query):
                pack = packed_rows(operations, video, task.dtype, kept)
                of_query = blocks.query_gradient(
                    operations, found, pack, len(query), 0, counts, scale
                )
        return (
            *(None, None, None, None),
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
