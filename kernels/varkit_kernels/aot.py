"""Every kernel compiled ahead of time, without a GPU: do they compile, on what, and how tightly?

``python -m varkit_kernels.aot`` prints one line a kernel: registers of a thread, shared memory,
spills, and which matrix instructions its machine code has. It exits with 1 if anything spills.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from varkit_kernels.similarity_ranking import (
    triton_gather,
    triton_hinge,
    triton_mask_product,
    triton_pack,
    triton_ranks,
    triton_sizes,
    triton_softmax,
)

ARCHITECTURES = {80: 163, 90: 227, 100: 227}
"""Compute capability (A100, H100, B200) -> KiB of shared memory that a program may have."""

TYPES = {torch.bfloat16: "bf16", torch.float16: "fp16", torch.float32: "fp32"}
"""How Triton calls the types of factors."""

WIDTH = 3072
"""K: two alignments of two experts of 768 columns."""


@dataclass(frozen=True)
class Kernel:
    """A kernel and what it is compiled with.

    Attributes:
        name: what it is, and its variant.
        function: the ``triton.jit`` function.
        signature: each parameter that is not a constant -> its type.
        constants: each parameter that is.
        warps: in a program.
        stages: of loads under way.
    """

    name: str
    function: Any
    signature: dict[str, str]
    constants: dict[str, Any]
    warps: int = 4
    stages: int = 3


@dataclass(frozen=True)
class Build:
    """What came out of the compiler.

    Attributes:
        registers: a thread's.
        shared: bytes of a program.
        spills: instructions that move what does not fit the registers.
        instructions: the matrix instructions in the machine code.
        ptx: the code before it.
    """

    registers: int
    shared: int
    spills: int
    instructions: frozenset[str]
    ptx: str


def kernels(dtype: torch.dtype, architecture: int, *, tf32: bool = True) -> Iterator[Kernel]:
    """Yield every kernel as the backend launches it for a large and for a small batch.

    Args:
        dtype: of the factors.
        architecture: one of :data:`ARCHITECTURES`.
        tf32: whether float32 is multiplied as tf32.
    """
    precision = "tf32" if tf32 and dtype == torch.float32 else "ieee"
    for pairs in (4096, 256):
        shared = ARCHITECTURES[architecture] << 10
        size = triton_sizes.sizes(pairs, pairs, WIDTH, dtype, shared, precision)
        yield from _over_the_matrix(dtype, size, precision)
    yield from _packing(TYPES[dtype])
    yield _gather(TYPES[dtype])


def _over_the_matrix(
    dtype: torch.dtype, size: triton_sizes.Sizes, precision: str
) -> Iterator[Kernel]:
    kind = TYPES[dtype]
    common = {"BLOCK_K": size.block_k, "PRECISION": precision, "UPCAST": False}
    tile = common | {"TILE": size.tile}
    grid = tile | {"GROUP": triton_sizes.GROUP}
    matrix = {"video": f"*{kind}", "query": f"*{kind}"}
    shape = {"M": "i32", "N": "i32", "K": "i32"}
    groups = {"video_group": "*i32", "query_group": "*i32"}

    positives = matrix | {"positive": "*fp32", "M": "i32", "K": "i32"}
    yield _kernel(triton_hinge.positives_kernel, positives, tile, kind, size)

    hinge = matrix | {"video_positive": "*fp32", "query_positive": "*fp32"} | groups
    hinge |= {"loss": "*fp32", "row_counts": "*i32", "column_counts": "*i32"}
    hinge |= {"mask": "*u8", "hit": "*u8"} | shape | {"mask_row": "i32", "margin": "fp32"}
    for save in (False, True):
        constants, name = grid | {"SAVE": save}, " with mask" if save else ""
        yield _kernel(triton_hinge.hinge_kernel, hinge, constants, kind, size, name)

    product = {"mask": "*u8", "factors": f"*{kind}", "counts": "*i32"}
    product |= {"tiles": "*i32", "number": "*i32", "scale": "*fp32"}
    product |= {"out": "*fp32" if dtype == torch.float16 else f"*{kind}"}
    product |= {"R": "i32", "C": "i32", "K": "i32", "own_shift": "i32", "mask_row": "i32"}
    blocks = triton_sizes.product_blocks(size, WIDTH, dtype)
    for transposed in (False, True):
        constants = grid | blocks | {"TRANSPOSED": transposed, "HAS_OWN": True}
        name = " transposed" if transposed else ""
        function = triton_mask_product.mask_product_kernel
        yield _kernel(function, product, constants, kind, size, name)

    ranks = matrix | {"owner": "*i64", "right_score": "*fp32", "best_score": "*fp32"}
    for side in ("query", "video"):
        ranks |= {f"{side}_above": "*i32", f"{side}_equal": "*i32"}
    yield _kernel(triton_ranks.rank_counts_kernel, ranks | shape, grid, kind, size)

    sums = matrix | groups | {"scale": "*fp32", "row_sum": "*fp32", "column_sum": "*fp32"}
    place = shape | {"own_column": "i32"}
    signature = sums | {"positive": "*fp32"} | place
    yield _kernel(triton_softmax.log_sums_kernel, signature, grid, kind, size)

    size = triton_sizes.softmax_sizes(size)
    signature = sums | {"matrix": f"*{kind}", "diagonal": "*fp32", "of_scale": "*fp32"} | place
    constants = grid | {"TILE": size.tile}
    yield _kernel(triton_softmax.softmax_gradient_kernel, signature, constants, kind, size)


def _kernel(
    function: Any,
    signature: dict[str, str],
    constants: dict[str, Any],
    kind: str,
    size: triton_sizes.Sizes,
    variant: str = "",
) -> Kernel:
    base = function.__name__.removesuffix("_kernel")
    label = f"{kind} {size.tile}x{size.tile}x{size.block_k}"
    name = f"{base}{variant} {label}"
    return Kernel(name, function, signature, constants, size.warps, size.stages)


def _packing(kind: str) -> Iterator[Kernel]:
    rows, block = triton_sizes.pack_blocks(768)
    constants = {"WEIGHTED": True, "ROWS": rows, "BLOCK_D": block}
    strides = {"x_row": "i32", "x_expert": "i32", "weight_row": "i32", "weight_expert": "i32"}
    signature = {"x": f"*{kind}", "weight": "*fp32", "out": f"*{kind}"}
    signature |= {"B": "i32", "D": "i32", "K": "i32"} | strides | {"alpha": "fp32"}
    yield Kernel(f"pack {kind} d768", triton_pack.pack_kernel, signature, constants)
    signature = {"gradient": f"*{kind}", "x": f"*{kind}", "weight": "*fp32", "dx": f"*{kind}"}
    signature |= {"dweight": "*fp32", "B": "i32", "E": "i32", "D": "i32", "K": "i32"}
    signature |= strides | {"alpha": "fp32"}
    constants |= {"NEED_X": True, "NEED_WEIGHT": True}
    yield Kernel(f"unpack {kind} d768", triton_pack.unpack_kernel, signature, constants)


def _gather(kind: str) -> Kernel:
    signature = {"starts": "*i64", "other": "*i32", "times": "*u8", "factors": f"*{kind}"}
    signature |= {"counts": "*i32", "scale": "*fp32"}
    signature |= {"out": "*fp32" if kind == "fp16" else f"*{kind}"}
    signature |= {"C": "i32", "K": "i32", "own_shift": "i32"}
    constants = triton_sizes.gather_blocks(WIDTH) | {"HAS_OWN": True}
    return Kernel(f"gather {kind}", triton_gather.gather_kernel, signature, constants)


def build(kernel: Kernel, architecture: int) -> Build:
    """Compile a kernel; no GPU is needed.

    Args:
        kernel: from :func:`kernels`.
        architecture: one of :data:`ARCHITECTURES`.

    Raises:
        RuntimeError: TRITON_INTERPRET=1 stood when triton was imported.
    """
    if triton_sizes.INTERPRETED:
        raise RuntimeError("kernels are interpreted: unset TRITON_INTERPRET to compile them")
    names = kernel.function.arg_names
    signature = {name: kernel.signature.get(name, "constexpr") for name in names}
    constants = {(names.index(name),): value for name, value in kernel.constants.items()}
    # As at run time: pointers and lengths are multiples of 16, save what counts or shifts.
    aligned = [["tt.divisibility", 16]]
    exact = {"B", "E", "M", "N", "R", "C", "own_shift", "own_column"}
    attributes = {
        (names.index(name),): aligned
        for name, kind in kernel.signature.items()
        if kind.startswith("*") or (kind == "i32" and name not in exact)
    }
    source = ASTSource(kernel.function, signature, constants, attributes)
    options = {"num_warps": kernel.warps, "num_stages": kernel.stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", architecture, 32), options=options)
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(compiled.asm["cubin"])
        file.flush()
        usage = _cuobjdump("--dump-resource-usage", file.name)
        code = _cuobjdump("-sass", file.name)
    found = re.search(r"REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)", usage)
    if found is None:
        raise RuntimeError(f"cuobjdump did not say what {kernel.name} uses: {usage}")
    names_of_mma = re.findall(r"\b(HGMMA|HMMA|UTC\w*MMA)\b", code)
    spills = len(re.findall(r"\b(?:LDL|STL)\b", code))
    return Build(
        registers=int(found[1]),
        shared=compiled.metadata.shared,
        spills=spills,
        instructions=frozenset(names_of_mma),
        ptx=compiled.asm["ptx"],
    )


def _cuobjdump(option: str, file: str) -> str:
    tool = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"
    return subprocess.run([tool, option, file], capture_output=True, text=True, check=True).stdout


def main() -> None:
    """Compile what the options name and print a table."""
    parser = argparse.ArgumentParser(prog="python -m varkit_kernels.aot", description=__doc__)
    parser.add_argument("--arch", type=int, nargs="*", default=list(ARCHITECTURES))
    names = {str(dtype).removeprefix("torch."): dtype for dtype in TYPES}
    parser.add_argument("--dtype", nargs="*", default=list(names), choices=list(names))
    options = parser.parse_args()
    spills = 0
    for architecture in options.arch:
        for name in options.dtype:
            for kernel in kernels(names[name], architecture):
                built = build(kernel, architecture)
                spills += built.spills
                used = " ".join(sorted(built.instructions)) or "-"
                sys.stdout.write(
                    f"sm_{architecture}  {kernel.name:48} {built.registers:3} registers  "
                    f"{built.shared / 1024:5.1f} KiB  {built.spills:3} spills  {used}\n"
                )
                sys.stdout.flush()
    sys.exit(1 if spills else 0)


if __name__ == "__main__":
    main()
