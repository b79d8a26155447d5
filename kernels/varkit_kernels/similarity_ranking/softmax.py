"""InfoNCE as one autograd function over any fused backend.

One pass gives the log-sum-exps of both directions; the backward pass computes the similarity a
second time and multiplies its gradient with both sides: four products in all. With
z = scale * s,

    2B dL/dz_ij = exp(z_ij - lse of row i) + exp(z_ij - lse of column j) - 2 [i = j]
    dL/ds_ij = scale dL/dz_ij        dL/dscale = sum_ij s_ij dL/dz_ij

where lse is the log-sum-exp that the forward pass keeps, one number a row and a column.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking.once import differentiable_once
from varkit_kernels.similarity_ranking.operations import Labels
from varkit_kernels.similarity_ranking.task import Task, packed_rows, unpacked

BEFORE_TENSORS = 2
"""Arguments of ``forward`` before the tensors: the task and the scale."""


class InfoNCE(torch.autograd.Function):
    """L = 1/2B sum_i lse_j(z_ij) - z_ii + lse_j(z_ji) - z_ii, where z = scale * s."""

    @staticmethod
    def forward(ctx: Any, task: Task, scale: Tensor, *tensors: Tensor) -> Tensor:
        """Return the () loss, in at least fp32; ``scale`` is ()."""
        operations, wide = task.operations, torch.promote_types(task.dtype, torch.float32)
        with on_device(task.group.device):
            video, query = map(operations.prepare, task.sides(tensors))
            pieces = operations.pieces(len(video), len(query), dense=True)
            query_factors = operations.pack(query, task.dtype)
            keep = len(pieces) == 1  # else they are large, and made again
            video_factors = operations.pack(video, task.dtype) if keep else None
            video_rows = packed_rows(operations, video, task.dtype, video_factors)
            labels, factor = Labels(task.group, task.group), scale.detach().to(wide)
            row_sums, positives = [factor.new_zeros(0)], [factor.new_zeros(0)]
            column_sum = factor.new_full((len(query),), -torch.inf)
            for rows in pieces:
                found = operations.log_sums(
                    video_rows(rows), query_factors, labels.rows(rows), factor, rows.start
                )
                row_sums.append(found.rows)
                column_sum = torch.logaddexp(column_sum, found.columns)
                positives.append(found.positive)
            row_sum, positive = torch.cat(row_sums), torch.cat(positives)
            total = (row_sum + column_sum - 2 * factor * positive).sum(dtype=torch.float64)
        ctx.task = task
        ctx.save_for_backward(
            video_factors,
            query_factors if keep else None,
            video.inverse,
            query.inverse,
            scale,
            row_sum,
            column_sum,
            *tensors,
        )
        return (total / max(2 * len(video), 1)).to(wide)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, incoming: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients of the scale and of the tensors that need one."""
        task, operations = ctx.task, ctx.task.operations
        video_factors, query_factors, video_inverse, query_inverse, scale, *saved = (
            ctx.saved_tensors
        )
        row_sum, column_sum, *tensors = saved
        video, query = task.sides(tensors, (video_inverse, query_inverse))
        needed = ctx.needs_input_grad[BEFORE_TENSORS:]
        need_video, need_query = needed[: len(video.tensors)], needed[len(video.tensors) :]
        wide = row_sum.dtype
        with on_device(incoming.device):
            if query_factors is None:
                query_factors = operations.pack(query, task.dtype)
            video_rows = packed_rows(operations, video, task.dtype, video_factors)
            labels, factor = Labels(task.group, task.group), scale.to(wide)
            coefficient = (incoming / max(2 * len(video), 1)).to(wide)
            of_video, of_query = (
                torch.zeros(len(video), query_factors.shape[1], dtype=wide, device=row_sum.device)
                if any(need)
                else None
                for need in (need_video, need_query)
            )
            of_scale = torch.zeros((), dtype=torch.float64, device=row_sum.device)
            for rows in operations.pieces(len(video), len(query), dense=True):
                factors, own = video_rows(rows), query_factors[rows]
                found = operations.softmax_gradient(
                    factors,
                    query_factors,
                    labels.rows(rows),
                    factor,
                    rows.start,
                    row_sum[rows],
                    column_sum,
                )
                of_scale += found.scale
                diagonal = found.diagonal.unsqueeze(1)
                if of_video is not None:
                    of_video[rows] = (found.matrix @ query_factors).to(wide) + diagonal * own
                if of_query is not None:
                    of_query += found.matrix.T @ factors
                    of_query[rows] += diagonal * factors
            for gradient in (of_video, of_query):
                if gradient is not None:
                    gradient *= coefficient * factor
            of_scale = (of_scale * coefficient).to(scale.dtype)
        return (
            None,
            of_scale if ctx.needs_input_grad[1] else None,
            *unpacked(operations, video, of_video, need_video),
            *unpacked(operations, query, of_query, need_query),
        )
