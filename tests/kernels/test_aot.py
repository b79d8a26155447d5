"""The Triton kernels, compiled ahead of time without a GPU: for what, and how tightly."""

import pytest
import torch

pytest.importorskip("triton")

from varkit_kernels import aot

MATRIX = ("hinge with mask", "mask_product", "mask_product transposed")


def builds(architecture, dtype, names=None, tile=None):
    for kernel in aot.kernels(dtype, architecture):
        base = kernel.name.split(f" {aot.TYPES[dtype]}")[0]
        if (names is None or base in names) and tile in (None, kernel.constants.get("TILE")):
            yield kernel, aot.build(kernel, architecture)


def check(kernel, built, architecture):
    assert built.spills == 0, kernel.name
    assert built.shared <= aot.ARCHITECTURES[architecture] << 10, kernel.name
    assert 0 < built.registers <= 255, kernel.name


def test_the_loss_uses_hopper_s_matrix_instructions_and_spills_nothing():
    found = list(builds(90, torch.bfloat16, MATRIX, tile=128))
    assert len(found) == len(MATRIX)
    for kernel, built in found:
        check(kernel, built, 90)
        assert "HGMMA" in built.instructions, kernel.name
        assert "wgmma.mma_async" in built.ptx, kernel.name


def test_the_loss_compiles_for_blackwell():
    for kernel, built in builds(100, torch.bfloat16, MATRIX[:1], tile=128):
        check(kernel, built, 100)
        assert "tcgen05.mma" in built.ptx, kernel.name
