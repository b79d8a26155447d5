"""The ranking loss of very large batches: the gradient is made in the forward pass.

The mask of 2 bits a pair grows with B^2, everything else with B. Here a piece of rows is turned
into its hinges, its codes 0, 1 and 2 and both its gradients at once, by two products of the
vendor's library, and nothing of B x B is kept. The gradients wait for the backward pass, which
multiplies them by the number that comes in.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking import blocks
from varkit_kernels.similarity_ranking.library import add_product, wide_product
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.operations import Labels
from varkit_kernels.similarity_ranking.task import Task, packed_rows, unpacked

MASK = 1 << 30
"""Bytes of the largest mask that is kept: that of 65,536 pairs. Computed, not measured: with
K = 3,072 in bfloat16 both ways need some 3 GiB there, and of twice as many pairs 8.5 and 6."""


def pays(pairs: int) -> bool:
    """Return whether a batch's mask is too large to be kept."""
    return pairs**2 // 4 > MASK


BEFORE_TENSORS = 3
"""Arguments of ``forward`` before the tensors; none of them gets a gradient."""


class RankingLossInForward(torch.autograd.Function):
    """The function of :class:`varkit_kernels.similarity_ranking.hinge.RankingLoss`."""

    @staticmethod
    def forward(
        ctx: Any, task: Task, margin: float, divisor: Tensor | int, *tensors: Tensor
    ) -> Tensor:
        """Return the () loss of the tensors of both sides, in at least fp32."""
        operations, count = task.operations, len(task.group)
        wide = torch.promote_types(task.dtype, torch.float32)
        with on_device(task.group.device):
            video, query = map(operations.prepare, task.sides(tensors))
            query_factors = operations.pack(query, task.dtype)
            video_rows = packed_rows(operations, video, task.dtype, None)
            pieces = operations.pieces(count, count, dense=True)
            positive = blocks.positives(operations, video_rows, query_factors, pieces)
            labels = Labels(task.group, task.group, positive, positive)
            device = query_factors.device
            loss = torch.zeros((), dtype=torch.float64, device=device)
            counts = torch.zeros(count, dtype=torch.int32, device=device)
            of_video = torch.empty(query_factors.shape, dtype=wide, device=device)
            of_query = torch.zeros_like(of_video)
            for rows in pieces:
                factors = video_rows(rows)
                found = operations.hinge(
                    factors, query_factors, labels.rows(rows), margin, save=True
                )
                loss += found.loss
                counts += found.column_counts
                counts[rows] += found.row_counts
                codes = operations.codes(found.mask, len(factors), count, task.dtype)
                of_video[rows] = wide_product(codes, query_factors)
                add_product(of_query, codes.T, factors)
            # Only now all violations of a pair are known: those of its column are in all pieces.
            for rows in pieces:
                own = counts[rows].unsqueeze(1).to(wide)
                of_video[rows] -= own * query_factors[rows]
                of_query[rows] -= own * video_rows(rows)
        ctx.task, ctx.divisor = task, divisor
        ctx.save_for_backward(of_video, of_query, video.inverse, query.inverse, *tensors)
        return (loss / divisor).to(wide)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one."""
        operations, needed = ctx.task.operations, ctx.needs_input_grad[BEFORE_TENSORS:]
        of_video, of_query, video_inverse, query_inverse, *tensors = ctx.saved_tensors
        video, query = ctx.task.sides(tensors, (video_inverse, query_inverse))
        split, scale = len(video.tensors), incoming / ctx.divisor
        found: list[Tensor | None] = []
        for side, gradient, need in (
            (video, of_video, needed[:split]),
            (query, of_query, needed[split:]),
        ):
            # No name for the product: one side's is freed before the other's is made.
            found += unpacked(operations, side, gradient * scale if any(need) else None, need)
        return *(None,) * BEFORE_TENSORS, *found
