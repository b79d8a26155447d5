import numpy as np
import pytest
import torch
from varkit_baselines.mean_pool import MeanPool

from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
)
from varkit.errors import VarkitError

EXPERTS = ("motion", "object")


def small(experts=EXPERTS, widths=WIDTHS, **options):
    torch.manual_seed(0)
    return MeanPool(6, experts, widths, **options).double()


def expected(model, clips, streams):
    """Mean of the real clips, then the layer, one video and one expert at a time."""
    out = np.zeros((len(clips), len(EXPERTS), 6))
    for b, length in enumerate(LENGTHS):
        for e, name in enumerate(streams):
            mean = clips.streams[name][b, :length].numpy().sum(0) / length
            weight, bias = (x.detach().numpy() for x in model.project[e].parameters())
            out[b, e] = weight @ mean + bias
    return torch.from_numpy(out)


def test_videos_follow_the_definition():
    model, clips = small(), make_clips()
    found = model(clips)
    right = expected(model, clips, EXPERTS)
    assert list(found.vectors) == list(found.weights) == ["cls", "avg"]
    for name in found.vectors:
        torch.testing.assert_close(found.vectors[name], right)
        assert found.weights[name].tolist() == [[0.5, 0.5]] * 4


def test_a_sound_is_projected_for_every_expert():
    clips = make_clips(widths={"audio": 4})
    model = small(widths={"audio": 4}, vectors=("avg",))
    found = model(clips)
    assert list(found.vectors) == ["avg"]
    right = expected(model, clips, ("audio", "audio"))
    torch.testing.assert_close(found.vectors["avg"], right)


def test_padding_and_batch_change_nothing():
    expect_padding_and_batch_to_change_nothing(small())


def test_a_missing_stream_is_named():
    with pytest.raises(VarkitError, match=r"'motion' has no stream .* Did you mean 'motions'"):
        small(widths={"object": 5, "motions": 3})
