"""From experts' vectors to factor vectors and back: one launch an alignment.

Letters: B rows, E experts, D the width of an expert, K the whole width of a factor vector, of which
an alignment has E D columns. A program has ROWS rows of one expert and goes over its D columns
twice, BLOCK_D at a time: for the length, then for what is divided by it. Where D <= BLOCK_D, which
is up to 2,048, that is one step each, and the second read comes out of the cache.
"""

# Triton is a language of its own: parameters are pointers, numbers and compile-time constants.
# ruff: noqa: ANN001, ANN201, N803
# mypy: ignore-errors

import triton
import triton.language as tl


@triton.jit
def pack_kernel(
    x,  # (B, E, D), last stride 1
    weight,  # (B, E), any strides; not read unless WEIGHTED
    out,  # (B, K), contiguous, written; points to this alignment's first column
    B,
    D,
    K,
    x_row,  # strides, in elements, from row to row and from expert to expert
    x_expert,
    weight_row,  # likewise
    weight_expert,
    alpha,  # the alignment's
    WEIGHTED: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Write alpha w x / |x|, 0 for a zero vector. Grid: (blocks of ROWS rows, E)."""
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    expert = tl.program_id(1)
    d = tl.arange(0, BLOCK_D)
    inside = rows < B
    source = x + rows * x_row + expert * x_expert
    target = out + rows * K + expert * D
    squares = tl.zeros((ROWS, BLOCK_D), dtype=tl.float32)
    for begin in range(0, D, BLOCK_D):
        mask = inside[:, None] & (begin + d < D)[None, :]
        part = tl.load(source[:, None] + (begin + d)[None, :], mask=mask, other=0.0).to(tl.float32)
        squares += part * part
    length = tl.sqrt(tl.sum(squares, 1))
    # Both sides of a where are computed: the inner one keeps the division by 0 out.
    scale = tl.where(length == 0.0, 0.0, alpha / tl.where(length == 0.0, 1.0, length))
    if WEIGHTED:
        factor = weight + rows * weight_row + expert * weight_expert
        scale *= tl.load(factor, mask=inside, other=0.0).to(tl.float32)
    for begin in range(0, D, BLOCK_D):
        mask = inside[:, None] & (begin + d < D)[None, :]
        part = tl.load(source[:, None] + (begin + d)[None, :], mask=mask, other=0.0).to(tl.float32)
        packed = (part * scale[:, None]).to(out.dtype.element_ty)
        tl.store(target[:, None] + (begin + d)[None, :], packed, mask=mask)


@triton.jit
def unpack_kernel(
    gradient,  # (B, K), contiguous: dp; points to this alignment's first column
    x,  # (B, E, D), last stride 1
    weight,  # (B, E), any strides; not read unless WEIGHTED
    dx,  # (B, E, D), contiguous, written if NEED_X
    dweight,  # (B, E), contiguous, written if NEED_WEIGHT
    B,
    E,
    D,
    K,
    x_row,  # strides, in elements, from row to row and from expert to expert
    x_expert,
    weight_row,  # likewise
    weight_expert,
    alpha,  # the alignment's
    WEIGHTED: tl.constexpr,
    NEED_X: tl.constexpr,
    NEED_WEIGHT: tl.constexpr,
    ROWS: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    """Write dx = f / |x| (dp - u <u, dp>) and dw = alpha <u, dp>; u = x / |x|, f = alpha w.

    The length is computed again: the vector is at hand, and nothing need be saved.
    Grid: (blocks of ROWS rows, E).
    """
    rows = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    expert = tl.program_id(1)
    d = tl.arange(0, BLOCK_D)
    inside = rows < B
    source = x + rows * x_row + expert * x_expert
    incoming = gradient + rows * K + expert * D
    squares = tl.zeros((ROWS, BLOCK_D), dtype=tl.float32)  # for |x|
    products = tl.zeros((ROWS, BLOCK_D), dtype=tl.float32)  # for <x, dp>
    for begin in range(0, D, BLOCK_D):
        mask = inside[:, None] & (begin + d < D)[None, :]
        at = (begin + d)[None, :]
        part = tl.load(source[:, None] + at, mask=mask, other=0.0).to(tl.float32)
        dp = tl.load(incoming[:, None] + at, mask=mask, other=0.0).to(tl.float32)
        squares += part * part
        products += part * dp
    length = tl.sqrt(tl.sum(squares, 1))
    inverse = tl.where(length == 0.0, 0.0, 1.0 / tl.where(length == 0.0, 1.0, length))
    along = tl.sum(products, 1) * inverse  # <u, dp>
    if NEED_WEIGHT:
        tl.store(
            dweight + rows * E + expert,
            (alpha * along).to(dweight.dtype.element_ty),
            mask=inside,
        )
    if NEED_X:
        scale = inverse * alpha  # f / |x|
        if WEIGHTED:
            factor = weight + rows * weight_row + expert * weight_expert
            scale *= tl.load(factor, mask=inside, other=0.0).to(tl.float32)
        target = dx + (rows * E + expert) * D
        for begin in range(0, D, BLOCK_D):
            mask = inside[:, None] & (begin + d < D)[None, :]
            at = (begin + d)[None, :]
            part = tl.load(source[:, None] + at, mask=mask, other=0.0).to(tl.float32)
            dp = tl.load(incoming[:, None] + at, mask=mask, other=0.0).to(tl.float32)
            tangent = dp - part * (inverse * along)[:, None]
            found = (tangent * scale[:, None]).to(dx.dtype.element_ty)
            tl.store(target[:, None] + at, found, mask=mask)
