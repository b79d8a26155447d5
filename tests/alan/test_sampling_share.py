"""Where anomaly-led sampling looks, on simulated videos: truth, a trained detector, chance."""

import numpy as np
import pytest
import torch
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_simulator.simulated import Simulated

from varkit.data.batches import training_batches, video_batches
from varkit.evaluation.detection import Curve, detection
from varkit.testing.stand_ins import Words


def concatenated(clips):
    return torch.cat(list(clips.streams.values()), dim=-1)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    # Anomalies that show well, so that a few seconds suffice to learn them.
    root = str(tmp_path_factory.mktemp("simulated"))
    return Simulated(videos=200, median_clips=48, longest=200, width=32, threat=2.0, root=root)


@pytest.fixture(scope="module")
def detector(dataset):
    """Trained by the labels of whole videos alone."""
    torch.manual_seed(0)
    detector = TemporalConvolution(64, hidden=(32, 8))
    optimizer = torch.optim.Adam(detector.parameters(), lr=3e-3)
    options = {"tokenize": Words().tokenize, "batch_size": 32, "max_clips": 200, "seed": 0}
    for epoch in range(6):
        for batch in training_batches(dataset, dataset.split("train"), **options, epoch=epoch):
            mask = batch.video.mask
            loss = detector.loss(detector(concatenated(batch.video), mask), mask, batch.label)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return detector.eval()


def shares(dataset, detector, temperature):
    """Share of picks inside the anomaly: by truth, by the detector, by its shuffled scores."""
    sampler = AnomalyLed(count=50, temperature=temperature, evaluation="systematic")
    curves = {"oracle": {}, "learned": {}, "shuffled": {}}
    random = np.random.default_rng(0)
    for video in (item.video for item in dataset.split("test")):
        ((_, clips),) = video_batches(dataset, [video], seed=0, max_clips=9999, clips_per_batch=1)
        with torch.no_grad():
            learned = detector(concatenated(clips), clips.mask)
        confidences = {
            "oracle": torch.from_numpy(dataset.truth(video))[None].float(),
            "learned": learned,
            "shuffled": learned[:, torch.from_numpy(random.permutation(learned.shape[1]))],
        }
        for name, scores in confidences.items():
            picks = sampler(scores, clips.mask, clips.draws, training=False)
            curves[name][video] = Curve(scores[0].numpy(), {"anomaly": picks[0].numpy()})
    return {
        name: detection(dataset, found)["sampling"]["anomaly"] for name, found in curves.items()
    }


def test_truth_beats_a_trained_detector_which_beats_chance(dataset, detector):
    sharp = shares(dataset, detector, temperature=0.1)
    assert sharp["oracle"] > 0.95
    assert sharp["learned"] < sharp["oracle"] - 0.2
    assert sharp["learned"] > sharp["shuffled"] + 0.15
    # Mild as the paper's temperature is, the order is the same.
    mild = shares(dataset, detector, temperature=0.7)
    assert mild["oracle"] > mild["learned"] + 0.1
    assert mild["learned"] > mild["shuffled"] + 0.02
