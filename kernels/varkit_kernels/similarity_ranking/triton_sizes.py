"""How the matrix is cut into tiles: fixed sizes that need no tuning, and none was done.

They were chosen by what compiles without spills (``aot.py``), not by time. A number that is loaded
is multiplied with a whole row or column of the tile, so a larger tile reads less.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import triton
from torch import Tensor

from varkit_kernels.similarity_ranking.triton_tile import similarity_tile

INTERPRETED = not isinstance(similarity_tile, triton.JITFunction)
"""Whether TRITON_INTERPRET=1 stood when triton was imported: kernels then run on the CPU."""

GROUP = 8
"""Rows of tiles that run together, to share the cache; see :func:`triton_tile.grouped_order`."""

SMALL = 512 * 512
"""Pairs up to which tiles are small: 16 tiles of 128 x 128 would leave most of a GPU idle."""

DEEP = 160 << 10
"""Bytes of shared memory from which there are four stages; the large tile takes up to 128 KiB."""


@dataclass(frozen=True)
class Sizes:
    """How a product is cut up; what compiles without spills is tested ahead of time.

    Attributes:
        tile: rows and columns of a tile, in float32 in the registers.
        block_k: columns of the factors read at a time; divides K.
        warps: in a program, of 32 threads.
        stages: steps whose loads are under way at a time; each has 2 tile * block_k numbers in
            shared memory.
    """

    tile: int
    block_k: int
    warps: int
    stages: int


def sizes(
    rows: int, columns: int, width: int, dtype: torch.dtype, shared: int, precision: str
) -> Sizes:
    """Return how to cut up a (rows, width) @ (width, columns) product.

    Args:
        rows: M.
        columns: N.
        width: K, a multiple of 64.
        dtype: of the factors.
        shared: bytes of shared memory that a program may have.
        precision: from :func:`precision_of`.
    """
    half = dtype != torch.float32
    if INTERPRETED:
        return Sizes(32, 64, 4, 1)  # several tiles in the small shapes of tests
    if precision == "ieee" and not half:  # no tensor cores: a tile lives in registers
        return Sizes(64, 32, 8, 3)
    if rows * columns <= SMALL:
        return Sizes(32, 128 if half and width % 128 == 0 else 64, 4, 4 if half else 3)
    return Sizes(128, 64 if half else 32, 8, 4 if shared >= DEEP else 3)


def softmax_sizes(size: Sizes) -> Sizes:
    """Return the sizes of InfoNCE's gradient, which holds more numbers a pair than a hinge."""
    return replace(size, tile=64, warps=4) if size.tile == 128 else size


def product_blocks(size: Sizes, width: int, dtype: torch.dtype) -> dict[str, int]:
    """Return what a step of the product with a mask reads: BLOCK_C rows of BLOCK_K columns.

    BLOCK_C divides the tile, BLOCK_K divides K.
    """
    wide = size.tile == 128 and width % 128 == 0
    return {
        "BLOCK_C": min(size.tile, 32 if dtype == torch.float32 else 64),
        "BLOCK_K": 128 if wide else 64,
    }


def gather_blocks(width: int) -> dict[str, int]:
    """Return what a step of a gathered sum reads: BLOCK_N rows of BLOCK_K columns."""
    rows = 64 if INTERPRETED else 16  # the interpreter is slow by the step
    return {"BLOCK_N": rows, "BLOCK_K": min(256, width & -width)}  # a power of 2 that divides width


def pack_blocks(width: int) -> tuple[int, int]:
    """Return how many rows and columns a program of the packing kernels holds, some 4,096 numbers.

    Args:
        width: D, of an expert.
    """
    block = min(max(64, triton.next_power_of_2(width)), 2048)
    return (32 if INTERPRETED else max(1, 4096 // block)), block


def precision_of(dtype: torch.dtype) -> str:
    """Return how float32 is multiplied: as torch's own products are (``allow_tf32``).

    "tf32" rounds what is multiplied to 10 bits for the tensor cores; "ieee" does not. For half
    precision, which tensor cores take as it is, the word means nothing.
    """
    tf32 = torch.get_float32_matmul_precision() != "highest"
    return "tf32" if dtype == torch.float32 and tf32 else "ieee"


def sizes_of(rows: int, columns: int, factors: Tensor) -> Sizes:
    """Return how to cut up (M, N), given either side's (., K) packed factors."""
    shared = 0
    if factors.is_cuda:
        properties: Any = torch.cuda.get_device_properties(factors.device)
        shared = properties.shared_memory_per_block_optin
    dtype = factors.dtype
    return sizes(rows, columns, factors.shape[1], dtype, shared, precision_of(dtype))


def tile_options(video: Tensor, size: Sizes) -> dict[str, Any]:
    """Return what every kernel over the matrix is launched with."""
    return {
        "TILE": size.tile,
        "BLOCK_K": size.block_k,
        "PRECISION": precision_of(video.dtype),
        "UPCAST": upcast(video.dtype),
        "num_warps": size.warps,
        "num_stages": size.stages,
    }


def upcast(dtype: torch.dtype) -> bool:
    """Return whether a kernel must widen what it multiplies: interpreted bfloat16 is wrong."""
    return INTERPRETED and dtype == torch.bfloat16
