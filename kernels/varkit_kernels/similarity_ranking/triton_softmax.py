"""InfoNCE: one pass for the log-sum-exps of both directions, one for the gradient.

``softmax.py`` has the formulas; ``log_sums`` and ``softmax_gradient`` of ``cpu.py`` are the same in
torch.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl

from varkit_kernels.similarity_ranking.triton_tile import grouped_order, similarity_tile


@triton.jit
def log_sums_kernel(
    video,  # (M, K)
    query,  # (N, K)
    video_group,  # (M,) integers
    query_group,  # (N,) integers
    scale,  # () float32
    row_sum,  # (tiles across, M) float32, written: log-sum-exp over each tile
    column_sum,  # (tiles down, N) float32, written: likewise
    positive,  # (M,) float32, written: s_ii
    M,
    N,
    K,
    own_column,  # the column of row 0's own pair; row i's is i columns on
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Write the log-sum-exps of one tile, along both sides. Grid: (tiles,).

    The host joins the tiles' by one more log-sum-exp.
    """
    down, right = grouped_order(tl.program_id(0), tl.cdiv(M, TILE), tl.cdiv(N, TILE), GROUP)
    rows = down * TILE + tl.arange(0, TILE)
    columns = right * TILE + tl.arange(0, TILE)
    s = similarity_tile(video, query, rows, columns, M, N, K, TILE, BLOCK_K, PRECISION, UPCAST)
    row_group = tl.load(video_group + rows, mask=rows < M, other=0)
    column_group = tl.load(query_group + columns, mask=columns < N, other=0)
    pair = rows + own_column  # the column of each row's own pair
    own = pair[:, None] == columns[None, :]
    kept = (rows < M)[:, None] & (columns < N)[None, :]
    kept &= own | (row_group[:, None] != column_group[None, :])
    diagonal = tl.sum(tl.where(own, s, 0.0), 1)
    here = (pair >= right * TILE) & (pair < (right + 1) * TILE)  # it is in this tile
    tl.store(positive + rows, diagonal, mask=here & (rows < M))
    # A large finite number: -inf would give -inf - -inf where a whole row is left out.
    z = tl.where(kept, s * tl.load(scale), -1e30)
    row_top = tl.max(z, 1)
    column_top = tl.max(z, 0)
    by_row = row_top + tl.log(tl.sum(tl.exp(z - row_top[:, None]), 1))
    by_column = column_top + tl.log(tl.sum(tl.exp(z - column_top[None, :]), 0))
    tl.store(row_sum + right.to(tl.int64) * M + rows, by_row, mask=rows < M)
    tl.store(column_sum + down.to(tl.int64) * N + columns, by_column, mask=columns < N)


@triton.jit
def softmax_gradient_kernel(
    video,  # (M, K)
    query,  # (N, K)
    video_group,  # (M,) integers
    query_group,  # (N,) integers
    scale,  # () float32
    row_sum,  # (M,) float32: log-sum-exp of each row
    column_sum,  # (N,) float32: of each column
    matrix,  # (M, N), contiguous, written: the gradient off the diagonal
    diagonal,  # (M,) float32, written: the gradient on it
    of_scale,  # (tiles,) float32, written: each tile's share of the scale's gradient
    M,
    N,
    K,
    own_column,  # the column of row 0's own pair; row i's is i columns on
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Compute one tile again and write 2B dL/dz, p_row + p_column - 2 [own]. Grid: (tiles,)."""
    down, right = grouped_order(tl.program_id(0), tl.cdiv(M, TILE), tl.cdiv(N, TILE), GROUP)
    rows = down * TILE + tl.arange(0, TILE)
    columns = right * TILE + tl.arange(0, TILE)
    s = similarity_tile(video, query, rows, columns, M, N, K, TILE, BLOCK_K, PRECISION, UPCAST)
    row_group = tl.load(video_group + rows, mask=rows < M, other=0)
    column_group = tl.load(query_group + columns, mask=columns < N, other=0)
    pair = rows + own_column  # the column of each row's own pair
    own = pair[:, None] == columns[None, :]
    inside = (rows < M)[:, None] & (columns < N)[None, :]
    kept = inside & (own | (row_group[:, None] != column_group[None, :]))
    factor = tl.load(scale)
    by_row = tl.load(row_sum + rows, mask=rows < M, other=0.0)
    by_column = tl.load(column_sum + columns, mask=columns < N, other=0.0)
    p = tl.exp(s * factor - by_row[:, None]) + tl.exp(s * factor - by_column[None, :])
    p = tl.where(kept, tl.where(own, p - 2.0, p), 0.0)
    tl.store(of_scale + tl.program_id(0), tl.sum(tl.where(kept, p * s, 0.0)))
    here = (pair >= right * TILE) & (pair < (right + 1) * TILE)  # it is in this tile
    tl.store(diagonal + rows, tl.sum(tl.where(own, p, 0.0), 1), mask=here & (rows < M))
    # The diagonal is apart: the matrix may be of half precision, and it does not shrink with B.
    at = matrix + rows.to(tl.int64)[:, None] * N + columns[None, :]
    tl.store(at, tl.where(own, 0.0, p).to(matrix.dtype.element_ty), mask=inside)
