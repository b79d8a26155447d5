import numpy as np
import pytest
import torch
from varkit_alan.fixed_frame import FixedFrame

from tests.support.alan import counts_of, draws_of, mask_of
from tests.support.reference import alan_video as reference


@pytest.mark.parametrize("count", [1, 2, 7, 50])
@pytest.mark.parametrize("length", [1, 2, 5, 16, 49, 50, 51, 61_000])
def test_evaluation_spreads_evenly(count, length):
    picks = FixedFrame(count=count)(None, mask_of(length), draws_of(1), training=False)
    assert picks.dtype == torch.int64
    assert picks[0].tolist() == reference.fixed_frame(length, count)


@pytest.mark.parametrize("length", [1, 3, 16, 50, 61_000])
def test_training_takes_one_clip_a_segment(length):
    draws = draws_of(1)
    picks = FixedFrame(count=16)(None, mask_of(length), draws, training=True)
    assert picks[0].tolist() == reference.segments(length, draws.uniform(16)[0].tolist())
    edges = np.arange(17) * length / 16
    assert (picks[0].numpy() + 1 > edges[:-1]).all()
    assert (picks[0].numpy() < edges[1:]).all()


@pytest.mark.parametrize("training_draw", ["segments", "uniform"])
def test_training_draws_every_clip_alike(training_draw):
    sampler = FixedFrame(count=50, training_draw=training_draw)
    mask = mask_of(7).expand(2000, -1)
    picks = sampler(None, mask, draws_of(2000), training=True)
    # Independent draws have 5 standard deviations within 6 %; one of each segment has less.
    np.testing.assert_allclose(counts_of(picks, 7), 100_000 / 7, rtol=5 * (6 / 100_000) ** 0.5)


def test_training_draws_differ_by_seed_and_video():
    picks, again, other = (
        FixedFrame(count=10)(None, mask_of(500, 500), draws_of(2, seed), training=True)
        for seed in (0, 0, 1)
    )
    assert torch.equal(picks, again)
    assert not torch.equal(picks[0], picks[1])
    assert not torch.equal(picks, other)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("training_draw", ["segments", "uniform"])
def test_picks_are_real_ascending_and_blind_to_padding(training, training_draw):
    sampler = FixedFrame(count=9, training_draw=training_draw)
    lengths = (1, 4, 9, 33)
    picks = sampler(None, mask_of(*lengths), draws_of(4), training=training)
    padded = sampler(None, mask_of(*lengths, extra=20), draws_of(4), training=training)
    assert torch.equal(picks, padded)
    assert (picks.diff(dim=1) >= 0).all()
    assert ((picks >= 0) & (picks < torch.tensor(lengths)[:, None])).all()
