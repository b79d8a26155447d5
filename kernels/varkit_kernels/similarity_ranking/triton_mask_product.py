"""The backward pass of the ranking loss: one product with the mask a side.

As ``blocks.py`` says, it is scale * (sum_j m_ij Q_j - n_i Q_i) for the videos, and along the mask's
columns (``TRANSPOSED``) scale * (sum_i m_ij V_i - n_j V_j) for the queries. Letters: the
side whose gradient it is has R rows, the other C; K is the length of a factor vector.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl

from varkit_kernels.similarity_ranking.triton_tile import grouped_order


@triton.jit
def mask_product_kernel(
    mask,  # uint8, as hinge_kernel writes it: rows are videos, four columns a byte
    factors,  # (C, K): the other side's
    counts,  # (R,) int32: n_i, all violations of each row's pair
    tiles,  # (tiles down, tiles across) int32: those with a violation come first in each row
    number,  # (tiles down,) int32: how many of these are read
    scale,  # () float32
    out,  # (R, K), written
    R,
    C,
    K,
    own_shift,  # row r's own pair is row r + own_shift of factors; outside 0 to C it has none here
    mask_row,  # bytes in a row of mask
    TRANSPOSED: tl.constexpr,  # whether rows of out are columns of mask
    HAS_OWN: tl.constexpr,  # whether any row's own pair is subtracted here
    TILE: tl.constexpr,  # of the mask, as in the forward pass; also rows of out in a program
    BLOCK_C: tl.constexpr,  # rows of factors in a step; divides TILE
    BLOCK_K: tl.constexpr,  # columns of out in a program
    GROUP: tl.constexpr,
    PRECISION: tl.constexpr,
    UPCAST: tl.constexpr,
):
    """Write scale * (mask @ factors - counts * own factors). Grid: (tiles down * K / BLOCK_K,).

    A mask's numbers are 0, 1 and 2, exact in any float. The diagonal's are counts up to 2 (B - 1),
    which bfloat16 does not hold, so they are applied to the accumulator in float32. Tiles without a
    violation are not in the list, so they cost nothing, and nothing changes by it.
    """
    # Tiles of out: TILE rows, BLOCK_K columns. Those of one row read the same bits.
    down, right = grouped_order(tl.program_id(0), tl.cdiv(R, TILE), K // BLOCK_K, GROUP)
    rows = down * TILE + tl.arange(0, TILE)
    k = right * BLOCK_K + tl.arange(0, BLOCK_K)
    across = tl.cdiv(C, TILE)  # tiles of the mask along a row
    shift = 2 * tl.arange(0, 4)
    total = tl.zeros((TILE, BLOCK_K), dtype=tl.float32)
    steps: tl.constexpr = TILE // BLOCK_C  # for one tile of the mask
    for step in range(0, tl.load(number + down) * steps):
        tile = tl.load(tiles + down * across + step // steps)
        begin = tile * TILE + step % steps * BLOCK_C
        c = begin + tl.arange(0, BLOCK_C)  # rows of factors
        if TRANSPOSED:  # c are rows of the mask: read along them, then turn it round
            byte = down * (TILE // 4) + tl.arange(0, TILE // 4)
            bits = tl.load(mask + c.to(tl.int64)[:, None] * mask_row + byte[None, :]).to(tl.int32)
            code = tl.reshape((bits[:, :, None] >> shift[None, None, :]) & 3, (BLOCK_C, TILE))
            left = tl.trans(code.to(tl.float32).to(factors.dtype.element_ty))
        else:
            byte = begin // 4 + tl.arange(0, BLOCK_C // 4)
            bits = tl.load(mask + rows.to(tl.int64)[:, None] * mask_row + byte[None, :]).to(
                tl.int32
            )
            code = tl.reshape((bits[:, :, None] >> shift[None, None, :]) & 3, (TILE, BLOCK_C))
            left = code.to(tl.float32).to(factors.dtype.element_ty)
        # Beyond the end the last row is read, times a code of 0.
        at = tl.minimum(c, C - 1).to(tl.int64)[:, None] * K + k[None, :]
        other = tl.load(factors + at)
        if UPCAST:  # the interpreter computes bfloat16 wrongly
            left = left.to(tl.float32)
            other = other.to(tl.float32)
        total = tl.dot(left, other, total, input_precision=PRECISION)
    if HAS_OWN:
        pair = rows + own_shift
        mine = (rows < R) & (pair >= 0) & (pair < C)
        violations = tl.load(counts + rows, mask=mine, other=0).to(tl.float32)
        at = factors + pair.to(tl.int64)[:, None] * K + k[None, :]
        partner = tl.load(at, mask=mine[:, None], other=0.0).to(tl.float32)
        total -= violations[:, None] * partner
    total *= tl.load(scale)
    at = out + rows.to(tl.int64)[:, None] * K + k[None, :]
    tl.store(at, total.to(out.dtype.element_ty), mask=(rows < R)[:, None])
