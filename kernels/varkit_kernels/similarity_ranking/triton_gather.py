"""The backward pass of the ranking loss where few pairs violate: sums of gathered rows.

The list is that of ``violations.py``; ``_gather`` of ``cpu.py`` does the same in torch. Letters are
those of ``triton_mask_product.py``; n are the entries of the list.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def gather_kernel(
    starts,  # (R + 1,) int64: where each row's segment of the list begins
    other,  # (n,) int32: rows of factors
    times,  # (n,) uint8: m_ij, how often each is added
    factors,  # (C, K): the other side's
    counts,  # (R,) int32: n_i, all violations of each row's pair
    scale,  # () float32
    out,  # (R, K), written
    C,
    K,
    own_shift,  # row r's own pair is row r + own_shift of factors; outside 0 to C it has none here
    HAS_OWN: tl.constexpr,  # whether any row's own pair is subtracted here
    BLOCK_N: tl.constexpr,  # entries of the list in a step
    BLOCK_K: tl.constexpr,  # columns of out in a program
):
    """Write scale * (sum of a segment's factors - counts * own factors). Grid: (R, K / BLOCK_K).

    One program adds up all of a row in the order of the list, in float32: nothing is atomic, and
    the result repeats bit for bit.
    """
    row = tl.program_id(0)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    total = tl.zeros((BLOCK_K,), dtype=tl.float32)
    end = tl.load(starts + row + 1)
    for begin in range(tl.load(starts + row), end, BLOCK_N):
        entry = begin + tl.arange(0, BLOCK_N)
        inside = entry < end
        j = tl.load(other + entry, mask=inside, other=0).to(tl.int64)
        often = tl.load(times + entry, mask=inside, other=0).to(tl.float32)
        at = factors + j[:, None] * K + k[None, :]
        some = tl.load(at, mask=inside[:, None], other=0.0).to(tl.float32)
        total += tl.sum(often[:, None] * some, 0)
    if HAS_OWN:
        pair = row + own_shift
        mine = (pair >= 0) & (pair < C)
        violations = tl.load(counts + row, mask=mine, other=0).to(tl.float32)
        at = factors + pair.to(tl.int64) * K + k
        total -= violations * tl.load(at, mask=mine, other=0.0).to(tl.float32)
    total *= tl.load(scale)
    tl.store(out + row.to(tl.int64) * K + k, total.to(out.dtype.element_ty))
