"""The Triton backend on a GPU: ``pytest -m gpu tests/kernels``.

All of the suite that runs under the interpreter elsewhere, and what only a GPU can show.
"""

import pytest
import torch
import varkit_kernels as vk

pytest.importorskip("triton")

from tests.support.kernels import dense_loss, expect_close, gradients, groups, pairs, poison
from tests.support.triton_suite import *  # noqa: F403  # its tests are collected here

if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("poison")]
__all__ = ["poison"]

TOLERANCE = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 1.5e-2}


@pytest.fixture(autouse=True)
def full_precision():
    """Multiply float32 in full, whatever ran before."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize("count", [64, 1000])
def test_tf32_if_torch_allows_it(count):
    torch.set_float32_matmul_precision("high")
    given = pairs(count, [(2, 384)]).to(torch.float32, "cuda")
    exact = given.to(torch.float64)
    expected = dense_loss(exact, margin=0.05)
    loss = vk.ranking_loss(*given.arguments, alpha=given.alpha, backend="triton")
    expect_close(loss, expected, 2e-3)
    expect_close(gradients(loss, given.leaves), gradients(expected, exact.leaves), 5e-3)


@pytest.mark.parametrize("count", [64, 1000, 4096])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("grouped", [False, True])
def test_no_worse_than_eager_in_that_dtype(count, dtype, grouped):
    """Against float64 on the same rounded numbers: the tolerance, or 1.5 times eager's error."""
    given = pairs(count, [(2, 384), (2, 384)]).to(dtype, "cuda")
    exact = given.to(torch.float64)
    group = groups(count).cuda() if grouped else None
    expected = dense_loss(exact, margin=0.05, group=group)
    right = gradients(expected, exact.leaves)

    def errors(backend):
        loss = vk.ranking_loss(*given.arguments, alpha=given.alpha, group=group, backend=backend)
        found = [loss, *gradients(loss, given.leaves)]
        return [
            ((f.double() - e).norm() / e.norm().clamp(min=1e-30)).item()
            for f, e in zip(found, [expected, *right], strict=True)
        ]

    for k, (triton, eager) in enumerate(zip(errors("triton"), errors("eager"), strict=True)):
        assert triton <= max(TOLERANCE[dtype], 1.5 * eager), f"number {k}: {triton} and {eager}"


def test_masks_beyond_int32():
    """B = 50,000: B^2 overflows int32."""
    generator = torch.Generator("cuda").manual_seed(0)
    video, query = (
        torch.nn.functional.normalize(
            torch.randn(50_000, 64, generator=generator, device="cuda"), dim=1
        )
        .bfloat16()
        .requires_grad_()
        for _ in range(2)
    )
    loss = vk.ranking_loss_from_factors(video, query, backend="triton")
    found = torch.autograd.grad(loss, (video, query))
    total, dvideo = torch.zeros((), dtype=torch.float64, device="cuda"), []
    v, q = video.detach().float(), query.detach().float()
    positive = (v * q).sum(1)
    column_count = torch.zeros(50_000, device="cuda")
    row_count, products = [], []
    for begin in range(0, 50_000, 1000):
        rows = slice(begin, begin + 1000)
        s = v[rows] @ q.T
        row, column = s - positive[rows, None] + 0.05, s - positive + 0.05
        for hinge in (row, column):
            hinge.diagonal(begin).zero_()
        total += row.relu().sum(dtype=torch.float64) + column.relu().sum(dtype=torch.float64)
        code = (row > 0).float() + (column > 0).float()
        row_count.append((row > 0).sum(1).float())
        column_count += (column > 0).sum(0)
        products.append(code @ q)
    count = torch.cat(row_count) + column_count
    dvideo = (torch.cat(products) - count[:, None] * q) / 50_000
    expect_close(loss, total / 50_000, 1e-3)
    expect_close(found[0], dvideo, 2e-2)


def test_extra_memory_is_far_below_the_matrix():
    given = pairs(8192, [(1, 64)]).to(torch.bfloat16, "cuda")
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    gradients(vk.ranking_loss(*given.arguments, alpha=given.alpha, backend="triton"), given.leaves)
    assert torch.cuda.max_memory_allocated() - before < 8192**2  # a byte a pair; a matrix has 4


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_autocast_computes_in_its_dtype(dtype):
    given = pairs(200, [(2, 64)]).to(torch.float32, "cuda")
    exact = given.to(torch.float64)
    with torch.autocast("cuda", dtype):
        assert vk.explain(given.video).dtype == dtype
        loss = vk.ranking_loss(*given.arguments, alpha=given.alpha, backend="triton")
    assert loss.dtype == torch.float32
    expect_close(loss, dense_loss(exact, margin=0.05), TOLERANCE[dtype])
    assert all(g.dtype == torch.float32 for g in gradients(loss, given.leaves))


def test_triton_is_on_request_only():
    video = [torch.zeros(3, 2, 4, device="cuda")]
    choice = vk.explain(video)
    assert choice.backend == "eager"
    assert choice.why.startswith("torch alone")
    assert "triton" not in choice.refused
    assert vk.explain(video, backend="triton").backend == "triton"


def test_float64_and_the_cpu_backend_say_why_not():
    video = [torch.zeros(3, 2, 4, device="cuda", dtype=torch.float64)]
    with pytest.raises(vk.BackendError, match=r"not in torch\.float64"):
        vk.ranking_loss(video, video, backend="triton")
    with pytest.raises(vk.BackendError, match="needs tensors on the CPU"):
        vk.ranking_loss(video, video, backend="cpu")
