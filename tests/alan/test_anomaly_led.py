import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame

from tests.support.alan import counts_of, draws_of, fits, mask_of
from tests.support.reference import alan_video as reference
from varkit.errors import VarkitError
from varkit.interfaces import Draws


def pick(sampler, *scores, seed=0, training=True):
    """The picks for as many videos as there are lists of scores, which are as long."""
    confidence = torch.tensor(scores, dtype=torch.float64)
    mask = torch.ones_like(confidence, dtype=torch.bool)
    return sampler(confidence, mask, draws_of(len(scores), seed), training=training)


def histogram(sampler, scores, videos=2000):
    """Counts of the picks over `videos` items that all have these scores."""
    return counts_of(pick(sampler, *[scores] * videos), len(scores))


SCORES = [0.0, 0.9, 0.2, 1.0, 0.5, 0.05, 0.7, 0.33]


@pytest.mark.parametrize("temperature", [0.1, 0.7, 2.0])
def test_draws_follow_the_softmax(temperature):
    counts = histogram(AnomalyLed(count=50, temperature=temperature), SCORES)
    assert counts.sum() == 100_000
    shares = np.exp(np.array(SCORES) / temperature)
    assert fits(counts, shares / shares.sum())
    assert not fits(counts, np.full(8, 1 / 8))


def test_constant_confidence_or_great_temperature_is_uniform():
    assert fits(histogram(AnomalyLed(count=50), [0.8] * 9), np.full(9, 1 / 9))
    hot = AnomalyLed(count=50, temperature=1e6)
    assert fits(histogram(hot, SCORES), np.full(8, 1 / 8))


def test_great_temperature_is_random_fixed_frame():
    hot = pick(AnomalyLed(count=4000, temperature=1e9), SCORES * 20, seed=1)
    uniform = pick(FixedFrame(count=4000, training_draw="uniform"), SCORES * 20, seed=2)
    # Kolmogorov and Smirnov's distance of two samples of 4000; 0.043 has probability 0.001.
    first, second = (np.cumsum(counts_of(picks, 160)) for picks in (hot, uniform))
    assert np.abs(first - second).max() / 4000 < 0.043


@settings(max_examples=25)
@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=30),
    st.floats(0.05, 5),
    st.integers(0, 2**31),
)
def test_picks_are_those_of_algorithm_1(scores, temperature, seed):
    picks = pick(AnomalyLed(count=20, temperature=temperature), scores, seed=seed)
    r = 1 - draws_of(1, seed).uniform(20)[0].numpy()
    assert picks[0].tolist() == reference.roulette(scores, temperature, r)


@settings(max_examples=25)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=200))
def test_no_clip_is_favoured_more_than_the_bound(scores):
    # Systematic draws are spaced by 1 / N, so a clip's share is its probability to within 1 / N.
    count = 20_000
    picks = pick(AnomalyLed(count=count, evaluation="systematic"), scores, training=False)
    share = counts_of(picks, len(scores)) / count
    bound = math.exp(1 / 0.7)
    assert bound == pytest.approx(4.17, abs=0.005)
    assert share.max() - 1 / count <= bound * (share.min() + 1 / count)


@pytest.mark.parametrize(("part", "share"), [(0.05, 0.18), (0.1, 0.32), (0.14, 0.40), (0.5, 0.81)])
def test_share_of_anomalous_picks_under_an_ideal_detector(part, share):
    truth = (np.arange(100) < 100 * part).astype(float).tolist()
    counts = histogram(AnomalyLed(count=50), truth)
    assert counts[: round(100 * part)].sum() / counts.sum() == pytest.approx(share, abs=0.01)


def test_systematic_evaluation_has_no_chance():
    sampler = AnomalyLed(count=300, evaluation="systematic")
    picks = pick(sampler, SCORES, seed=0, training=False)
    assert torch.equal(picks, pick(sampler, SCORES, seed=1, training=False))
    assert not torch.equal(picks, pick(sampler, SCORES, seed=1, training=True))
    r = [(j + 0.5) / 300 for j in range(300)]
    assert picks[0].tolist() == reference.roulette(SCORES, 0.7, r)


@pytest.mark.parametrize(("clips", "count", "expected"), [(4, 2, [0, 2]), (9, 1, [4])])
def test_systematic_draws_pick_the_clip_that_they_end_in(clips, count, expected):
    # Of 4 clips q = 1/4, 2/4, 3/4, 1 and r = 1/4, 3/4; i has q_{i-1} < r <= q_i.
    sampler = AnomalyLed(count=count, evaluation="systematic")
    assert pick(sampler, [0.3] * clips, training=False).tolist() == [expected]


class Largest(Draws):
    """Gives the number that becomes r = 1."""

    def uniform(self, count):
        return torch.zeros(len(self.items), count, dtype=torch.float64)


def test_the_largest_draw_picks_the_last_real_clip():
    # Ten times a tenth is less than 1: q_T := 1 must hold before the padding.
    confidence, draws = torch.full((1, 16), 0.3), Largest(0, ("video",))
    picks = AnomalyLed(count=2)(confidence, mask_of(10, extra=6), draws, training=True)
    assert picks.tolist() == [[9, 9]]


@pytest.mark.parametrize(("videos", "clips", "count"), [(200, 40, 25), (1, 3, 8)])
def test_without_replacement_no_clip_comes_again_before_all_have_come(videos, clips, count):
    scores = torch.rand(videos, clips, generator=torch.Generator().manual_seed(0)).tolist()
    for row in pick(AnomalyLed(count=count, replace=False), *scores):
        assert set(counts_of(row, clips)) == {count // clips, count // clips + 1}


def test_without_replacement_follows_successive_softmax():
    # Of three clips two are left in; the one left out tells both draws.
    confidence = [0.1, 0.9, 0.5]
    p = np.exp(np.array(confidence) / 0.7) / np.exp(np.array(confidence) / 0.7).sum()
    pairs = ((1, 2), (0, 2), (0, 1))
    left_out = [p[i] * p[j] / (1 - p[i]) + p[j] * p[i] / (1 - p[j]) for i, j in pairs]
    counts = histogram(AnomalyLed(count=2, replace=False), confidence, videos=20_000)
    assert fits(20_000 - counts, left_out)


@pytest.mark.parametrize("replace", [True, False])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("count", [1, 6, 50])
def test_picks_are_real_ascending_and_blind_to_padding(replace, training, count):
    sampler = AnomalyLed(count=count, temperature=0.01, replace=replace)
    lengths = (1, 4, 16, 33)
    confidence = torch.rand(4, 60, generator=torch.Generator().manual_seed(0))
    mask = mask_of(*lengths, extra=27)
    picks = sampler(confidence[:, :33], mask[:, :33], draws_of(4), training=training)
    assert torch.equal(picks, sampler(confidence, mask, draws_of(4), training=training))
    assert picks.shape == (4, count)
    assert (picks.diff(dim=1) >= 0).all()
    assert ((picks >= 0) & (picks < torch.tensor(lengths)[:, None])).all()


@pytest.mark.parametrize("replace", [True, False])
def test_a_video_of_61000_clips(replace):
    confidence = torch.zeros(2, 61_000)
    confidence[:, 30_000:31_000] = 1
    sampler = AnomalyLed(count=5000, temperature=0.2, replace=replace)
    picks = sampler(confidence, mask_of(61_000, 61_000), draws_of(2), training=False)
    inside = ((picks >= 30_000) & (picks < 31_000)).double().mean()
    odds = math.exp(1 / 0.2)
    expected = odds * 1000 / (odds * 1000 + 60_000) if replace else 1000 / 5000
    assert float(inside) == pytest.approx(expected, abs=0.03)


def test_a_tie_of_probability_0_is_never_picked():
    picks = pick(AnomalyLed(count=1000, temperature=1e-4), [0.0, 1.0, 0.0])
    assert set(picks[0].tolist()) == {1}


def test_without_scores_it_asks_for_a_detector():
    with pytest.raises(VarkitError, match="no detector") as caught:
        AnomalyLed()(None, mask_of(3), draws_of(1), training=True)
    assert "detector:" in caught.value.hint


def test_systematic_needs_replacement():
    with pytest.raises(VarkitError, match="systematic"):
        AnomalyLed(replace=False, evaluation="systematic")
