"""Counting what ranks before the right answers: hinges at margin 0, counted, not summed.

``retrieval.py`` launches it by ``TritonOperations.rank_counts``, and has the same in torch.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl

from varkit_kernels.similarity_ranking.triton_tile import grouped_order, similarity_tile


@triton.jit
def rank_counts_kernel(
    video,  # (M, K)
    query,  # (N, K)
    owner,  # (N,) int64: each query's own video
    right_score,  # (N,) float32: the score of each query with its own video
    best_score,  # (M,) float32: the best of each video's own queries' scores
    query_above,  # (N,) int32, added to
    query_equal,  # (N,) int32, added to
    video_above,  # (M,) int32, added to
    video_equal,  # (M,) int32, added to
    M,
    N,
    K,
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Count the wrong pairs of one tile. Grid: (tiles,)."""
    down, right = grouped_order(tl.program_id(0), tl.cdiv(M, TILE), tl.cdiv(N, TILE), GROUP)
    rows = down * TILE + tl.arange(0, TILE)
    columns = right * TILE + tl.arange(0, TILE)
    s = similarity_tile(video, query, rows, columns, M, N, K, TILE, BLOCK_K, PRECISION, UPCAST)
    row_inside = rows < M
    column_inside = columns < N
    own = tl.load(owner + columns, mask=column_inside, other=-1)
    wrong = row_inside[:, None] & column_inside[None, :] & (rows[:, None] != own[None, :])
    # For each query, the videos that compete with its own.
    right_answer = tl.load(right_score + columns, mask=column_inside, other=0.0)[None, :]
    above = (wrong & ~(s <= right_answer)).to(tl.int32)  # a NaN counts as above
    equal = (wrong & (s == right_answer)).to(tl.int32)
    tl.atomic_add(query_above + columns, tl.sum(above, 0), mask=column_inside, sem="relaxed")
    tl.atomic_add(query_equal + columns, tl.sum(equal, 0), mask=column_inside, sem="relaxed")
    # For each video, the queries that compete with the best of its own.
    best = tl.load(best_score + rows, mask=row_inside, other=0.0)[:, None]
    above = (wrong & ~(s <= best)).to(tl.int32)
    equal = (wrong & (s == best)).to(tl.int32)
    tl.atomic_add(video_above + rows, tl.sum(above, 1), mask=row_inside, sem="relaxed")
    tl.atomic_add(video_equal + rows, tl.sum(equal, 1), mask=row_inside, sem="relaxed")
