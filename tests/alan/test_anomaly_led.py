import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame

from tests.support.reference import alan_video as reference
from varkit.errors import VarkitError
from varkit.interfaces import Draws


def everything(*scores):
    scores = torch.tensor(scores, dtype=torch.float64)
    return scores, torch.ones_like(scores, dtype=torch.bool)


def draws_of(count, seed=0):
    return Draws(seed, tuple(f"video-{b}" for b in range(count)))


def histogram(sampler, scores, videos=2000):
    """Counts of the picks over `videos` items that all have these scores."""
    confidence, mask = everything(*[scores] * videos)
    picks = sampler(confidence, mask, draws_of(videos), training=True)
    return np.bincount(picks.flatten().numpy(), minlength=len(scores))


def chi_square_fits(counts, shares):
    """Pearson's statistic below mean + 5 standard deviations of its distribution."""
    expected = counts.sum() * np.asarray(shares)
    freedom = len(counts) - 1
    statistic = ((counts - expected) ** 2 / expected).sum()
    return statistic < freedom + 5 * math.sqrt(2 * freedom)


SCORES = [0.0, 0.9, 0.2, 1.0, 0.5, 0.05, 0.7, 0.33]


@pytest.mark.parametrize("temperature", [0.1, 0.7, 2.0])
def test_draws_follow_the_softmax(temperature):
    counts = histogram(AnomalyLed(count=50, temperature=temperature), SCORES)
    assert counts.sum() == 100_000
    shares = np.exp(np.array(SCORES) / temperature)
    assert chi_square_fits(counts, shares / shares.sum())
    assert not chi_square_fits(counts, np.full(8, 1 / 8))


def test_constant_confidence_or_great_temperature_is_uniform():
    assert chi_square_fits(histogram(AnomalyLed(count=50), [0.8] * 9), np.full(9, 1 / 9))
    hot = AnomalyLed(count=50, temperature=1e6)
    assert chi_square_fits(histogram(hot, SCORES), np.full(8, 1 / 8))


def test_great_temperature_is_random_fixed_frame():
    confidence, mask = everything(SCORES * 20)
    hot = AnomalyLed(count=4000, temperature=1e9)(confidence, mask, draws_of(1, 1), training=True)
    fixed = FixedFrame(count=4000, training_draw="uniform")
    uniform = fixed(None, mask, draws_of(1, 2), training=True)
    # Kolmogorov and Smirnov's distance of two samples of 4000; 0.043 has probability 0.001.
    counts = [np.bincount(picks[0].numpy(), minlength=160) for picks in (hot, uniform)]
    distance = np.abs(np.cumsum(counts[0]) - np.cumsum(counts[1])).max() / 4000
    assert distance < 0.043


@settings(max_examples=25)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.floats(0.05, 5),
    st.integers(0, 2**31),
)
def test_picks_are_those_of_algorithm_1(scores, temperature, seed):
    confidence, mask = everything(scores)
    draws = draws_of(1, seed)
    picks = AnomalyLed(count=20, temperature=temperature)(confidence, mask, draws, training=True)
    r = 1 - draws.uniform(20)[0].numpy()
    assert picks[0].tolist() == reference.roulette(scores, temperature, r)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=200))
def test_no_clip_is_favoured_more_than_the_bound(scores):
    # Systematic draws are spaced by 1 / N, so a clip's share is its probability to within 1 / N.
    confidence, mask = everything(scores)
    count = 20_000
    sampler = AnomalyLed(count=count, evaluation="systematic")
    picks = sampler(confidence, mask, draws_of(1), training=False)
    share = np.bincount(picks[0].numpy(), minlength=len(scores)) / count
    bound = math.exp(1 / 0.7)
    assert bound == pytest.approx(4.17, abs=0.005)
    assert share.max() - 1 / count <= bound * (share.min() + 1 / count)


@pytest.mark.parametrize(("part", "share"), [(0.05, 0.18), (0.1, 0.32), (0.14, 0.40), (0.5, 0.81)])
def test_share_of_anomalous_picks_under_an_ideal_detector(part, share):
    truth = (np.arange(100) < 100 * part).astype(float).tolist()
    counts = histogram(AnomalyLed(count=50), truth)
    assert counts[: round(100 * part)].sum() / counts.sum() == pytest.approx(share, abs=0.01)


def test_systematic_evaluation_has_no_chance():
    confidence, mask = everything(SCORES)
    sampler = AnomalyLed(count=300, evaluation="systematic")
    picks = sampler(confidence, mask, draws_of(1, 0), training=False)
    assert torch.equal(picks, sampler(confidence, mask, draws_of(1, 1), training=False))
    assert not torch.equal(picks, sampler(confidence, mask, draws_of(1, 1), training=True))
    r = [(j + 0.5) / 300 for j in range(300)]
    assert picks[0].tolist() == reference.roulette(SCORES, 0.7, r)


def test_a_draw_that_meets_q_exactly_picks_the_clip_that_ends_there():
    confidence, mask = everything([0.3] * 4)
    sampler = AnomalyLed(count=2, evaluation="systematic")
    # q = 1/4, 2/4, 3/4, 1 and r = 1/4, 3/4; i has q_{i-1} < r <= q_i.
    assert sampler(confidence, mask, draws_of(1), training=False).tolist() == [[0, 2]]


def test_a_single_systematic_pick_is_the_middle():
    confidence, mask = everything([0.3] * 9)
    sampler = AnomalyLed(count=1, evaluation="systematic")
    assert sampler(confidence, mask, draws_of(1), training=False).tolist() == [[4]]


class Largest(Draws):
    """Gives the number that becomes r = 1."""

    def uniform(self, count):
        return torch.zeros(len(self.items), count, dtype=torch.float64)


def test_the_largest_draw_picks_the_last_real_clip():
    # Ten times a tenth is less than 1: q_T := 1 must hold before the padding.
    confidence = torch.full((1, 16), 0.3)
    mask = torch.arange(16)[None] < 10
    picks = AnomalyLed(count=2)(confidence, mask, Largest(0, ("video",)), training=True)
    assert picks.tolist() == [[9, 9]]


def test_without_replacement_no_clip_comes_twice():
    generator = torch.Generator().manual_seed(0)
    confidence = torch.rand(200, 40, generator=generator)
    sampler = AnomalyLed(count=25, replace=False)
    picks = sampler(
        confidence, torch.ones_like(confidence, dtype=torch.bool), draws_of(200), training=True
    )
    assert all(len(set(row)) == 25 for row in picks.tolist())


def test_without_replacement_follows_successive_softmax():
    # Of three clips two are left in; the one left out tells both draws.
    confidence = [0.1, 0.9, 0.5]
    p = np.exp(np.array(confidence) / 0.7) / np.exp(np.array(confidence) / 0.7).sum()
    left_out = [
        sum(p[a] * p[b] / (1 - p[a]) for a, b in ((i, j), (j, i)))
        for i, j in ((1, 2), (0, 2), (0, 1))
    ]
    counts = histogram(AnomalyLed(count=2, replace=False), confidence, videos=20_000)
    assert chi_square_fits(20_000 - counts, left_out)


def test_without_replacement_a_short_video_gives_all_its_clips():
    confidence, mask = everything([0.3, 0.9, 0.1])
    picks = AnomalyLed(count=8, replace=False)(confidence, mask, draws_of(1), training=True)
    counts = np.bincount(picks[0].numpy(), minlength=3)
    assert sorted(counts) == [2, 3, 3]


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [1, 6, 50])
def test_picks_are_real_ascending_and_blind_to_padding(replace, training, count):
    sampler = AnomalyLed(count=count, temperature=0.01, replace=replace)
    lengths = torch.tensor([1, 4, 16, 33])[:, None]
    confidence = torch.rand(4, 60, generator=torch.Generator().manual_seed(0))
    mask = torch.arange(60) < lengths
    picks = sampler(confidence[:, :33], mask[:, :33], draws_of(4), training=training)
    assert torch.equal(picks, sampler(confidence, mask, draws_of(4), training=training))
    assert picks.shape == (4, count)
    assert (picks.diff(dim=1) >= 0).all()
    assert (picks >= 0).all()
    assert (picks < lengths).all()


@pytest.mark.parametrize("replace", [True, False])
def test_a_video_of_61000_clips(replace):
    confidence = torch.zeros(2, 61_000)
    confidence[:, 30_000:31_000] = 1
    sampler = AnomalyLed(count=5000, temperature=0.2, replace=replace)
    mask = torch.ones_like(confidence, dtype=torch.bool)
    picks = sampler(confidence, mask, draws_of(2), training=False)
    inside = ((picks >= 30_000) & (picks < 31_000)).double().mean()
    odds = math.exp(1 / 0.2)
    expected = odds * 1000 / (odds * 1000 + 60_000) if replace else 1000 / 5000
    assert float(inside) == pytest.approx(expected, abs=0.03)


def test_a_tie_of_probability_0_is_never_picked():
    confidence, mask = everything([0.0, 1.0, 0.0])
    picks = AnomalyLed(count=1000, temperature=1e-4)(confidence, mask, draws_of(1), training=True)
    assert set(picks[0].tolist()) == {1}


def test_without_scores_it_asks_for_a_detector():
    with pytest.raises(VarkitError, match="no detector") as caught:
        AnomalyLed()(None, torch.ones(1, 3, dtype=torch.bool), draws_of(1), training=True)
    assert "detector:" in caught.value.hint


def test_systematic_needs_replacement():
    with pytest.raises(VarkitError, match="systematic"):
        AnomalyLed(replace=False, evaluation="systematic")
