"""The tile that every kernel over the matrix shares.

Letters: M videos, N queries, K the length of their packed factor vectors, which lie contiguous, row
after row, with K a multiple of 64. A program has one square tile of the M x N matrix, TILE rows and
columns: ``down`` and ``right`` say which, counted in tiles; ``rows`` and ``columns`` (TILE,) say
which rows of ``video`` and ``query`` it compares, some beyond the end at the edges. Offsets into
memory are int64: row 46,341 of a matrix as wide begins beyond int32. ``triton_sizes.py`` has the
sizes and says why.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def grouped_order(program, rows, columns, GROUP: tl.constexpr):
    """Return a program's tile (down, right) of ``rows`` x ``columns`` tiles.

    Programs start in the order of their numbers. Row after row, those that run together would read
    all of ``query`` for a few rows of ``video``. So GROUP rows of tiles go together, column by
    column: what a column reads is still in the L2 cache for the next row.
    """
    programs = GROUP * columns  # of one group of rows
    first = program // programs * GROUP
    height = tl.minimum(rows - first, GROUP)  # the last group may be lower
    return first + program % programs % height, program % programs // height


@triton.jit
def similarity_tile(
    video,  # (M, K)
    query,  # (N, K)
    rows,  # (TILE,) rows of video; beyond M the last is read, for callers to leave out
    columns,  # (TILE,) rows of query, likewise
    M,
    N,
    K,
    TILE: tl.constexpr,
    BLOCK_K: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Return (TILE, TILE) float32 inner products, summed over BLOCK_K columns at a time.

    All scores come from here, those of the positives too. A score then depends on its two vectors
    alone and not on where in the matrix it stands, so equal vectors tie exactly.
    """
    k = tl.arange(0, BLOCK_K)
    # Clamped rows instead of masked loads: the loads stay 16 bytes wide.
    left = video + tl.minimum(rows, M - 1).to(tl.int64)[:, None] * K + k[None, :]
    right = query + tl.minimum(columns, N - 1).to(tl.int64)[None, :] * K + k[:, None]  # transposed
    tile = tl.zeros((TILE, TILE), dtype=tl.float32)
    for _ in range(0, K // BLOCK_K):
        v = tl.load(left)
        q = tl.load(right)
        if UPCAST:  # the interpreter computes bfloat16 wrongly
            v = v.to(tl.float32)
            q = q.to(tl.float32)
        tile = tl.dot(v, q, tile, input_precision=PRECISION)
        left += BLOCK_K
        right += BLOCK_K
    return tile
