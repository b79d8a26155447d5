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
            packed = operations.pack(query, task.dtype)
            pack = packed_rows(operations, video, task.dtype, None)
            pieces = operations.pieces(count, count, dense=True)
            positive = blocks.positives(operations, pack, packed, pieces)
            labels = Labels(task.group, task.group, positive, positive)
            loss = torch.zeros((), dtype=torch.float64, device=packed.device)
            violations = torch.zeros(count, dtype=torch.int32, device=packed.device)
            of_video = torch.empty(packed.shape, dtype=wide, device=packed.device)
            of_query = torch.zeros_like(of_video)
            for rows in pieces:
                left = pack(rows)
                found = operations.hinge(left, packed, labels.rows(rows), margin, save=True)
                loss += found.loss
                violations += found.columns
                violations[rows] += found.rows
                codes = operations.codes(found.mask, len(left), count, task.dtype)
                of_video[rows] = wide_product(codes, packed)
                add_product(of_query, codes.T, left)
            # Only now all violations of a pair are known: those of its column are in all pieces.
            for rows in pieces:
                own = violations[rows].unsqueeze(1).to(wide)
                of_video[rows] -= own * packed[rows]
                of_query[rows] -= own * pack(rows)
        ctx.task, ctx.divisor = task, divisor
        ctx.save_for_backward(of_video, of_query, video.inverse, query.inverse, *tensors)
        return (loss / divisor).to(wide)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one."""
        task, needed = ctx.task, ctx.needs_input_grad[3:]
        *gradients, video_inverse, query_inverse = ctx.saved_tensors[:4]
        video, query = task.sides(ctx.saved_tensors[4:], (video_inverse, query_inverse))
        split, scale = len(video.tensors), incoming / ctx.divisor
        found: list[Tensor | None] = []
        for side, gradient, need in (
            (video, gradients[0], needed[:split]),
            (query, gradients[1], needed[split:]),
        ):
            scaled = gradient * scale if any(need) else None
            found += unpacked(task.operations, side, scaled, need)
        return None, None, None, *found
