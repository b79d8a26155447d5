"""The fused operators on a GPU: what launches the kernels, and with which sizes.

``operations.py`` says what each method is given and returns, with all shapes; ``cpu.py`` has the
same methods in torch. Each kernel's file says what its arguments are.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
from torch import Tensor
from torch.nn import functional as F

from varkit_kernels.similarity_ranking.operations import (
    Hinges,
    Labels,
    LogSums,
    Mask,
    Segments,
    SoftmaxGradient,
)
from varkit_kernels.similarity_ranking.sides import Side
from varkit_kernels.similarity_ranking.triton_gradients import gather, mask_product, tiles_with_hits
from varkit_kernels.similarity_ranking.triton_hinge import hinge_kernel, positives_kernel
from varkit_kernels.similarity_ranking.triton_pack import pack_kernel, unpack_kernel
from varkit_kernels.similarity_ranking.triton_ranks import rank_counts_kernel
from varkit_kernels.similarity_ranking.triton_sizes import (
    GROUP,
    pack_blocks,
    sizes_of,
    softmax_sizes,
    tile_options,
)
from varkit_kernels.similarity_ranking.triton_softmax import (
    log_sums_kernel,
    softmax_gradient_kernel,
)

DTYPES = (torch.float32, torch.bfloat16, torch.float16)

PADDING = 64
"""What K is a multiple of, so that every step of every product is a whole one."""

DENSE = 1 << 28
"""Pairs whose gradient exists at one time where the matrix is written: 512 MiB in bfloat16. Every
piece adds to all of the queries' gradient, so there should be few."""

GATHER_BELOW = 0.005
"""Violations a pair below which rows are gathered. Computed, not measured, for bfloat16: a product
takes 2 K FLOPs a pair at 788 TFLOP/s, a list 2 K bytes a violation at 4.3 TB/s, which is as long at
4.3 / 788 = 0.0055 violations a pair."""

GATHER_FROM = 1 << 24
"""Pairs from which the host reads how many violate: 4,096 x 4,096. Computed, not measured: below,
both products take less than making the list does."""


class TritonOperations:
    """:class:`varkit_kernels.similarity_ranking.operations.Operations` by Triton kernels."""

    own_diagonal = False
    gather_below = GATHER_BELOW
    gather_from = GATHER_FROM

    def pieces(self, rows: int, columns: int, *, dense: bool = False) -> list[slice]:
        """Return all rows as one piece, unless the matrix is written; then pieces much alike.

        Their sizes decide the tiles, and scores of other tiles would not tie exactly.
        """
        number = triton.cdiv(rows * columns, DENSE) if dense else 1
        step = max(1, triton.cdiv(rows, max(number, 1)))
        return [slice(begin, min(begin + step, rows)) for begin in range(0, max(rows, 1), step)]

    def prepare(self, side: Side) -> Side:
        """Return the side as it is: the kernels compute lengths where they read the vectors."""
        return side

    def pack(self, side: Side, dtype: torch.dtype, into: Tensor | None = None) -> Tensor:
        """Return (B, K) factor vectors in ``dtype``, padded with zeros to a multiple of PADDING."""
        rows, width = len(side), side.width
        padding = -width % PADDING
        if side.is_factors:
            return F.pad(side.vectors[0].to(dtype), (0, padding)).contiguous()
        packed = torch.empty(rows, width + padding, dtype=dtype, device=side.vectors[0].device)
        packed[:, width:] = 0
        for a, (x, (_, columns)) in enumerate(zip(side.vectors, side.spans(), strict=True)):
            x, weight = _last_contiguous(x), side.weights[a] if side.weights else None
            block_rows, block_d = pack_blocks(x.shape[2])
            if rows:
                pack_kernel[triton.cdiv(rows, block_rows), x.shape[1]](
                    x,
                    weight,
                    packed[:, columns],
                    rows,
                    x.shape[2],
                    packed.shape[1],
                    *x.stride()[:2],
                    *(weight.stride() if weight is not None else (0, 0)),
                    side.alpha[a] if side.alpha else 1.0,
                    WEIGHTED=weight is not None,
                    ROWS=block_rows,
                    BLOCK_D=block_d,
                    num_warps=4,
                )
        return packed

    def unpack(self, side: Side, gradient: Tensor, needed: Sequence[bool]) -> list[Tensor | None]:
        """Return the gradients of a side's tensors, given that of its factors (B, K)."""
        rows = len(side)
        if side.is_factors:
            return [gradient[:, : side.width].to(side.vectors[0].dtype)]
        into = [
            torch.empty_like(x, memory_format=torch.contiguous_format) if need else None
            for x, need in zip(side.tensors, needed, strict=True)
        ]
        for a, (x, (_, columns)) in enumerate(zip(side.vectors, side.spans(), strict=True)):
            weight = side.weights[a] if side.weights else None
            dx, dweight = into[a], into[len(side.vectors) + a] if side.weights else None
            if rows == 0 or (dx is None and dweight is None):
                continue
            x = _last_contiguous(x)
            block_rows, block_d = pack_blocks(x.shape[2])
            unpack_kernel[triton.cdiv(rows, block_rows), x.shape[1]](
                gradient[:, columns],
                x,
                weight,
                dx,
                dweight,
                rows,
                *x.shape[1:],
                gradient.shape[1],
                *x.stride()[:2],
                *(weight.stride() if weight is not None else (0, 0)),
                side.alpha[a] if side.alpha else 1.0,
                WEIGHTED=weight is not None,
                NEED_X=dx is not None,
                NEED_WEIGHT=dweight is not None,
                ROWS=block_rows,
                BLOCK_D=block_d,
                num_warps=4,
            )
        return into

    def positives(self, video: Tensor, query: Tensor, columns: int) -> Tensor:
        """Return (M,) s_ii, the inner products of the rows of two (M, K), by the matrix's tile."""
        rows, width = video.shape
        found = torch.empty(rows, dtype=torch.float32, device=video.device)
        if rows:
            size = sizes_of(rows, columns, video)
            positives_kernel[(triton.cdiv(rows, size.tile),)](
                video, query, found, rows, width, **tile_options(video, size)
            )
        return found

    def hinge(
        self, video: Tensor, query: Tensor, labels: Labels, margin: float, *, save: bool
    ) -> Hinges:
        """Return the hinges of (M, K) videos against (N, K) queries, and their mask if asked.

        A mask here is five tensors: (tiles down * tile, tiles across * tile / 4) uint8 bits, four
        neighbouring columns a byte; for every row of tiles, which have a violation and how many
        these are, see :func:`tiles_with_hits`; and for every column of tiles the same.
        """
        (m, k), n, device = video.shape, len(query), video.device
        size = sizes_of(m, n, video)
        down, across = triton.cdiv(m, size.tile), triton.cdiv(n, size.tile)
        loss = torch.empty(down * across, dtype=torch.float32, device=device)
        row_counts = torch.zeros(m, dtype=torch.int32, device=device)
        column_counts = torch.zeros(n, dtype=torch.int32, device=device)
        bits = hit = None
        if save:
            bits = torch.empty(
                down * size.tile, across * size.tile // 4, dtype=torch.uint8, device=device
            )
            hit = torch.empty(down, across, dtype=torch.uint8, device=device)
        if down * across:
            hinge_kernel[(down * across,)](
                video,
                query,
                labels.video_positive,
                labels.query_positive,
                labels.video_group,
                labels.query_group,
                loss,
                row_counts,
                column_counts,
                bits,
                hit,
                m,
                n,
                k,
                0 if bits is None else bits.shape[1],
                margin,
                SAVE=save,
                GROUP=GROUP,
                **tile_options(video, size),
            )
        mask: Mask = ()
        if bits is not None and hit is not None:
            mask = (bits, *tiles_with_hits(hit), *tiles_with_hits(hit.T))
        return Hinges(loss.sum(dtype=torch.float64), row_counts, column_counts, mask)

    def open(self, mask: Mask, columns: int, dtype: torch.dtype) -> Mask:
        """Return the mask as it is: the product reads the bits."""
        return mask

    def codes(self, mask: Mask, rows: int, columns: int, dtype: torch.dtype) -> Tensor:
        """Return (M, N) of 0, 1 and 2 in ``dtype``."""
        bits = mask[0][:rows]  # without what fills up the last row of tiles
        codes = torch.empty(*bits.shape, 4, dtype=dtype, device=bits.device)
        for k in range(4):
            codes[:, :, k] = bits >> (2 * k) & 3
        return codes.flatten(1)[:, :columns]

    def column_steps(self, mask: Mask) -> tuple[int, int]:
        """Return 4 and 1: byte b holds columns 4b to 4b + 3."""
        return 4, 1

    def video_gradient(
        self,
        mask: Mask | Segments,
        query: Tensor,
        own_column: int | None,
        counts: Tensor,
        scale: Tensor,
    ) -> Tensor:
        """Return (M, K), scale * (mask @ query - counts * each row's own query)."""
        if isinstance(mask, Segments):
            return gather(mask, query, own_column, counts, scale)
        return mask_product(mask, False, query, own_column, counts, scale)

    def query_gradient(
        self,
        mask: Mask | Segments,
        video: Tensor,
        own_column: int | None,
        counts: Tensor,
        scale: Tensor,
        into: Tensor | None,
        columns: int,
    ) -> Tensor:
        """Return (N, K), into + scale * (mask.T @ video - counts * each column's own video)."""
        shift = None
        if own_column is not None:
            # The kernel wants a count a column, and column j's own row is j - own_column.
            counts = F.pad(counts, (own_column, columns - own_column - len(counts)))
            shift = -own_column
        if isinstance(mask, Segments):
            found = gather(mask, video, shift, counts, scale)
        else:
            found = mask_product(mask, True, video, shift, counts, scale, rows=columns)
        return found if into is None else into + found

    def log_sums(
        self, video: Tensor, query: Tensor, labels: Labels, scale: Tensor, own_column: int
    ) -> LogSums:
        """Return the log-sum-exps of scale * (M, N) similarities."""
        (m, k), n, device = video.shape, len(query), video.device
        size = sizes_of(m, n, video)
        down, across = triton.cdiv(m, size.tile), triton.cdiv(n, size.tile)
        row_sums = torch.empty(across, m, dtype=torch.float32, device=device)  # of each tile's part
        column_sums = torch.empty(down, n, dtype=torch.float32, device=device)
        positive = torch.empty(m, dtype=torch.float32, device=device)
        if down * across:
            log_sums_kernel[(down * across,)](
                video,
                query,
                labels.video_group,
                labels.query_group,
                scale,
                row_sums,
                column_sums,
                positive,
                m,
                n,
                k,
                own_column,
                GROUP=GROUP,
                **tile_options(video, size),
            )
        return LogSums(row_sums.logsumexp(0), column_sums.logsumexp(0), positive)

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
        (m, k), n, device = video.shape, len(query), video.device
        size = softmax_sizes(sizes_of(m, n, video))
        down, across = triton.cdiv(m, size.tile), triton.cdiv(n, size.tile)
        matrix = torch.empty(m, n, dtype=video.dtype, device=device)
        diagonal = torch.empty(m, dtype=torch.float32, device=device)
        of_scale = torch.empty(down * across, dtype=torch.float32, device=device)
        if down * across:
            softmax_gradient_kernel[(down * across,)](
                video,
                query,
                labels.video_group,
                labels.query_group,
                scale,
                row_sums,
                column_sums,
                matrix,
                diagonal,
                of_scale,
                m,
                n,
                k,
                own_column,
                GROUP=GROUP,
                **tile_options(video, size),
            )
        return SoftmaxGradient(matrix, diagonal, of_scale.sum(dtype=torch.float64))

    def rank_counts(
        self, video: Tensor, query: Tensor, owner: Tensor, right: Tensor, best: Tensor
    ) -> tuple[Tensor, ...]:
        """Count the wrong pairs above and equal to the right ones.

        Args:
            video: (V, K) packed.
            query: (Q, K) packed.
            owner: (Q,) int64, each query's own video.
            right: (Q,) the score of each query with its own video, from :meth:`positives`.
            best: (V,) the best score of each video's own queries.

        Returns:
            int64: (Q,) above, (Q,) equal, (V,) above, (V,) equal.
        """
        (m, k), n, device = video.shape, len(query), video.device
        size = sizes_of(m, n, video)
        tiles = triton.cdiv(m, size.tile) * triton.cdiv(n, size.tile)
        counts = [torch.zeros(c, dtype=torch.int32, device=device) for c in (n, n, m, m)]
        if tiles:
            rank_counts_kernel[(tiles,)](
                video,
                query,
                owner,
                right,
                best,
                *counts,
                m,
                n,
                k,
                GROUP=GROUP,
                **tile_options(video, size),
            )
        return tuple(count.long() for count in counts)


def _last_contiguous(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()
