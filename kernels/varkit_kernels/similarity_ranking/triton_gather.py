"""The backward pass of the ranking loss where few pairs violate: sums of gathered rows."""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def gather_kernel(
    starts,  # (R + 1,) int64: where each row's segment of the list begins
    other,  # (n,) int32: rows of factors
    times,  # (n,) uint8: how often each is added
    factors,  # (C, K): the other side's
    own,  # (OWN, K): where each row's own pair stands
    count,  # (R,) int32: all violations of each row's pair
    scale,  # () float32
    out,  # (R, K), written
    K,
    OWN,
    own_shift,  # row r's own pair is row r + own_shift of own; outside it has none here
    HAS_OWN: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """Write scale * (sum of a segment's factors - count * own). Grid: (R, K / BLOCK_K).

    One program adds up all of a row in the order of the list, in float32: nothing is atomic, and
    the result repeats bit for bit.
    """
    row = tl.program_id(0)
    k = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    total = tl.zeros((BLOCK_K,), dtype=tl.float32)
    end = tl.load(starts + row + 1)
    for begin in range(tl.load(starts + row), end, BLOCK_N):
        n = begin + tl.arange(0, BLOCK_N)
        j = tl.load(other + n, mask=n < end, other=0).to(tl.int64)
        often = tl.load(times + n, mask=n < end, other=0).to(tl.float32)
        at = factors + j[:, None] * K + k[None, :]
        some = tl.load(at, mask=(n < end)[:, None], other=0.0).to(tl.float32)
        total += tl.sum(often[:, None] * some, 0)
    if HAS_OWN:
        pair = row + own_shift
        mine = (pair >= 0) & (pair < OWN)
        violations = tl.load(count + row, mask=mine, other=0).to(tl.float32)
        at = own + pair.to(tl.int64) * K + k
        total -= violations * tl.load(at, mask=mine, other=0.0).to(tl.float32)
    total *= tl.load(scale)
    tl.store(out + row.to(tl.int64) * K + k, total.to(out.dtype.element_ty))
