"""What a fused backend must do; two do it, ``cpu`` and ``triton``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.sides import Side

Mask = tuple[Tensor, ...]
"""How a backend stores 2 bits a pair; tensors, so that autograd keeps and frees them."""


@dataclass(frozen=True)
class Labels:
    """What the rows and columns of a block know about their pairs.

    Attributes:
        video_group: (M,) ids; a row and a column of the same id are not negatives.
        query_group: (N,).
        video_positive: (M,) s_ii of every row's own pair; None = the block's own diagonal.
        query_positive: (N,) the same of the columns; None with the former.
    """

    video_group: Tensor
    query_group: Tensor
    video_positive: Tensor | None = None
    query_positive: Tensor | None = None

    def rows(self, rows: slice) -> Labels:
        """Return the labels of some of the rows against all columns."""
        positive = self.video_positive
        return replace(
            self,
            video_group=self.video_group[rows],
            video_positive=None if positive is None else positive[rows],
        )


@dataclass(frozen=True)
class Hinges:
    """The hinges of one block.

    Attributes:
        loss: () their sum.
        rows: (M,) int32, how many s_ij violate the margin of row i's pair.
        columns: (N,) int32, how many s_ij violate the margin of column j's pair.
        mask: the number of violations of every pair, 0, 1 or 2, in as many tensors as the backend
            needs, the bits first; none where no gradient is.
    """

    loss: Tensor
    rows: Tensor
    columns: Tensor
    mask: Mask


@dataclass(frozen=True)
class Segments:
    """Which rows of the other side are summed to a row of the gradient, and how often each.

    Attributes:
        starts: (R + 1,) int64, where each row's segment begins in the list; the last is where the
            list ends: what comes after it is not read.
        other: (n,) int32 rows of the other side.
        times: (n,) uint8, 1 or 2.
    """

    starts: Tensor
    other: Tensor
    times: Tensor


@dataclass(frozen=True)
class LogSums:
    """One pass of InfoNCE over rows of the matrix.

    Attributes:
        rows: (M,) log-sum-exp of each row.
        columns: (N,) log-sum-exp of each column, over these rows alone.
        positive: (M,) s_ii.
    """

    rows: Tensor
    columns: Tensor
    positive: Tensor


@dataclass(frozen=True)
class SoftmaxGradient:
    """The gradient of rows of InfoNCE's matrix, times 2B.

    Attributes:
        matrix: (M, N) off the diagonal, in the dtype of the factors; 0 on it.
        diagonal: (M,) on it, in at least fp32, since it does not shrink with B.
        scale: () of the scale, summed over these rows.
    """

    matrix: Tensor
    diagonal: Tensor
    scale: Tensor


class Operations(Protocol):
    """The steps of a fused backend. Nothing here is differentiated by autograd."""

    own_diagonal: bool
    """Whether :meth:`hinge` can take the positives from the diagonal of a block in one piece."""

    gather_below: float
    """Violations a pair below which the backward pass gathers rows instead of multiplying."""

    gather_from: int
    """Pairs from which it is worth looking whether violations are so few."""

    def pieces(self, rows: int, columns: int, *, dense: bool = False) -> list[slice]:
        """Return the row ranges in which a (rows, columns) matrix is worked on, at least one.

        Args:
            rows: M.
            columns: N.
            dense: whether a piece's own numbers are written to memory.
        """

    def prepare(self, side: Side) -> Side:
        """Return the side with what :meth:`pack` and :meth:`unpack` both need of it."""

    def pack(self, side: Side, dtype: torch.dtype, into: Tensor | None = None) -> Tensor:
        """Return (B, K) factor vectors; K may be padded with zeros.

        Args:
            side: experts' vectors, or factor vectors, which may be returned as they are.
            dtype: of the factors.
            into: (B, K) that may be written to; None = new memory.
        """

    def unpack(self, side: Side, gradient: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients of a side's tensors, given that of its factors.

        Args:
            side: what was packed.
            gradient: (B, K); it may be overwritten, and what is returned may be views of it.
            needed: for each of ``side.tensors``, whether its gradient is.
        """

    def positives(self, video: Tensor, query: Tensor, columns: int) -> Tensor:
        """Return (M,) inner products of the rows of two (M, K).

        Args:
            video: (M, K).
            query: (M, K).
            columns: N of the matrix to whose scores they will be compared.
        """

    def hinge(
        self, video: Tensor, query: Tensor, labels: Labels, margin: float, *, save: bool
    ) -> Hinges:
        """Return the hinges of (M, K) videos against (N, K) queries, with a mask if asked."""

    def open(self, mask: Mask, columns: int, dtype: torch.dtype) -> Any:
        """Return a saved mask in the form that the two gradients take."""

    def codes(self, mask: Mask, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Return a mask as (M, N) of 0, 1 and 2 in ``dtype``."""

    def strides(self, mask: Mask) -> tuple[int, int]:
        """Return how many columns lie between two bytes of ``mask[0]``, and two codes of a byte."""

    def video_gradient(
        self, mask: Any, query: Tensor, own: int | None, count: Tensor, scale: Tensor
    ) -> Tensor:
        """Return (M, K): scale * (mask @ query - count * query[own : own + M]).

        Args:
            mask: from :meth:`open`, or the :class:`Segments` of the rows.
            query: (N, K).
            own: the column of row 0's own pair; None = these rows' pairs are in another block.
            count: (M,) int32, all violations of each row's pair.
            scale: ().
        """

    def query_gradient(
        self,
        mask: Any,
        video: Tensor,
        own: int | None,
        count: Tensor,
        scale: Tensor,
        into: Tensor | None,
        columns: int,
    ) -> Tensor:
        """Return (N, K): ``into`` + scale * (mask.T @ video - own pairs' count * video).

        Arguments as above, with the :class:`Segments` of the columns; ``into`` may be overwritten,
        None = 0.
        """

    def log_sums(
        self, video: Tensor, query: Tensor, labels: Labels, scale: Tensor, start: int
    ) -> LogSums:
        """Return the log-sum-exps of scale * (M, N) similarities.

        Args:
            video: (M, K).
            query: (N, K).
            labels: the groups; pairs of one group are left out, but for a row's own.
            scale: ().
            start: the column of row 0's own pair.
        """

    def softmax_gradient(
        self,
        video: Tensor,
        query: Tensor,
        labels: Labels,
        scale: Tensor,
        start: int,
        rows: Tensor,
        columns: Tensor,
    ) -> SoftmaxGradient:
        """Return the gradient, given the log-sum-exps of the rows, (M,), and of all columns."""
