"""The log-mel front end equals its slow definition, on the signal of VGGish's smoke test too."""

import numpy as np
import pytest
import torch
from varkit_extractors.log_mel import HOP, SAMPLES, LogMel, mel_triangles

from tests.support.log_mel import log_mel

NOISE = np.random.default_rng(0).uniform(-1, 1, SAMPLES).astype(np.float32)
SINE = np.sin(2 * np.pi * 1000 * np.arange(3 * 16_000) / 16_000).astype(np.float32)
"""3 seconds of 1 kHz at 16 kHz, the published smoke test."""


@pytest.mark.parametrize("offset", [0.01, 0.001])
@pytest.mark.parametrize(
    "clip",
    [NOISE, 1e-3 * NOISE, SINE[:SAMPLES], np.zeros(SAMPLES, np.float32)],
    ids=["noise", "quiet noise", "sine", "silence"],
)
def test_a_patch_equals_the_slow_definition(clip, offset):
    patches = LogMel(offset)(torch.from_numpy(clip)[None])
    assert patches.shape == (1, 96, 64)
    np.testing.assert_allclose(patches[0], log_mel(clip, offset), atol=2e-6)


def test_the_smoke_signal_makes_three_patches_with_its_energy_at_1_khz():
    clips = torch.from_numpy(SINE).unfold(0, SAMPLES, HOP)
    patches = LogMel(0.01)(clips)
    assert patches.shape == (3, 96, 64)
    loudest = int(mel_triangles()[32].argmax())  # bin 32 is at 1,000 Hz
    assert (patches.argmax(-1) == loudest).all()


@pytest.mark.parametrize(
    ("samples", "patches"), [(SAMPLES, 1), (SAMPLES + HOP - 1, 1), (SAMPLES + HOP, 2)]
)
def test_clips_are_the_patches_of_the_published_framing(samples, patches):
    """Published: all windows that fit into the sound, then every 96 of them are a patch."""
    sound = torch.from_numpy(np.resize(NOISE, samples))
    frames = 1 + (samples - 400) // 160
    assert len(sound.unfold(0, SAMPLES, HOP)) == frames // 96 == patches


def test_every_band_hears_something_but_the_mean():
    assert (mel_triangles()[0] == 0).all()
    assert (mel_triangles().sum(0) > 0).all()
