"""The ranking losses of the baselines against loops, their options and their corner cases."""

import math

import pytest
import torch
from varkit_baselines.hardest_negative import HardestNegative
from varkit_baselines.info_nce import InfoNCE
from varkit_baselines.sampled_negative import SampledNegative

from tests.support.alan import random
from tests.support.reference.xml_hl_net import sampled_negative
from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import Pairs
from varkit.testing.objectives import check_objective

COUNTS = [1, 2, 3, 17, 40]


def pairs(count, *, group=None, epoch=0):
    generator = torch.Generator().manual_seed(3)
    group = torch.arange(count) if group is None else torch.tensor(group)
    uniform = torch.rand(count, 2, generator=generator, dtype=torch.float64)
    return Pairs(group=group, uniform=uniform, epoch=epoch)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("margin", [0.0, 0.2, 5.0])
def test_hardest_negative_agrees_with_loops(count, margin):
    s = random(count, count)
    expected = 0.0
    for i in range(count):
        rows = [max(0.0, margin + float(s[i, j] - s[i, i])) for j in range(count) if j != i]
        columns = [max(0.0, margin + float(s[j, i] - s[i, i])) for j in range(count) if j != i]
        expected += max(rows, default=0.0) + max(columns, default=0.0)
    found = HardestNegative(margin=margin).dense(s, pairs(count))
    assert found.item() == pytest.approx(expected / count)


def test_equally_hard_negatives_share_the_gradient():
    s = torch.zeros(3, 3, requires_grad=True)
    HardestNegative(margin=0.2).dense(s, pairs(3)).backward()
    # Each entry off the diagonal is half of what is hardest in its row and in its column.
    assert torch.allclose(s.grad, (torch.ones(3, 3) - 3 * torch.eye(3)) / 3)


def cross_entropy(s, scale, group):
    """The mean of both directions; literally the same queries are no negatives."""
    count, total = len(s), 0.0
    for i in range(count):
        others = [j for j in range(count) if j == i or group[j] != group[i]]
        for row in (s[i], s[:, i]):
            mass = sum(math.exp(scale * float(row[j])) for j in others)
            total -= math.log(math.exp(scale * float(s[i, i])) / mass)
    return total / (2 * count)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_info_nce_agrees_with_loops(count, temperature):
    s = random(count, count)
    expected = cross_entropy(s, 1 / temperature, range(count))
    mean = InfoNCE(temperature=temperature).dense(s, pairs(count))
    assert mean.item() == pytest.approx(expected, abs=1e-9)
    # MMT's has no 1/2.
    both = InfoNCE(temperature=temperature, directions="sum").dense(s, pairs(count))
    assert both.item() == pytest.approx(2 * expected, abs=1e-9)


def test_info_nce_of_factors_is_that_of_their_product_with_all_its_options():
    video, query = random(2, 7, 8)
    known = pairs(7, group=[0, 1, 2, 1, 1, 3, 2])
    for options in ({}, {"mask_identical": True, "directions": "sum"}, {"learned": True}):
        objective = InfoNCE(temperature=0.5, **options)
        found = objective.factored(video, query, known)
        torch.testing.assert_close(found, objective.dense(video @ query.T, known))


def test_a_learned_temperature_has_its_gradient_and_stays_below_the_largest_scale():
    s = random(5, 5)
    objective = InfoNCE(temperature=0.01, learned=True).double()
    objective.dense(s, pairs(5)).backward()
    step = 1e-6
    ends = [InfoNCE(temperature=1 / (100 * math.exp(h))) for h in (-step, step)]
    low, high = (end.dense(s, pairs(5)).item() for end in ends)
    assert objective.log_scale.grad.item() == pytest.approx((high - low) / (2 * step), rel=1e-4)
    with torch.no_grad():
        objective.log_scale += 3
    objective.zero_grad()
    at_most = objective.dense(s, pairs(5))
    assert at_most.item() == pytest.approx(InfoNCE(temperature=0.01).dense(s, pairs(5)).item())
    at_most.backward()
    assert objective.log_scale.grad  # it can come back


def test_a_learned_temperature_may_not_start_beyond_the_largest_scale():
    assert list(InfoNCE(temperature=0.01, learned=True).parameters())
    assert not list(InfoNCE().parameters())
    with pytest.raises(VarkitError, match="largest_scale=100"):
        InfoNCE(temperature=0.009, learned=True)


def test_info_nce_says_which_backend_cannot_run():
    side = torch.eye(3)
    with pytest.raises(RecipeError, match=r"objective\.backend"):
        InfoNCE(backend="triton").factored(side, side, pairs(3))
    with pytest.raises(VarkitError, match="objective info_nce"):
        InfoNCE().factored(side, side[:2], pairs(3))


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize(("epoch", "pool"), [(0, None), (19, None), (20, 20), (99, 20)])
def test_sampled_negative_agrees_with_loops_and_is_hard_from_epoch_20(count, epoch, pool):
    s, known = random(count, count), pairs(count, epoch=epoch)
    expected = sampled_negative(s.tolist(), known.uniform.tolist(), margin=0.1, pool=pool)
    assert SampledNegative().dense(s, known).item() == pytest.approx(expected)


def test_rows_are_videos_the_first_number_draws_one():
    # Pair 0 alone has wrong candidates: video 1 for query 0 by 0.5, query 2 for video 0 by 0.25.
    s = torch.tensor([[0.0, -9, 0.25], [0.5, 0, -9], [-9, -9, 0.0]])
    for first, second, expected in ((0, 0, 0.75), (0.9, 0, 0.25), (0, 0.9, 0.5), (0.9, 0.9, 0)):
        uniform = torch.tensor([[first, second], [0.9, 0.9], [0.9, 0.9]], dtype=torch.float64)
        known = Pairs(group=torch.arange(3), uniform=uniform)
        assert SampledNegative(margin=0.0).dense(s, known).item() == pytest.approx(expected / 3)


def test_every_rank_is_drawn_alike_and_hard_ones_alone_from_the_epoch_on():
    count = 30
    s = torch.zeros(count, count) - torch.arange(count) / 100  # video 0's negatives: -0.01, ...
    seen = {0: set(), 20: set()}
    for epoch, found in seen.items():
        for step in range(290):
            uniform = torch.full((count, 2), (step + 0.5) / 290, dtype=torch.float64)
            one = s.clone().requires_grad_()
            known = Pairs(group=torch.arange(count), uniform=uniform, epoch=epoch)
            SampledNegative(margin=5.0, hard_pool=7).dense(one, known).backward()
            found |= set(one.grad[0, 1:].nonzero().flatten().tolist())
    assert seen == {0: set(range(count - 1)), 20: set(range(7))}


def test_the_same_pairs_draw_the_same_in_any_batch_order_with_ties():
    s, known = random(12, 12).round(), pairs(12)  # many ties
    order = torch.randperm(12, generator=torch.Generator().manual_seed(1))
    moved = Pairs(group=known.group[order], uniform=known.uniform[order])
    found = SampledNegative().dense(s[order][:, order], moved)
    assert found.item() == pytest.approx(SampledNegative().dense(s, known).item(), abs=1e-12)


@pytest.mark.parametrize(
    ("objective", "option"),
    [(HardestNegative, "margin"), (InfoNCE, "temperature"), (SampledNegative, "margin")],
)
def test_identical_queries_are_no_negatives_of_one_another(objective, option):
    # Pairs 0 and 1 have the same query; each looks like the other's answer.
    s = torch.full((3, 3), -50.0)
    s[:2, :2] = s[2, 2] = 1.0
    known = pairs(3, group=[5, 5, 6])
    masked, plain = (objective(**{option: 1.0}, mask_identical=m) for m in (True, False))
    assert masked.dense(s, known).item() == pytest.approx(0, abs=1e-6)
    hardest = Pairs(group=known.group, uniform=torch.zeros(3, 2, dtype=torch.float64))
    assert plain.dense(s, hardest).item() > 0.4
    assert torch.isfinite(masked.dense(s, pairs(3, group=[1, 1, 1])))


@pytest.mark.parametrize(
    "objective",
    [
        HardestNegative(mask_identical=True),
        InfoNCE(mask_identical=True, learned=True, directions="sum"),
        SampledNegative(mask_identical=True, hard_from_epoch=0, hard_pool=2),
    ],
)
def test_options_keep_the_promises(objective):
    assert check_objective(objective)
