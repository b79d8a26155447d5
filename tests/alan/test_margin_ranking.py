"""Eq. 6 against a triple loop, its directions, its options and its corner cases."""

import pytest
import torch
from varkit_alan.margin_ranking import MarginRanking

from tests.support.alan import random
from tests.support.reference import alan_text
from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import Pairs
from varkit.testing.objectives import check_objective

MASKED, MEAN = {"mask_identical": True}, {"reduction": "mean"}


def known(group):
    return Pairs(group=group, uniform=torch.zeros(len(group), 2))


@pytest.mark.parametrize("count", [1, 2, 3, 17])
@pytest.mark.parametrize("margin", [0.0, 0.05, 5.0])
def test_agrees_with_loops(count, margin):
    s, group = random(count, count), torch.arange(count)
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


def expect_dense_of_the_product(objective, shapes):
    """Compare the loss of factors, and its gradients, with the dense loss of their product."""
    for count, width in shapes:
        generator = torch.Generator().manual_seed(count)
        group = torch.randint(-3, max(count // 2, 1), (count,), generator=generator)
        # A shared mean: with independent vectors the gradient off the diagonal hardly counts.
        video, query = (0.5 + random(2, count, width)).requires_grad_().unbind()
        expected = objective.dense(video @ query.T, known(group))
        found = objective.factored(video, query, known(group))
        assert found.dtype == torch.float64
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
        wanted = torch.autograd.grad(expected, (video, query))
        for g, e in zip(torch.autograd.grad(found, (video, query)), wanted, strict=True):
            torch.testing.assert_close(g, e, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("backend", ["auto", "eager", "cpu"])
@pytest.mark.parametrize("options", [{}, MEAN, MASKED])
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


@pytest.mark.parametrize(
    ("count", "options"), [(1, {}), (1, MEAN), (1, {**MASKED, **MEAN}), (4, {**MASKED, **MEAN})]
)
def test_without_a_negative_the_loss_is_zero_with_a_graph(count, options):
    s = random(count, count).requires_grad_()
    loss = MarginRanking(**options).dense(s, known(torch.zeros(count).long()))
    loss.backward()
    assert loss.item() == 0
    assert not s.grad.any()


def test_identical_queries_are_no_negatives_if_asked():
    s, group = random(5, 5), torch.tensor([7, 3, 7, 7, 1])
    apart = [(i, j) for i in range(5) for j in range(5) if group[i] != group[j]]
    terms = [max(0.0, float(x - s[i, i] + 1)) for i, j in apart for x in (s[i, j], s[j, i])]
    plain, masked, mean = (
        MarginRanking(margin=1.0, **options).dense(s, known(group))
        for options in ({}, MASKED, {**MASKED, **MEAN})
    )
    assert masked.item() == pytest.approx(sum(terms) / 5)
    assert mean.item() == pytest.approx(sum(terms) / len(terms))
    assert masked < plain


def test_duplicate_captions_give_no_nan():
    # Rows that are literally the same tie: the hinge is at the margin, its gradient finite.
    query = torch.ones(3, 4, dtype=torch.float64, requires_grad=True)
    loss = MarginRanking().factored(random(3, 4), query, known(torch.zeros(3).long()))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(query.grad).all()


@pytest.mark.parametrize("reduction", ["paper", "mean"])
def test_gradcheck(reduction):
    objective = MarginRanking(margin=0.2, reduction=reduction)
    leaves = [random(4, 3, seed=seed).requires_grad_() for seed in (0, 1)]
    assert torch.autograd.gradcheck(
        lambda v, q: objective.factored(v, q, known(torch.tensor([0, 1, 0, 2]))), leaves
    )


def test_keeps_the_promises_of_an_objective():
    check_objective(MarginRanking(**MASKED, **MEAN))
