"""InfoNCE as one autograd function over any fused backend.

One pass gives the log-sum-exps of both directions; the backward pass computes the similarity a
second time and multiplies its gradient with both sides: four products in all.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.operations import Labels
from varkit_kernels.similarity_ranking.task import Task, packed_rows, unpacked


class InfoNCE(torch.autograd.Function):
    """L = 1/2B sum_i lse_j(z_ij) - z_ii + lse_j(z_ji) - z_ii, where z = scale * s."""

    @staticmethod
    def forward(ctx: Any, task: Task, scale: Tensor, *tensors: Tensor) -> Tensor:
        """Return the () loss, in at least fp32; ``scale`` is ()."""
        operations, wide = task.operations, torch.promote_types(task.dtype, torch.float32)
        with on_device(task.group.device):
            video, query = map(operations.prepare, task.sides(tensors))
            pieces = operations.pieces(len(video), len(query), dense=True)
            packed = operations.pack(query, task.dtype)
            kept = operations.pack(video, task.dtype) if len(pieces) == 1 else None
            pack = packed_rows(operations, video, task.dtype, kept)
            labels, factor = Labels(task.group, task.group), scale.detach().to(wide)
            to_query, positive = [factor.new_zeros(0)], [factor.new_zeros(0)]
            to_video = factor.new_full((len(query),), -torch.inf)
            for rows in pieces:
                found = operations.log_sums(
                    pack(rows), packed, labels.rows(rows), factor, rows.start
                )
                to_query.append(found.rows)
                to_video = torch.logaddexp(to_video, found.columns)
                positive.append(found.positive)
            row, own = torch.cat(to_query), torch.cat(positive)
            total = (row + to_video - 2 * factor * own).sum(dtype=torch.float64)
        ctx.task = task
        ctx.save_for_backward(
            kept,
            None if kept is None else packed,
            video.inverse,
            query.inverse,
            scale,
            row,
            to_video,
            *tensors,
        )
        return (total / max(2 * len(video), 1)).to(wide)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the scale and of the tensors that need one."""
        task, operations = ctx.task, ctx.task.operations
        kept, packed, *inverse, scale, row, column = ctx.saved_tensors[:7]
        video, query = task.sides(ctx.saved_tensors[7:], inverse)
        split = 2 + len(video.tensors)
        need_video, need_query = ctx.needs_input_grad[2:split], ctx.needs_input_grad[split:]
        with on_device(incoming.device):
            if packed is None:
                packed = operations.pack(query, task.dtype)
            pack = packed_rows(operations, video, task.dtype, kept)
            labels, factor = Labels(task.group, task.group), scale.to(row.dtype)
            coefficient = (incoming / max(2 * len(video), 1)).to(row.dtype)
            dvideo, dquery = (
                torch.zeros(len(video), packed.shape[1], dtype=row.dtype, device=row.device)
                if any(need)
                else None
                for need in (need_video, need_query)
            )
            dscale = torch.zeros((), dtype=torch.float64, device=row.device)
            for rows in operations.pieces(len(video), len(query), dense=True):
                left, own = pack(rows), packed[rows]
                found = operations.softmax_gradient(
                    left, packed, labels.rows(rows), factor, rows.start, row[rows], column
                )
                dscale += found.scale
                diagonal = found.diagonal.unsqueeze(1)
                if dvideo is not None:
                    dvideo[rows] = (found.matrix @ packed).to(row.dtype) + diagonal * own
                if dquery is not None:
                    dquery += found.matrix.T @ left
                    dquery[rows] += diagonal * left
            for gradient in (dvideo, dquery):
                if gradient is not None:
                    gradient *= coefficient * factor
            of_scale = (dscale * coefficient).to(scale.dtype)
        return (
            None,
            of_scale if ctx.needs_input_grad[1] else None,
            *unpacked(operations, video, dvideo, need_video),
            *unpacked(operations, query, dquery, need_query),
        )
