import numpy as np
import pytest
import torch

from tests.support.alan import random, shake
from tests.support.reference import alan_video as reference
from varkit.blocks.transformer import (
    CrossAttention,
    CrossEncoder,
    SelfEncoder,
    TokenEmbedding,
    readout,
    sinusoid,
)
from varkit.errors import VarkitError


def embedding(sequences=2, **options):
    chosen = {"position": "relative", "position_table": "learned", "positions": 7, "dropout": 0.0}
    return shake(TokenEmbedding(6, sequences, **{**chosen, **options})).double().eval()


@pytest.mark.parametrize("position", ["relative", "order", "absolute"])
@pytest.mark.parametrize("position_table", ["learned", "sinusoid"])
def test_embedding_equals_the_reference(position, position_table):
    module = embedding(position=position, position_table=position_table)
    tokens = [random(3, 4, 6), random(3, 9, 6)]
    picks = [
        torch.tensor([[0, 2, 5, 9], [0, 0, 0, 0], [10, 20, 30, 60_999]]),
        torch.tensor([list(range(1, 10)), [0] * 9, list(range(9))]),
    ]
    length = torch.tensor([10, 1, 61_000])
    found = module(tokens, picks, length)
    for b in range(3):
        expected = reference.embed(
            [x[b].numpy() for x in tokens],
            [chosen[b].tolist() for chosen in picks],
            int(length[b]),
            reference.numpy_state(module),
            position=position,
            positions=7,
        )
        torch.testing.assert_close(found[b], torch.from_numpy(expected), rtol=1e-6, atol=1e-6)


def test_every_part_of_a_video_has_its_bin():
    picks = torch.tensor([[0, 609, 610, 30_500, 60_999]])
    bins = embedding(positions=100)._position(picks, torch.tensor([[61_000]]))
    assert bins[0].tolist() == [1, 1, 2, 51, 100]


def test_sinusoid_takes_odd_widths():
    np.testing.assert_allclose(sinusoid(5, 7), reference.sinusoid(5, 7), atol=1e-6)


def test_a_fixed_table_is_no_state():
    assert "table" in embedding().state_dict()
    assert "table" not in embedding(position_table="sinusoid").state_dict()


@pytest.mark.parametrize("training", [True, False])
def test_self_encoder_equals_the_reference(training):
    # In evaluation torch takes another route through the layer.
    module = shake(SelfEncoder(6, layers=2, heads=3, feedforward=5, dropout=0.0)).double()
    module.train(training)
    z, state = random(2, 4, 6), reference.numpy_state(module)
    with torch.set_grad_enabled(training):
        found = module(z)
    for b in range(2):
        expected = z[b].numpy()
        for i in range(2):
            expected = reference.self_layer(expected, state, f"layers.{i}.", 3)
        torch.testing.assert_close(found[b].detach(), torch.from_numpy(expected))


def test_layers_start_different():
    first, second = SelfEncoder(6, layers=2, heads=3, feedforward=None, dropout=0.0).layers
    assert first.linear1.out_features == 24
    assert not torch.equal(first.linear1.weight, second.linear1.weight)


def test_cross_encoder_shows_every_stream_all_others():
    module = CrossEncoder(6, 3, heads=2, dropout=0.0).double().eval()
    streams = [random(2, n, 6) for n in (3, 4, 5)]
    before = module(streams)
    for s in range(3):
        changed = [x + (k == s) * random(*x.shape) for k, x in enumerate(streams)]
        after = module(changed)
        assert not any(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    torch.testing.assert_close(
        before[1], module.attend[1](streams[1], torch.cat([streams[0], streams[2]], dim=1))
    )


def test_cross_encoder_does_not_look_at_an_absent_stream():
    module = CrossEncoder(6, 3, heads=2, dropout=0.0).double().eval()
    streams = [random(3, n, 6) for n in (3, 4, 5)]
    absent = torch.tensor([[False, False, False], [False, True, False], [False, True, True]])
    found = module(streams, absent)
    torch.testing.assert_close([x[0] for x in found], [x[0] for x in module(streams)])
    attend = module.attend[0]
    alone = attend(streams[0][1:2], streams[2][1:2])
    torch.testing.assert_close(found[0][1:2], alone)
    assert torch.equal(found[0][2], attend.norm(streams[0][2]))


def test_readout_weighs_sequences_alike():
    cls_1, cls_2, u, r = (
        torch.full((1, n, 2), v) for n, v in ((1, 1.0), (1, 3.0), (4, 5.0), (2, 9.0))
    )
    g, h, clips = readout(torch.cat([cls_1, u, cls_2, r], dim=1), [4, 2])
    assert (g.tolist(), h.tolist()) == ([[2.0, 2.0]], [[7.0, 7.0]])
    assert torch.equal(clips, torch.cat([u, r], dim=1))


@pytest.mark.parametrize("make", [SelfEncoder, CrossAttention])
def test_heads_must_divide_the_width(make):
    more = {"layers": 1, "feedforward": None} if make is SelfEncoder else {}
    with pytest.raises(VarkitError, match=r"heads=12 .* model.dim=20") as caught:
        make(20, heads=12, dropout=0.1, **more)
    assert "1, 2, 4, 5, 10" in caught.value.hint
