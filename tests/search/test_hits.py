"""What windows are of their clips, and where in them a moment is."""

from __future__ import annotations

import math

import numpy as np
import pytest

from varkit.interfaces.searching import Block, Channel, Track
from varkit.search.channels import from_json, pooled, to_json
from varkit.search.hits import fine

CHANNEL = Channel((Block("image", 1), Block("action", 1), Block("sound", 1)), frozenset({"text"}))


def track(seconds: float) -> Track:
    starts = seconds * np.arange(4)
    return Track(np.zeros((4, 1), np.float32), np.stack([starts, starts + seconds], axis=1))


@pytest.mark.parametrize(
    ("seconds", "placing"),
    [
        ({"image": 1, "action": 2.56, "sound": 0.96}, {"image", "sound"}),
        ({"image": 0.25, "action": 2.56, "sound": 0.96}, {"image", "sound"}),
        ({"image": 5, "action": 2.56, "sound": 0.96}, {"image", "action", "sound"}),
        ({"action": 2.56, "sound": 0.96}, {"action", "sound"}),
        ({"sound": 0.96}, {"sound"}),
        ({}, set()),
    ],
)
def test_long_clips_place_no_moment_where_the_first_block_is_finer(seconds, placing):
    tracks = {name: track(length) for name, length in seconds.items()}
    assert set(fine(CHANNEL, tracks)) == placing


def test_a_window_is_a_power_mean_of_its_clips():
    channel = Channel(
        (Block("image", 2, power=2), Block("sound", 2), Block("looks", 2, unit=True)),
        frozenset({"text"}),
    )
    clips = np.array([[0.6, 0.1], [0.0, 0.1], [0.0, 0.7]], np.float32)
    quadratic = [math.sqrt(sum(float(x) ** 2 for x in column) / 3) for column in clips.T]
    row = pooled(channel, {"image": clips, "sound": clips})
    np.testing.assert_allclose(row, [*quadratic, 0.2, 0.3, 0, 0], rtol=1e-6)
    row = pooled(channel, {"looks": clips})
    np.testing.assert_allclose(row, [0, 0, 0, 0, *np.array([2, 3]) / math.sqrt(13)], rtol=1e-6)
    assert from_json(to_json(channel)) == channel
