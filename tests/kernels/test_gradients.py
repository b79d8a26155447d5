"""The ways to the ranking loss's gradient on the CPU: dense products, gathered rows, in forward."""

from functools import partial

import pytest
import torch
import varkit_kernels as vk
from varkit_kernels.similarity_ranking import cpu, cpu_small, hinge, in_forward, library
from varkit_kernels.similarity_ranking.violations import Violations

from tests.support.kernels import (  # noqa: F401  # a fixture
    RATES,
    Largest,
    dense_loss,
    expect_close,
    expect_only_needed,
    expect_same_loss,
    gradients,
    groups,
    margin_of,
    pairs,
    poison,
    whole_numbers,
)

FORMS = ["dense", "gather", "forward"]
pytestmark = pytest.mark.usefixtures("poison")


def run(given, gradient, margin=0.1, **options):
    options |= {"alpha": given.alpha, "margin": margin, "backend": "cpu", "gradient": gradient}
    return vk.ranking_loss(*given.arguments, **options)


@pytest.mark.parametrize("gradient", FORMS)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("grouped", [False, True])
@pytest.mark.parametrize("piece", [1 << 21, 1], ids=["whole", "pieces"])
def test_agrees_at_every_rate(gradient, rate, grouped, piece, monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", piece)
    monkeypatch.setattr(library, "ROWS", 20)
    given = pairs(53, [(2, 7), (1, 5)])
    group = groups(53) if grouped else None
    margin = margin_of(given, rate, group)
    expected = dense_loss(given, margin=margin, group=group)
    loss_of = partial(run, gradient=gradient, margin=margin, group=group)
    expect_same_loss(loss_of, given, expected, given.leaves, 1e-12)


@pytest.mark.parametrize("gradient", FORMS)
@pytest.mark.parametrize("margin", [0.0, 1.0])
@pytest.mark.parametrize("piece", [1 << 21, 1], ids=["whole", "pieces"])
def test_a_tie_has_no_gradient(gradient, margin, piece, monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", piece)
    leaves = whole_numbers(41)
    found, expected = (
        torch.autograd.grad(vk.ranking_loss(*leaves, margin=margin, **how), leaves)
        for how in ({"backend": "cpu", "gradient": gradient}, {"backend": "eager"})
    )
    expect_close(found, expected, 1e-13)


@pytest.mark.parametrize("gradient", FORMS)
@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_pairs(gradient, count):
    given = pairs(count)
    expected = dense_loss(given, margin=0.1)
    expect_same_loss(lambda g: run(g, gradient), given, expected, given.leaves, 1e-12)


@pytest.mark.parametrize("gradient", FORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_products_in_other_dtypes(gradient, dtype):
    given = pairs(70, [(2, 50)], dtype=torch.float32)
    exact = given.to(torch.float64)
    margin = margin_of(exact, 0.3)
    tolerance = 1e-5 if dtype == torch.float32 else 5e-2
    expected = dense_loss(exact, margin=margin)
    loss_of = partial(run, gradient=gradient, margin=margin, dtype=dtype)
    expect_same_loss(loss_of, given, expected, exact.leaves, tolerance)


@pytest.mark.parametrize("gradient", FORMS[1:])
@pytest.mark.parametrize("needed", [(0,), (1,), (2,)])
def test_only_what_needs_a_gradient_gets_one(gradient, needed):
    given = pairs(10, [(2, 5)])
    expected = gradients(dense_loss(given, margin=0.1), given.leaves)

    def loss_of(*sides):
        loss = vk.ranking_loss(*sides, alpha=[0.3], margin=0.1, gradient=gradient)
        loss.backward(retain_graph=True)
        return 2 * loss

    expect_only_needed(loss_of, given, needed, [3 * g for g in expected], 1e-12)


@pytest.mark.parametrize("gradient", FORMS)
def test_repeats_bit_for_bit(gradient):
    given = pairs(100, dtype=torch.float32)
    expected = gradients(run(given, gradient), given.leaves)
    for _ in range(3):
        assert all(map(torch.equal, gradients(run(given, gradient), given.leaves), expected))


@pytest.mark.parametrize("gradient", FORMS)
def test_second_derivatives_are_refused(gradient):
    given = pairs(8)
    found = torch.autograd.grad(run(given, gradient), given.leaves, create_graph=True)
    with pytest.raises(RuntimeError, match="can be differentiated once"):
        found[0].sum().backward()


@pytest.mark.parametrize(("rate", "gathers"), [(0.004, True), (0.006, False)])
def test_rows_are_gathered_where_few_pairs_violate(rate, gathers, monkeypatch):
    """A pair has two hinges, so that 0.005 of the hinges are 0.01 violations a pair."""
    monkeypatch.setattr(cpu_small, "PAIRS", 0)
    made, listed = [], hinge.listed

    def spy(*arguments):
        made.append(listed(*arguments))
        return made[-1]

    monkeypatch.setattr(hinge, "listed", spy)
    given = pairs(101)
    run(given, "auto", margin_of(given, rate)).backward()
    assert [isinstance(found, Violations) for found in made] == [gathers]


def test_the_mask_decides_what_is_made_in_forward(monkeypatch):
    assert not in_forward.pays(65_536)
    assert in_forward.pays(65_537)
    given = pairs(20)
    monkeypatch.setattr(cpu_small, "PAIRS", 19)
    monkeypatch.setattr(in_forward, "MASK", 20**2 // 4)
    assert type(run(given, "auto").grad_fn).__name__ == "RankingLossBackward"
    monkeypatch.setattr(in_forward, "MASK", 20**2 // 4 - 1)
    assert type(run(given, "auto").grad_fn).__name__ == "RankingLossInForwardBackward"
    monkeypatch.setattr(cpu, "pack_codes", None)  # what packs a mask
    with torch.no_grad():
        run(given, "auto")


def test_nothing_of_the_matrix_is_kept(monkeypatch):
    monkeypatch.setattr(cpu, "PIECE", 1 << 16)
    given = pairs(1100, [(1, 4)], dtype=torch.float32)
    kept = []
    with (
        Largest() as largest,
        torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x) or x, lambda x: x),
    ):
        gradients(run(given, "forward"), given.leaves)
    assert largest.elements <= 1 << 16
    assert kept
    assert sum(x.numel() for x in kept) < 40 * 1100


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gradient": "gathr"}, "gradient is 'gathr'; there are auto, dense, gather, forward"),
        ({"gradient": "gather", "backend": "eager"}, "is for cpu and triton, not for eager"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(vk.InputError, match=message):
        vk.ranking_loss(torch.zeros(3, 4), torch.zeros(3, 4), **options)
