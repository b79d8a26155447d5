"""The fused operators on the CPU in torch: a few rows of the matrix at a time, in cache.

All heavy work is in torch's matrix products. What is gained over the eager form is memory, and time
where the eager form makes many small products or many passes over a matrix that fits no cache.
So all that can be is done in place. ``operations.py`` says what each method is given and returns,
with all shapes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from varkit_kernels.similarity_ranking.cpu_mask import open_codes, pack_codes
from varkit_kernels.similarity_ranking.library import ROWS, add_product, product, wide_product
from varkit_kernels.similarity_ranking.operations import (
    Hinges,
    Labels,
    LogSums,
    Mask,
    Segments,
    SoftmaxGradient,
)
from varkit_kernels.similarity_ranking.sides import Side

PIECE = 1 << 21
"""Pairs in a piece: buffers of 8 MiB in fp32, which stay in cache between the passes over them."""

LEAST_ROWS = 16
"""Rows of a piece at least, however many columns there are: fewer would be slow to multiply."""

GATHER_BELOW = 0.01
"""Violations a pair below which rows are gathered. At B = 4,096 on one thread the backward pass is
measured 9 times as fast there, and 2.4 times at 0.05; but a longer list is larger than the mask."""


class CpuOperations:
    """:class:`varkit_kernels.similarity_ranking.operations.Operations` by torch's CPU kernels."""

    own_diagonal = True
    gather_below = GATHER_BELOW
    gather_from = 0

    def pieces(self, rows: int, columns: int, *, dense: bool = False) -> list[slice]:
        """Return row ranges of at most :data:`PIECE` pairs, or of :data:`LEAST_ROWS` rows."""
        step = max(LEAST_ROWS, PIECE // max(columns, 1))
        return [slice(begin, min(begin + step, rows)) for begin in range(0, max(rows, 1), step)]

    def prepare(self, side: Side) -> Side:
        """Return the side with 1 / length of all its vectors, 0 for zero vectors."""
        if side.is_factors:
            return side
        lengths = [torch.linalg.vector_norm(_wide(x), dim=-1) for x in side.vectors]
        # 1 / 0 is inf, and becomes 0; a NaN stays one, so that it is seen.
        inverse = torch.cat(lengths, 1).reciprocal_().nan_to_num_(nan=torch.nan, posinf=0)
        return replace(side, inverse=inverse)

    def pack(self, side: Side, dtype: torch.dtype, into: Tensor | None = None) -> Tensor:
        """Return (B, K) factor vectors in ``dtype``, p = alpha w x / |x| an expert."""
        if side.is_factors:
            return side.vectors[0].to(dtype)
        packed = torch.empty(len(side), side.width, dtype=dtype) if into is None else into
        scale = _scale(side)
        for x, (experts, columns) in zip(side.vectors, side.spans(), strict=True):
            of_alignment = packed[:, columns].view(x.shape)  # (B, E, D)
            torch.mul(_wide(x), scale[:, experts].unsqueeze(-1), out=of_alignment)
        return packed

    def unpack(self, side: Side, gradient: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients of a side's tensors, given that of its factors (B, K).

        For p = f x / |x|, with f = alpha w: dx = f / |x| (dp - u <u, dp>) where u = x / |x|, and
        dw = alpha <u, dp>. dx takes the place of dp: memory that is new costs more here than
        arithmetic does.
        """
        if side.is_factors:
            return [gradient.to(side.vectors[0].dtype)]
        spans = side.spans()
        inverse, scale = (x.to(gradient.dtype) for x in (_lengths(side), _scale(side)))
        along = torch.empty_like(inverse)  # (B, sum of E): <u, dp>
        gradients = [  # (B, E, D) views of dp, and in the end dx
            gradient[:, columns].view(x.shape)
            for x, (_, columns) in zip(side.vectors, spans, strict=True)
        ]
        for rows in self.pieces(len(side), len(side)):  # so few that they stay in cache
            for x, of_alignment, (experts, _) in zip(side.vectors, gradients, spans, strict=True):
                vector, dp = x[rows].to(gradient.dtype), of_alignment[rows]
                u_dp = torch.linalg.vecdot(vector, dp).mul_(inverse[rows, experts])
                along[rows, experts] = u_dp
                factor = scale[rows, experts]  # f / |x|
                dp.mul_(factor.unsqueeze(-1))
                projection = u_dp * factor * inverse[rows, experts]  # of u: once more 1 / |x|
                dp.addcmul_(vector, projection.unsqueeze(-1), value=-1)
        dweights = [
            (along[:, experts] * alpha).to(w.dtype)
            for w, alpha, (experts, _) in zip(side.weights, side.alpha, spans, strict=False)
        ]
        dvectors = [dx.to(x.dtype) for x, dx in zip(side.vectors, gradients, strict=True)]
        return [g if need else None for g, need in zip(dvectors + dweights, needed, strict=True)]

    def positives(self, video: Tensor, query: Tensor, columns: int) -> Tensor:
        """Return (M,) s_ii, the inner products of the rows of two (M, K)."""
        found: Tensor = torch.linalg.vecdot(_wide(video), _wide(query))
        return found

    def hinge(
        self, video: Tensor, query: Tensor, labels: Labels, margin: float, *, save: bool
    ) -> Hinges:
        """Return the hinges of (M, K) videos against (N, K) queries, and their mask if asked."""
        similarity = _wide(product(video, query.T))
        video_positive, query_positive = labels.video_positive, labels.query_positive
        if video_positive is None or query_positive is None:
            video_positive = query_positive = similarity.diagonal().clone()
        same = labels.video_group.unsqueeze(1) == labels.query_group
        # clamp and != let NaN through: a NaN is a violation, and the loss is NaN.
        to_query = similarity - (video_positive - margin).unsqueeze(1)  # row i's hinges
        to_query.clamp_(min=0).masked_fill_(same, 0)
        to_video = similarity.sub_(query_positive - margin)  # column j's
        to_video.clamp_(min=0).masked_fill_(same, 0)
        loss = to_query.sum().double() + to_video.sum().double()
        row_hit = (to_query != 0).view(torch.uint8)  # r_ij
        column_hit = (to_video != 0).view(torch.uint8)  # c_ij
        row_counts = row_hit.sum(1, dtype=torch.int32)
        column_counts = column_hit.sum(0, dtype=torch.int32)
        mask = (pack_codes(row_hit + column_hit),) if save else ()
        return Hinges(loss, row_counts, column_counts, mask)

    def open(self, mask: Mask, columns: int, dtype: torch.dtype) -> Tensor:
        """Return (M, N) of 0, 1 and 2 in ``dtype``: both products are torch's."""
        return self.codes(mask, len(mask[0]), columns, dtype)

    def codes(self, mask: Mask, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Return (M, N) of 0, 1 and 2 in ``dtype``."""
        return open_codes(mask[0], columns, dtype)

    def column_steps(self, mask: Mask) -> tuple[int, int]:
        """Return 1 and a quarter: byte b holds columns b, b + q, b + 2q and b + 3q."""
        return 1, mask[0].shape[1]

    def video_gradient(
        self,
        mask: Tensor | Segments,
        query: Tensor,
        own_column: int | None,
        counts: Tensor,
        scale: Tensor,
    ) -> Tensor:
        """Return (M, K), scale * (mask @ query - counts * each row's own query)."""
        gradient = _gather(mask, query) if isinstance(mask, Segments) else wide_product(mask, query)
        if own_column is not None:
            own = _wide(query[own_column : own_column + len(counts)])
            gradient.addcmul_(own, counts.to(gradient.dtype).unsqueeze(1), value=-1)
        return gradient.mul_(scale)

    def query_gradient(
        self,
        mask: Tensor | Segments,
        video: Tensor,
        own_column: int | None,
        counts: Tensor,
        scale: Tensor,
        into: Tensor | None,
        columns: int,
    ) -> Tensor:
        """Return (N, K), into + scale * (mask.T @ video - counts * each column's own video)."""
        factor, wide = float(scale), torch.promote_types(video.dtype, torch.float32)
        if isinstance(mask, Segments):
            found = _gather(mask, video).mul_(factor)
            into = found if into is None else into.add_(found)
        elif into is None and columns <= ROWS:  # add_product would take one step
            into = wide_product(mask.T, video).mul_(factor)
        else:
            if into is None:
                into = torch.zeros(columns, video.shape[1], dtype=wide)
            add_product(into, mask.T, video, factor)
        if own_column is not None:
            own = into[own_column : own_column + len(counts)]
            own.addcmul_(_wide(video), counts.to(wide).unsqueeze(1), value=-factor)
        return into

    def log_sums(
        self, video: Tensor, query: Tensor, labels: Labels, scale: Tensor, own_column: int
    ) -> LogSums:
        """Return the log-sum-exps of scale * (M, N) similarities."""
        similarity = _wide(product(video, query.T))
        positive = similarity.diagonal(own_column).clone()
        logits = similarity.mul_(scale).masked_fill_(_left_out(labels, own_column), -torch.inf)
        return LogSums(logits.logsumexp(1), logits.logsumexp(0), positive)

    def softmax_gradient(
        self,
        video: Tensor,
        query: Tensor,
        labels: Labels,
        scale: Tensor,
        own_column: int,
        row_sums: Tensor,
        column_sums: Tensor,
    ) -> SoftmaxGradient:
        """Return the gradient of these rows, given the log-sum-exps."""
        similarity = _wide(product(video, query.T))
        logits = similarity * scale
        gradient = (logits - row_sums.unsqueeze(1)).exp_()
        gradient += logits.sub_(column_sums).exp_()
        gradient.masked_fill_(_left_out(labels, own_column), 0)
        on_diagonal = gradient.diagonal(own_column)  # a view
        on_diagonal -= 2
        diagonal = on_diagonal.clone()
        of_scale = torch.linalg.vecdot(gradient, similarity).sum()
        on_diagonal.zero_()
        return SoftmaxGradient(gradient.to(video.dtype), diagonal, of_scale)


def _gather(segments: Segments, factors: Tensor) -> Tensor:
    """Return (R, K), the sum of each segment's rows of the (C, K) factors, times 1 or 2 each."""
    end = int(segments.starts[-1])
    sums = F.embedding_bag(
        segments.other[:end],
        factors,
        segments.starts.to(torch.int32),
        mode="sum",
        per_sample_weights=segments.times[:end].to(factors.dtype),
        include_last_offset=True,
    )
    return _wide(sums)


def _wide(x: Tensor) -> Tensor:
    """Return the tensor in at least float32."""
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _lengths(side: Side) -> Tensor:
    """Return (B, sum of E) 1 / length of a prepared side's vectors."""
    if side.inverse is None:
        raise AssertionError("a side is prepared before it is packed")
    return side.inverse


def _scale(side: Side) -> Tensor:
    """Return (B, sum of E), what a side's vectors are multiplied by: alpha w / |x|."""
    inverse = _lengths(side)
    if not side.alpha:
        return inverse
    if not side.weights:
        experts = [x.shape[1] for x in side.vectors]
        alpha = inverse.new_tensor(side.alpha)
        return inverse * alpha.repeat_interleave(torch.tensor(experts))
    factors = [_wide(w) * a for w, a in zip(side.weights, side.alpha, strict=True)]
    return inverse * torch.cat(factors, 1)


def _left_out(labels: Labels, own_column: int) -> Tensor:
    """Return (M, N) bool: the pairs of one group, but for each row's own."""
    same = labels.video_group.unsqueeze(1) == labels.query_group
    same.diagonal(own_column).fill_(False)
    return same
