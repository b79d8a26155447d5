"""Samplers that are controls of anomaly-led sampling: random, top_k, oracle and shuffle."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.oracle import Oracle, resampled
from varkit_alan.random_clips import Random
from varkit_alan.top_k import TopK

from tests.support.alan import counts_of, draws_of, fits, mask_of
from varkit.data.collate import segment_means
from varkit.errors import VarkitError
from varkit.model.build import build_dataset, build_model
from varkit.recipe.load import load_recipe


@pytest.mark.parametrize("training", [True, False])
def test_random_draws_every_clip_alike(training):
    picks = Random(count=50)(None, mask_of(*[7] * 1000), draws_of(1000), training=training)
    assert fits(counts_of(picks, 7), np.full(7, 1 / 7))
    assert not fits(counts_of(picks, 7), np.array([2, 1, 1, 1, 1, 1, 1]) / 8)


def test_random_is_what_the_draws_say():
    lengths, draws = (1, 6, 100), draws_of(3, seed=4)
    picks = Random(count=9)(None, mask_of(*lengths), draws, training=False)
    for row, n, u in zip(picks.tolist(), lengths, draws.uniform(9).tolist(), strict=True):
        assert row == sorted(int(x * n) for x in u)


@settings(max_examples=40)
@given(st.lists(st.sampled_from([0.0, 0.2, 0.5, 1.0]), min_size=1, max_size=12), st.integers(1, 9))
def test_top_k_takes_the_highest_and_of_equal_ones_the_earlier(scores, count):
    mask = mask_of(len(scores), extra=3)
    padded = torch.tensor([[*scores, 9.0, 9.0, 9.0]])  # what padding holds must not count
    picks = TopK(count=count)(padded, mask, draws_of(1), training=True)
    ranking = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    assert picks[0].tolist() == sorted((ranking * count)[:count])


def test_top_k_of_a_constant_confidence_is_the_beginning_of_the_longest_video():
    scores, mask = torch.full((1, 61_000), 0.3), mask_of(61_000)
    picks = TopK(count=50)(scores, mask, draws_of(1), training=True)
    assert picks[0].tolist() == list(range(50))


def test_top_k_needs_a_detector():
    with pytest.raises(VarkitError, match="has no detector"):
        TopK()(None, mask_of(3), draws_of(1), training=False)


def test_top_k_is_the_limit_of_anomaly_led_sampling():
    scores = torch.tensor([[0.1, 0.9, 0.3, 0.8, 0.2]])
    cold = AnomalyLed(count=3, temperature=1e-3, replace=False)
    picks = TopK(count=3)(scores, mask_of(5), draws_of(1), training=False)
    assert torch.equal(picks, cold(scores, mask_of(5), draws_of(1), training=False))


@settings(max_examples=100)
@given(st.lists(st.booleans(), min_size=1, max_size=30), st.integers(1, 60))
def test_truth_is_reduced_as_clips_are(truth, length):
    reduced = resampled(np.array(truth), length)
    starts, ends = ([k * len(truth) // length for k in range(i, length + i)] for i in (0, 1))
    expected = [any(truth[a : max(b, a + 1)]) for a, b in zip(starts, ends, strict=True)]
    assert reduced.tolist() == expected
    assert reduced.any() == any(truth)
    if length <= len(truth):  # the data's own averages of the truth are above 0 at the same places
        times = np.zeros((len(truth), 2), np.float32)
        clips = {"truth": [np.array(truth, np.float32)[:, None]]}
        means = segment_means(clips, times, length).streams["truth"][:, 0]
        assert reduced.tolist() == (means > 0).tolist()


TRUTHS = {
    "video-0": np.arange(20) // 4 == 2,
    "video-1": None,
    "video-2": np.zeros(9, bool),
    "video-3": np.arange(12) == 11,
}


@pytest.mark.parametrize("training", [True, False])
def test_oracle_draws_inside_and_elsewhere_is_fixed_frame(training):
    mask, draws = mask_of(20, 15, 9, 4), draws_of(4)  # video 3: 12 clips averaged over 4
    picks = Oracle(TRUTHS.get, count=50)(None, mask, draws, training=training)
    assert set(picks[0].tolist()) == {8, 9, 10, 11}
    assert picks[3].tolist() == [3] * 50
    fixed = FixedFrame(count=50)(None, mask, draws, training=training)
    assert torch.equal(picks[1:3], fixed[1:3])
    u = draws.uniform(50)[0].tolist()
    assert picks[0].tolist() == sorted(8 + int(x * 4) for x in u)


def test_oracle_draws_every_anomalous_clip_alike():
    truth = np.array([False, True, True, False, True])
    sampler = Oracle(lambda _: truth, count=20)
    picks = sampler(None, mask_of(*[5] * 1000), draws_of(1000), training=False)
    counts = counts_of(picks, 5)
    assert counts[[0, 3]].sum() == 0
    assert fits(counts[truth], np.full(3, 1 / 3))


def test_shuffle_permutes_the_scores_of_real_clips():
    """At a low temperature the pick is the place of the highest score, then each alike."""
    scores = torch.zeros(2000, 9)
    scores[:, 2], scores[:, 6:] = 1, 1  # behind the sixth clip is padding
    mask = mask_of(*[6] * 2000, extra=3)
    options = {"count": 1, "temperature": 0.01}
    plain = AnomalyLed(**options)(scores, mask, draws_of(2000), training=True)
    assert (plain == 2).all()
    mixed = AnomalyLed(**options, shuffle=True)(scores, mask, draws_of(2000), training=True)
    assert fits(counts_of(mixed, 6), np.full(6, 1 / 6))


def test_shuffle_keeps_how_the_scores_are_distributed():
    """A permutation, not new numbers: the largest of many picks falls on one clip alone."""
    scores = torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0]])  # the last two are padding
    sampler = AnomalyLed(count=40, temperature=0.01, shuffle=True)
    places = set()
    for seed in range(30):
        picks = sampler(scores, mask_of(6, extra=2), draws_of(1, seed), training=False)
        assert len(set(picks[0].tolist())) == 1
        again = sampler(scores[:, :6], mask_of(6), draws_of(1, seed), training=True)
        assert torch.equal(picks, again)
        places.add(int(picks[0, 0]))
    assert len(places) > 3


RECIPE = """\
version: 1
data: {{use: simulated, task: audio, videos: 12, median_clips: 12, longest: 40, root: {root}}}
model: {{dim: 8, experts: [object, motion]}}
samplers: {{inside: {{use: oracle, count: 6}}}}
video: {{use: two_stream, heads: 2}}
query: {{use: audio, heads: 2, gate_norm: layer}}
alignments: {{cls: {{use: cls, weight: 1.0}}}}
objective: {{use: margin_ranking}}
"""


def test_the_build_supplies_the_truth_of_videos_and_of_their_sounds(tmp_path):
    (tmp_path / "oracle.yaml").write_text(RECIPE.format(root=tmp_path))
    recipe, plugins = load_recipe(tmp_path / "oracle.yaml")
    dataset = build_dataset(recipe, plugins)
    truth = build_model(recipe, plugins, dataset).video.samplers["inside"].truth
    abnormal = [item for item in dataset.split("test") if item.label]
    assert abnormal
    for item in abnormal:
        expected = dataset.truth(item.video)
        assert expected.any()
        for name in (item.video, *item.queries):
            np.testing.assert_array_equal(truth(name), expected)
    assert truth("a video of nobody") is None
