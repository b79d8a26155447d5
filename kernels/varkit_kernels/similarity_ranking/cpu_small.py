"""The ranking loss of a small batch on the CPU: as few calls as possible.

The arithmetic is that of ``hinge.py`` over ``cpu.py`` in another form. What counts here beside the
three products is calls and fresh memory. So the gradient of the matrix is kept as it is, with the
counts on its diagonal, which float32 holds exactly; factors are made again where they are needed;
and every alignment has products of its own, which become the gradients of its vectors in place.
Factor vectors are one alignment here, of which nothing is packed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking.library import product
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.sides import Side
from varkit_kernels.similarity_ranking.task import Task

PAIRS = 1024
"""The largest B: matrices of 4 MiB in float32."""

BEFORE_TENSORS = 3
"""Arguments of ``forward`` before the tensors; none of them gets a gradient."""


def fits(video: Side, dtype: torch.dtype) -> bool:
    """Return whether this form computes the loss of so many pairs, with products in ``dtype``."""
    return len(video) <= PAIRS and dtype in (torch.float32, torch.float64)


class SmallRankingLoss(torch.autograd.Function):
    """The function of :class:`varkit_kernels.similarity_ranking.hinge.RankingLoss`."""

    @staticmethod
    def forward(
        ctx: Any, task: Task, margin: float, divisor: Tensor | int, *tensors: Tensor
    ) -> Tensor:
        """Return the () loss of the tensors of both sides."""
        with on_device(task.group.device):
            sides = task.sides(tensors)
            inverse = [_inverse(side, task.dtype) for side in sides]
            s = torch.zeros(len(task.group), len(task.group), dtype=task.dtype)
            for a in range(len(sides[0].vectors)):
                v, q = (
                    _pack(side, a, i, task.dtype) for side, i in zip(sides, inverse, strict=True)
                )
                s += product(v, q.T)
            threshold = s.diagonal() - margin  # a copy: what s_ij must not exceed
            s.masked_fill_(task.group.unsqueeze(1) == task.group, -torch.inf)
            # clamp and != let NaN through: a NaN is a violation, and the loss is NaN.
            to_query = (s - threshold.unsqueeze(1)).clamp_(min=0)  # row i's hinges
            to_video = s.sub_(threshold).clamp_(min=0)  # column j's
            loss = to_query.sum() + to_video.sum()
            row_hit, column_hit = to_query.ne_(0), to_video.ne_(0)  # r_ij, c_ij
            counts = row_hit.sum(1) + column_hit.sum(0)  # n_i
            gradient = row_hit.add_(column_hit)  # m_ij off the diagonal, 0 on it
            gradient.diagonal().sub_(counts)
        ctx.task, ctx.divisor = task, divisor
        ctx.save_for_backward(gradient, *tensors, *inverse[0], *inverse[1])
        return loss / divisor

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the tensors that need one."""
        task, needed = ctx.task, ctx.needs_input_grad[BEFORE_TENSORS:]
        gradient, *saved = ctx.saved_tensors
        tensors, inverse = saved[: len(needed)], saved[len(needed) :]
        video, query = task.sides(tensors)
        half, split = len(inverse) // 2, len(video.tensors)
        of_video, of_query = (video, inverse[:half]), (query, inverse[half:])
        with on_device(incoming.device):
            matrix = gradient * (incoming / ctx.divisor)
            found = _unpack(*of_video, *of_query, matrix, needed[:split])
            found += _unpack(*of_query, *of_video, matrix.T, needed[split:])
        return *(None,) * BEFORE_TENSORS, *found


def _inverse(side: Side, dtype: torch.dtype) -> list[Tensor]:
    """Return each alignment's (B, E, 1) 1 / length, 0 for zero vectors; nothing for factors."""
    if side.is_factors:
        return []
    lengths = [torch.linalg.vector_norm(x.to(dtype), dim=-1, keepdim=True) for x in side.vectors]
    return [x.reciprocal_().nan_to_num_(nan=torch.nan, posinf=0) for x in lengths]


def _pack(side: Side, a: int, inverse: Sequence[Tensor], dtype: torch.dtype) -> Tensor:
    """Return alignment a's (B, E D) factors: f u for u = x / |x| and f = alpha w."""
    x = side.vectors[a].to(dtype)
    if side.is_factors:
        return x
    return (x * _scale(side, a, inverse)).flatten(1)


def _scale(side: Side, a: int, inverse: Sequence[Tensor]) -> Tensor:
    """Return (B, E, 1), what an alignment's vectors are multiplied by: alpha w / |x|."""
    if not side.alpha:
        return inverse[a]
    if not side.weights:
        return inverse[a] * side.alpha[a]
    return inverse[a] * side.alpha[a] * side.weights[a].to(inverse[a].dtype).unsqueeze(-1)


def _unpack(
    side: Side,
    inverse: Sequence[Tensor],
    other: Side,
    other_inverse: Sequence[Tensor],
    matrix: Tensor,
    needed: Sequence[bool],
) -> list[Tensor | None]:
    """Return the gradients of a side's tensors, given that of the similarity.

    With dp = matrix @ the other side's factors: dx = f / |x| (dp - u <u, dp>), dw = alpha <u, dp>.

    Args:
        side: whose gradients these are.
        inverse: from :func:`_inverse`.
        other: the other side.
        other_inverse: likewise.
        matrix: (B, B) the gradient of the similarity, rows of this side.
        needed: for each of ``side.tensors``, whether its gradient is.
    """
    found: list[Tensor | None] = [None] * len(needed)
    for a, x in enumerate(side.vectors):
        weight = len(side.vectors) + a  # where its weights stand in side.tensors, if it has any
        need_weight = weight < len(needed) and needed[weight]
        if not needed[a] and not need_weight:
            continue
        dp = product(matrix, _pack(other, a, other_inverse, matrix.dtype)).view(x.shape)
        if not side.is_factors:
            wide = x.to(dp.dtype)
            along = (wide * dp).sum(-1, keepdim=True).mul_(inverse[a])  # <u, dp>
            if need_weight:
                dweight = along.squeeze(-1) * side.alpha[a]
                found[weight] = dweight.to(side.weights[a].dtype)
            scale = _scale(side, a, inverse)  # f / |x|
            dp.mul_(scale).addcmul_(wide, along.mul_(inverse[a]).mul_(scale), value=-1)
        found[a] = dp.to(x.dtype) if needed[a] else None
    return found
