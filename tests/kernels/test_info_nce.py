"""InfoNCE on the CPU against loops and against torch's cross-entropy."""

import pytest
import torch
import varkit_kernels as vk
from torch.nn import functional as F
from varkit_kernels.similarity_ranking import cpu, reference
from varkit_kernels.similarity_ranking.sides import check_group, make_sides

from tests.support.kernels import (  # noqa: F401  # a fixture
    dense_info_nce,
    dense_similarity,
    expect_close,
    gradients,
    groups,
    pairs,
    poison,
)

pytestmark = pytest.mark.usefixtures("poison")


@pytest.mark.parametrize("backend", ["eager", "cpu"])
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_agrees_with_loops(backend, grouped, count):
    given = pairs(count, [(2, 5), (1, 3)])
    group = groups(count) if grouped else None
    scale = torch.tensor(7.0, dtype=torch.float64, requires_grad=True)
    left, right = make_sides(*given.arguments, given.alpha, paired=True)
    ids = check_group(group, count, torch.device("cpu"))
    expected = reference.info_nce(reference.similarity(left, right), scale=scale, group=ids)
    loss = vk.info_nce(
        *given.arguments, alpha=given.alpha, scale=scale, group=group, backend=backend
    )
    expect_close(loss, expected, 1e-12)
    leaves = [*given.leaves, scale]
    expect_close(gradients(loss, leaves), gradients(expected, leaves), 1e-11)


@pytest.mark.parametrize("piece", [1 << 22, 1], ids=["whole", "pieces"])
@pytest.mark.parametrize("grouped", [False, True])
def test_pieces_do_not_show(piece, grouped, monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", piece)
    given, group = pairs(50, [(2, 7)]), groups(50) if grouped else None
    scale = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    expected = dense_info_nce(given, scale, group)
    loss = vk.info_nce(*given.arguments, alpha=given.alpha, scale=scale, group=group)
    expect_close(loss, expected, 1e-12)
    leaves = [*given.leaves, scale]
    expect_close(gradients(loss, leaves), gradients(expected, leaves), 1e-11)


def test_is_the_loss_of_clip():
    given = pairs(20)
    logits, labels = 15 * dense_similarity(given), torch.arange(20)
    expected = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    expect_close(vk.info_nce(*given.arguments, alpha=given.alpha, scale=15.0), expected, 1e-12)


def test_single_precision_and_products_in_bf16():
    given = pairs(60, dtype=torch.float32)
    exact = dense_info_nce(given.to(torch.float64), 20.0)
    loss = vk.info_nce(*given.arguments, alpha=given.alpha, scale=20.0)
    assert loss.dtype == torch.float32
    expect_close(loss, exact, 1e-5)
    half = vk.info_nce(*given.arguments, alpha=given.alpha, scale=20.0, dtype=torch.bfloat16)
    assert half.dtype == torch.float32
    expect_close(half, exact, 1.5e-2)
    expect_close(gradients(half, given.leaves), gradients(loss, given.leaves), 3e-2)


def test_nan_is_seen():
    given = pairs(6)
    with torch.no_grad():
        given.video[0][1, 0, 0] = torch.nan
    assert vk.info_nce(*given.arguments, scale=1.0).isnan()


def test_none_is_zero_and_scale_is_a_number():
    given = pairs(0)
    assert vk.info_nce(*given.arguments, scale=1.0).item() == 0
    with pytest.raises(vk.InputError, match=r"scale is \(2,\)"):
        vk.info_nce(*given.arguments, scale=torch.ones(2))


def test_second_derivatives_are_refused():
    given = pairs(5)
    loss = vk.info_nce(*given.arguments, scale=2.0)
    found = torch.autograd.grad(loss, given.leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="can be differentiated once"):
        found[0].sum().backward()
