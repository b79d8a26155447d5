"""Equal scores count as they would on average over all their orders: nothing is won by them."""

from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.reference import retrieval_metrics as reference
from tests.support.tiny_captions import Captioned
from varkit.data.positives import Positives, positives_of
from varkit.evaluation import metrics
from varkit.evaluation.rank import RECALLS, hit_chances, ranks_from_similarity


@settings(max_examples=60)
@given(st.integers(0, 11), st.integers(0, 12), st.integers(1, 3))
@example(above=0, wrong=12, right=3)
@example(above=4, wrong=9, right=2)
def test_the_closed_form_is_every_order_of_the_tied(above, wrong, right):
    scores = [2] * above + [1] * (wrong + right) + [0]
    expected = reference.hits(scores, set(range(above + wrong, above + wrong + right)))
    (chances,) = hit_chances(*np.array([[above], [wrong], [right]]))
    assert chances.tolist() == pytest.approx(expected, abs=1e-12)


def test_the_recall_is_the_mean_over_every_permutation_of_a_gallery():
    """The slowest way: each of the 720 orders of six candidates ranks by order alone."""
    similarity = torch.tensor([1.0, 1, 3, 1, 0, 1]).expand(6, 6).T.contiguous()
    ranks = ranks_from_similarity(similarity, Positives.own(torch.arange(6))).query_to_video
    scores = similarity[:, 0].tolist()
    places = np.zeros((6, 720))
    for number, order in enumerate(permutations(range(6))):
        ranked = sorted(order, key=lambda c: -scores[c])  # stable: the tied keep this order
        places[ranked, number] = range(1, 7)
    for k, recall in enumerate(RECALLS):
        assert ranks.hits[:, k] == pytest.approx((places <= recall).mean(axis=1), abs=1e-12)
    assert ranks.rank == pytest.approx(places.mean(axis=1))


def test_recalls_and_ranks_are_those_of_ties_that_are_broken_at_random():
    generator = torch.Generator().manual_seed(0)
    captions = [["a", "b"], ["b"], ["c"], ["c"], ["d", "e", "f"], *([f"g{v}"] for v in range(11))]
    dataset = Captioned(captions)
    _, _, positives = positives_of(dataset, dataset.items(), "duplicates")
    shape = (positives.videos, positives.queries)
    similarity = torch.randint(0, 3, shape, generator=generator).float()
    expected = metrics.summarize(ranks_from_similarity(similarity, positives))
    many = similarity.numel()
    orders = [torch.randperm(many, generator=generator).view(shape) / many for _ in range(1500)]
    drawn = [metrics.summarize(ranks_from_similarity(similarity + x, positives)) for x in orders]
    assert all(one[way]["ties"] == 0 for one in drawn for way in metrics.DIRECTIONS)
    for name in metrics.FIGURES:
        values = [metrics.figure(one, name) for one in drawn]
        if not name.endswith("MdR"):  # a median of means is no mean of medians
            error = 5 * np.std(values) / np.sqrt(len(values)) + 1e-9
            assert metrics.figure(expected, name) == pytest.approx(np.mean(values), abs=error)


@pytest.mark.parametrize("rule", ["own", "duplicates", "unique"])
@pytest.mark.parametrize("captions", [(1,), (3, 1, 2), (2, 0)])
def test_a_constant_model_has_exactly_the_recalls_of_chance(rule, captions):
    for videos in (1, 2, 5, 9, 10, 19, 20, 21, 290, 1001):
        texts = [
            [f"{v // 2} {k}" for k in range(captions[v % len(captions)])] for v in range(videos)
        ]
        dataset = Captioned(texts)
        _, _, positives = positives_of(dataset, dataset.items(), rule)
        constant = torch.full((positives.videos, positives.queries), 0.3)
        report = metrics.summarize(ranks_from_similarity(constant, positives))
        chance = metrics.chance(positives)
        for way in metrics.DIRECTIONS:
            for k in RECALLS:
                assert report[way][f"R@{k}"] == chance[way][f"R@{k}"], "to the bit"
        assert report["SumR"] == chance["SumR"]
        if captions == (1,) and rule == "own":
            own = [100 * min(k, videos) / videos for k in RECALLS]
            assert report["SumR"] == pytest.approx(2 * sum(own))


@pytest.mark.parametrize("side", [0, 1])
def test_a_model_of_one_vector_on_one_side_is_worth_no_more_than_chance(side):
    """The other side's vectors differ, so every seeker of that side has the same ranking."""
    scores = torch.rand(19, generator=torch.Generator().manual_seed(0))
    similarity = scores.expand(19, 19) if side == 0 else scores.expand(19, 19).T
    positives = Positives.own(torch.arange(19))
    report = metrics.summarize(ranks_from_similarity(similarity.contiguous(), positives))
    assert report["SumR"] == pytest.approx(metrics.chance(positives)["SumR"])
