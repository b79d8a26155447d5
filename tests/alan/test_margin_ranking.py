"""Eq. 6 against a triple loop, its directions, its options and its corner cases."""

import pytest
import torch
from varkit_alan.margin_ranking import MarginRanking

from tests.support.reference import alan_text
from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import Pairs
from varkit.testing.objectives import check_objective


def known(group):
    return Pairs(group=group, uniform=torch.zeros(len(group), 2))


def matrix(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("count", [1, 2, 3, 17])
@pytest.mark.parametrize("margin", [0.0, 0.05, 5.0])
def test_agrees_with_loops(count, margin):
    s, group = matrix(count), torch.arange(count)
    expected = alan_text.ranking_loss(s.numpy(), margin)
    assert MarginRanking(margin=margin).dense(s, known(group)).item() == pytest.approx(expected)
    mean = MarginRanking(margin=margin, reduction="mean").dense(s, known(group)).item()
    assert mean == pytest.approx(expected / (2 * (count - 1)) if count > 1 else 0.0)


def test_rows_are_videos_and_columns_queries():
    # Video 0 likes query 1 too much; nothing else is wrong.
    s = torch.tensor([[0.5, 0.9], [0.0, 0.9]])
    # s_01 - s_00 + 0.1 = 0.5 once; as a column of query 1: s_01 - s_11 + 0.1 = 0.1 once.
    loss = MarginRanking(margin=0.1).dense(s, known(torch.arange(2)))
    assert loss.item() == pytest.approx((0.5 + 0.1) / 2)
    s.requires_grad_()
    MarginRanking(margin=0.1).dense(s, known(torch.arange(2))).backward()
    assert torch.equal(s.grad, torch.tensor([[-0.5, 1.0], [0.0, -0.5]]))


def test_factored_is_dense_of_the_product():
    generator = torch.Generator().manual_seed(0)
    video, query = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64).unbind()
    objective, group = MarginRanking(margin=0.3), torch.arange(5)
    expected = alan_text.ranking_loss((video @ query.T).numpy(), 0.3)
    assert objective.factored(video, query, known(group)).item() == pytest.approx(expected)


def expect_dense_of_the_product(objective, shapes):
    """Compare the loss of factors, and its gradients, with the dense loss of their product."""
    for count, width in shapes:
        generator = torch.Generator().manual_seed(count)
        # A shared mean: with independent vectors the gradient off the diagonal hardly counts.
        draw = torch.randn(2, count, width, generator=generator, dtype=torch.float64) + 0.5
        group = torch.randint(-3, max(count // 2, 1), (count,), generator=generator)
        video, query = (x.requires_grad_() for x in draw.unbind())
        expected = objective.dense(video @ query.T, known(group))
        found = objective.factored(video, query, known(group))
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        wanted = torch.autograd.grad(expected, (video, query))
        for g, e in zip(torch.autograd.grad(found, (video, query)), wanted, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("backend", ["auto", "eager", "cpu"])
@pytest.mark.parametrize("options", [{}, {"reduction": "mean"}, {"mask_identical": True}])
def test_every_backend_is_dense_of_the_product(backend, options):
    objective = MarginRanking(margin=0.3, backend=backend, **options)
    shapes = ((1, 1), (2, 3), (17, 5), (33, 1), (64, 48), (67, 7))
    expect_dense_of_the_product(objective, shapes)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's compiler warns of itself
def test_the_compiled_backend_is_dense_of_the_product():
    objective = MarginRanking(margin=0.3, backend="compiled", mask_identical=True)
    try:
        expect_dense_of_the_product(objective, [(17, 5)])
    except RecipeError as error:
        pytest.skip(str(error))  # there is no compiler


def test_a_backend_that_cannot_run_is_a_fault_of_the_recipe():
    x, group = torch.ones(3, 4), torch.arange(3)
    with pytest.raises(RecipeError, match=r"objective\.backend: .*'triton' cannot run"):
        MarginRanking(backend="triton").factored(x, x, known(group))


def test_factors_that_do_not_fit_are_named():
    x, group = torch.ones(3, 4), torch.arange(3)
    with pytest.raises(VarkitError, match=r"margin_ranking: .*\(3, 4\) and query \(3, 5\)"):
        MarginRanking().factored(x, torch.ones(3, 5), known(group))


def test_one_pair_is_zero_with_a_graph():
    for options in ({}, {"reduction": "mean"}, {"mask_identical": True, "reduction": "mean"}):
        s = torch.randn(1, 1, requires_grad=True)
        loss = MarginRanking(**options).dense(s, known(torch.zeros(1, dtype=torch.int64)))
        loss.backward()
        assert loss.item() == 0
        assert s.grad.item() == 0


def test_identical_queries_are_no_negatives_if_asked():
    s, group = matrix(5), torch.tensor([7, 3, 7, 7, 1])
    plain = MarginRanking(margin=1.0).dense(s, known(group))
    masked = MarginRanking(margin=1.0, mask_identical=True).dense(s, known(group))
    expected, terms = 0.0, 0
    for i in range(5):
        for j in range(5):
            if group[i] != group[j]:
                expected += max(0.0, (s[i, j] - s[i, i] + 1).item())
                expected += max(0.0, (s[j, i] - s[i, i] + 1).item())
                terms += 2
    assert masked.item() == pytest.approx(expected / 5)
    assert masked < plain
    mean = MarginRanking(margin=1.0, mask_identical=True, reduction="mean").dense(s, known(group))
    assert mean.item() == pytest.approx(expected / terms)


def test_all_queries_identical_is_zero():
    s = matrix(4).requires_grad_()
    loss = MarginRanking(mask_identical=True, reduction="mean").dense(
        s, known(torch.zeros(4).long())
    )
    loss.backward()
    assert loss.item() == 0
    assert not s.grad.any()


def test_duplicate_captions_give_no_nan():
    # Rows that are literally the same tie: the hinge is at the margin, its gradient finite.
    query = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    video = torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    loss = MarginRanking().factored(video, query, known(torch.zeros(3).long()))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(query.grad).all()


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_gradcheck(reduction):
    objective = MarginRanking(margin=0.2, reduction=reduction)
    generator = torch.Generator().manual_seed(3)
    video, query = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64).unbind()
    leaves = [x.clone().requires_grad_() for x in (video, query)]
    assert torch.autograd.gradcheck(
        lambda v, q: objective.factored(v, q, known(torch.tensor([0, 1, 0, 2]))), leaves
    )


@pytest.mark.parametrize("options", [{}, {"reduction": "mean", "mask_identical": True}])
def test_keeps_the_promises_of_an_objective(options):
    check_objective(MarginRanking(**options))
