"""Where in a window a moment is."""

from __future__ import annotations

import numpy as np
import pytest

from varkit.interfaces.searching import Block, Channel, Track
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
