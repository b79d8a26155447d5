"""YAMNet is the published network, with the published weights, and hears what is there."""

import csv

import numpy as np
import pytest
import torch

from tests.support.sounds import clips_of, decoded
from varkit.errors import DataError
from varkit.system import tensors
from varkit.testing.probes import evaluation
from varkit_extractors import yamnet
from varkit_extractors.log_mel import HOP, SAMPLES, mel_triangles
from varkit_extractors.yamnet import YAMNet, class_names

EVENTS = {
    "001 - Dog bark": ("Bark", "Dog"),
    "002 - Rain": ("Rain", "Raindrop", "Rain on surface"),
    "003 - Sea waves": ("Ocean", "Waves, surf"),
    "004 - Baby cry": ("Baby cry, infant cry",),
    "005 - Clock tick": ("Tick", "Tick-tock", "Clock"),
    "006 - Person sneeze": ("Sneeze",),
    "007 - Helicopter": ("Helicopter",),
    "008 - Chainsaw": ("Chainsaw",),
    "009 - Rooster": ("Crowing, cock-a-doodle-doo", "Chicken, rooster"),
    "010 - Fire crackling": ("Fire", "Crackle"),
}
"""The folders of ESC-10, and which of AudioSet's classes they are."""


@pytest.fixture(scope="module")
def packaged():
    if lacking := YAMNet.missing():
        pytest.skip(lacking[0])
    return YAMNet().eval()


@pytest.fixture(scope="module")
def lite(real_data):
    pytest.importorskip("ai_edge_litert")
    return real_data / "yamnet" / "yamnet.tflite"


@pytest.fixture(scope="module")
def clips(real_data, decoder):
    """Noise, quiet noise, silence, three real sounds and a sine."""
    chance = torch.Generator().manual_seed(0)
    noise = torch.rand((2, SAMPLES), generator=chance) - 0.5
    names = ("001 - Dog bark/1-100032-A", "002 - Rain/1-17367-A", "010 - Fire crackling/1-17150-A")
    real = [decoded(decoder, real_data / "esc10" / f"{name}.ogg")[:SAMPLES] for name in names]
    sine = torch.sin(2 * torch.pi * 440 * torch.arange(SAMPLES) / 16_000)
    return torch.stack([noise[0], 0.01 * noise[1], torch.zeros(SAMPLES), *real, sine])


def heard(extractor, clips):
    with evaluation(extractor):
        return [part.numpy() for part in extractor(clips).values()]


def test_outputs_equal_those_of_the_published_graph(lite, clips):
    """The graph of the tflite file in float32, run by Google's runtime, from samples to scores.

    Its own Fourier transform is in float32, which rounds what is silent beside a loud sine.
    """
    from tests.support.litert import in_float32, run

    graph = in_float32(lite.read_bytes(), mel_triangles().numpy())
    features, scores = run(graph, clips)
    ours = heard(YAMNet(weights=str(lite)), clips)
    assert features.max() > 1
    np.testing.assert_allclose(ours[0][:-1], features[:-1], atol=5e-5)
    np.testing.assert_allclose(ours[1][:-1], scores[:-1], atol=5e-6)
    np.testing.assert_allclose(ours[0][-1], features[-1], atol=2e-3)
    np.testing.assert_allclose(ours[1][-1], scores[-1], atol=5e-4)


def test_packaged_weights_are_what_the_published_tflite_rounds_to_8_bits(packaged, lite):
    """They are not the same numbers: each lies within half a step of the other's."""
    exact = packaged.network.state_dict()
    rounded = YAMNet(weights=str(lite)).network.state_dict()
    steps = [
        float((exact[name] - rounded[name]).abs().max() / rounded[name].abs().max())
        for name in exact
    ]
    assert max(steps) < 0.5 / 127 + 1e-6
    assert sum(step < 1e-6 for step in steps) == 31  # the biases, and three small kernels
    assert sum(step > 1e-4 for step in steps) == len(steps) - 31


def test_the_published_8_bit_model_hears_nearly_the_same(packaged, lite, clips):
    from tests.support.litert import run

    features, scores = run(lite.read_bytes(), clips[3:6])
    ours = heard(packaged, clips[3:6])
    norms = np.linalg.norm(ours[0], axis=1) * np.linalg.norm(features, axis=1)
    print((ours[0] * features).sum(1) / norms, np.abs(ours[1] - scores).max())
    assert ((ours[0] * features).sum(1) / norms).min() > 0.9
    assert (ours[1].argmax(1) == scores.argmax(1)).all()


def test_class_names_are_those_of_the_published_list(packaged, real_data):
    package = yamnet._packaged() / "assets" / "yamnet_class_map.csv"
    for path in (package, real_data / "yamnet" / "yamnet_class_map.csv"):
        with path.open(encoding="utf-8", newline="") as file:
            assert tuple(row["display_name"] for row in csv.DictReader(file)) == class_names()
