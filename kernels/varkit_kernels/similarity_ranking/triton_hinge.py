"""The forward pass of the ranking loss: one product, whose tiles never leave the chip.

``CpuOperations.hinge`` in ``cpu.py`` does the same in torch.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl

from varkit_kernels.similarity_ranking.triton_tile import grouped_order, similarity_tile


@triton.jit
def positives_kernel(
    video,  # (M, K)
    query,  # (M, K)
    positive,  # (M,) float32, written
    M,
    K,
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Write s_ii, the diagonal of a tile. Grid: (blocks of TILE rows,).

    All else of the tile is thrown away: TILE times the work of a dot product, of which there are
    few. What is bought is a score that ties exactly with an equal one of :func:`hinge_kernel`.
    """
    rows = tl.program_id(0) * TILE + tl.arange(0, TILE)
    tile = similarity_tile(video, query, rows, rows, M, M, K, TILE, BLOCK_K, PRECISION, UPCAST)
    i = tl.arange(0, TILE)
    diagonal = tl.sum(tl.where(i[:, None] == i[None, :], tile, 0.0), 1)
    tl.store(positive + rows, diagonal, mask=rows < M)


@triton.jit
def hinge_kernel(
    video,  # (M, K)
    query,  # (N, K)
    video_positive,  # (M,) float32: s_ii of each row's own pair
    query_positive,  # (N,) float32: of each column's
    video_group,  # (M,) integers
    query_group,  # (N,) integers
    loss,  # (tiles,) float32, written: each tile's sum
    row_counts,  # (M,) int32, added to if SAVE: sum_j r_ij
    column_counts,  # (N,) int32, added to if SAVE: sum_i c_ij
    mask,  # (tiles down * TILE, tiles across * TILE / 4) uint8, written if SAVE: m_ij
    hit,  # (tiles down, tiles across) uint8, written if SAVE: does any pair violate?
    M,
    N,
    K,
    mask_row,  # bytes in a row of mask
    margin,
    SAVE: tl.constexpr,
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Turn one tile of the matrix into a sum, counts and 2 bits a pair. Grid: (tiles,).

    Byte b of a row of ``mask`` holds columns 4b to 4b + 3, the first in its lowest two bits: so a
    tile fills whole bytes of its own, and no two programs write to one.
    """
    across = tl.cdiv(N, TILE)
    down, right = grouped_order(tl.program_id(0), tl.cdiv(M, TILE), across, GROUP)
    rows = down * TILE + tl.arange(0, TILE)
    columns = right * TILE + tl.arange(0, TILE)
    s = similarity_tile(video, query, rows, columns, M, N, K, TILE, BLOCK_K, PRECISION, UPCAST)

    row_inside = rows < M
    column_inside = columns < N
    # What s_ij must not exceed: s_ii - margin of its row, s_jj - margin of its column.
    row_threshold = tl.load(video_positive + rows, mask=row_inside, other=0.0) - margin
    column_threshold = tl.load(query_positive + columns, mask=column_inside, other=0.0) - margin
    row_group = tl.load(video_group + rows, mask=row_inside, other=0)
    column_group = tl.load(query_group + columns, mask=column_inside, other=0)
    # The diagonal falls out here, too: a pair is in its own group.
    negative = row_inside[:, None] & column_inside[None, :]
    negative &= row_group[:, None] != column_group[None, :]

    to_query = s - row_threshold[:, None]
    to_video = s - column_threshold[None, :]
    # "not at most 0" instead of "above 0": a NaN is a violation, and makes the loss NaN.
    row_hit = negative & ~(to_query <= 0.0)
    column_hit = negative & ~(to_video <= 0.0)
    hinges = tl.where(row_hit, to_query, 0.0) + tl.where(column_hit, to_video, 0.0)
    # The host adds up the tiles in float64. All at once: one dimension and then the other does not
    # compile for Blackwell (Triton 3.7).
    tile_loss = tl.sum(hinges)
    tl.store(loss + tl.program_id(0), tile_loss)

    if SAVE:
        by_row = row_hit.to(tl.int32)  # r_ij
        by_column = column_hit.to(tl.int32)  # c_ij
        shift = 2 * tl.arange(0, 4)
        codes = tl.reshape(by_row + by_column, (TILE, TILE // 4, 4)) << shift[None, None, :]
        byte = right * (TILE // 4) + tl.arange(0, TILE // 4)
        # The mask is allocated in whole tiles: nothing to leave out, and every byte is written.
        at = mask + rows.to(tl.int64)[:, None] * mask_row + byte[None, :]
        tl.store(at, tl.sum(codes, 2).to(tl.uint8))  # the four do not overlap: a sum is an or
        # Whether the tile has any violation; a NaN is one, as it is counted as such above.
        tl.store(hit + down * across + right, (tl.max(by_row + by_column) > 0).to(tl.uint8))
        # Integers: the order of atomic additions does not show.
        tl.atomic_add(row_counts + rows, tl.sum(by_row, 1), mask=row_inside, sem="relaxed")
        tl.atomic_add(
            column_counts + columns, tl.sum(by_column, 0), mask=column_inside, sem="relaxed"
        )
