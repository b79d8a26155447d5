"""What a fused backend must do; two do it, ``cpu`` and ``triton``.

Letters are those of ``docs/kernels.md``: a block of the B x B matrix has M rows, of videos, and N
columns, of queries; K is the length of a factor vector. s_ij is the similarity; m_ij = 0, 1 or 2 is
how many hinges of i and j violate the margin, n_i how many violated hinges have s_ii in them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.sides import Side

Mask = tuple[Tensor, ...]
"""The m_ij of some rows, 2 bits each; tensors, so that autograd keeps and frees them.

``mask[0]`` (rows, bytes) uint8 holds them, four codes a byte: code k is its bits 2k and 2k + 1.
Which four columns share a byte is the backend's, see :meth:`Operations.column_steps`. Then comes
what else the backend needs; ``blocks.forward`` appends () int64, the sum of the codes.
"""


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
        row_counts: (M,) int32, sum_j r_ij: how many s_ij violate the margin of row i's pair; a
            backend need not count where no mask is asked for.
        column_counts: (N,) int32, sum_i c_ij: how many violate that of column j's pair; likewise.
        mask: the m_ij = r_ij + c_ij; empty where none is asked for.
    """

    loss: Tensor
    row_counts: Tensor
    column_counts: Tensor
    mask: Mask


@dataclass(frozen=True)
class Segments:
    """Which rows of the other side are summed to a row of the gradient, and how often each.

    It is a sparse matrix of the m_ij in compressed rows (CSR), or in compressed columns.

    Attributes:
        starts: (R + 1,) int64, where each row's segment begins in the list; the last is where the
            list ends: what comes after it is not read.
        other: (n,) int32 rows of the other side.
        times: (n,) uint8, m_ij: 1 or 2.
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
    """The gradient of 2B times InfoNCE with respect to rows of its logits z = scale * s.

    Attributes:
        matrix: (M, N) off the diagonal, in the dtype of the factors; 0 on it.
        diagonal: (M,) on it, in at least fp32, since it does not shrink with B.
        scale: () with respect to the scale, summed over these rows.
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
    """Pairs, M x N, from which it is worth looking whether violations are so few."""

    def pieces(self, rows: int, columns: int, *, dense: bool = False) -> list[slice]:
        """Return the row ranges in which a (rows, columns) matrix is worked on, at least one.

        Args:
            rows: M.
            columns: N.
            dense: whether a number of every pair of a piece is written to memory.
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
        """Return (M,) s_ii, the inner products of the rows of two (M, K).

        Args:
            video: (M, K).
            query: (M, K).
            columns: N of the matrix to whose scores they will be compared: it decides the tiles.
        """

    def hinge(
        self, video: Tensor, query: Tensor, labels: Labels, margin: float, *, save: bool
    ) -> Hinges:
        """Return the hinges of (M, K) videos against (N, K) queries, with a mask if asked."""

    def open(self, mask: Mask, columns: int, dtype: torch.dtype) -> Any:
        """Return a saved mask in the form that the two gradients take."""

    def codes(self, mask: Mask, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Return a mask's m_ij as (M, N) in ``dtype``, for products of torch's libraries."""

    def column_steps(self, mask: Mask) -> tuple[int, int]:
        """Return how the columns of ``mask[0]`` are laid out: (a byte's step, a code's step).

        Code k of a row's byte b is that of column ``b * byte_step + k * code_step``.
        """

    def video_gradient(
        self, mask: Any, query: Tensor, own_column: int | None, counts: Tensor, scale: Tensor
    ) -> Tensor:
        """Return (M, K), scale * (mask @ query - counts * each row's own query).

        Args:
            mask: from :meth:`open`, or the :class:`Segments` of the rows.
            query: (N, K).
            own_column: the column of row 0's own pair, row i's is i columns on; None = these rows'
                own pairs are in another block, which subtracts them.
            counts: (M,) int32, n_i.
            scale: ().
        """

    def query_gradient(
        self,
        mask: Any,
        video: Tensor,
        own_column: int | None,
        counts: Tensor,
        scale: Tensor,
        into: Tensor | None,
        columns: int,
    ) -> Tensor:
        """Return (N, K), ``into`` + scale * (mask.T @ video - counts * each column's own video).

        Args:
            mask: from :meth:`open`, or the :class:`Segments` of the columns.
            video: (M, K).
            own_column: as in :meth:`video_gradient`; columns whose own pair is no row have none.
            counts: (M,) int32, n_i of the rows.
            scale: ().
            into: (N, K), which may be overwritten; None = 0.
            columns: N.
        """

    def log_sums(
        self, video: Tensor, query: Tensor, labels: Labels, scale: Tensor, own_column: int
    ) -> LogSums:
        """Return the log-sum-exps of scale * (M, N) similarities.

        Args:
            video: (M, K).
            query: (N, K).
            labels: the groups; pairs of one group are left out, but for a row's own.
            scale: (), 1 / temperature.
            own_column: the column of row 0's own pair.
        """

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
        """Return the gradient of these rows.

        Arguments as above, and the log-sum-exps: (M,) of the rows, and (N,) of whole columns.
        """
