import functools
from dataclasses import replace

import pytest
import torch
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.audio import Audio
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_alan.two_stream import TwoStream

from tests.support import alan
from tests.support.alan import LENGTHS, choose, make_clips, samplers, shake
from tests.support.reference import alan_video as reference
from varkit.errors import VarkitError

WIDTHS = {"audio": 4}
EXPERTS = ("object", "motion")
DETECTOR = functools.partial(TemporalConvolution, hidden=(4, 2))


def small(widths=WIDTHS, experts=EXPERTS, detector=DETECTOR, **options):
    torch.manual_seed(0)
    options = {"heads": 2, "feedforward": 10, "dropout": 0.0, **options}
    return shake(Audio(8, experts, widths, samplers(), detector, **options)).double().eval()


def sounds(**options):
    return make_clips(widths=WIDTHS, **options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"gate_norm": "layer"},
        {"weights_from": "ungated"},
        {"weights": "separate"},
        {"position": "order", "normalize": True},
    ],
    ids=str,
)
def test_encoder_equals_the_reference(options):
    model = small(**options)
    if options.get("gate_norm") != "layer":
        model.train()(sounds(seed=9))
        model.eval()
    clips = sounds()
    found, state = model(clips), reference.numpy_state(model)
    of_encoder = {name: options[name] for name in ("position", "normalize") if name in options}
    of_head = {name: options[name] for name in ("weights_from", "weights") if name in options}
    for b, length in enumerate(LENGTHS):
        g, h, tokens, scores, picks = reference.two_stream(
            [clips.streams["audio"][b, :length].numpy()],
            reference.part(state, "encoder."),
            choose(clips.draws.named("sound"), b, length),
            heads=2,
            **of_encoder,
        )
        head = reference.part(state, "head.")
        vectors, weights = reference.gated_experts(g[0], h[0], head, 2, **of_head)
        assert [found.picks[name][b].tolist() for name in ("fixed", "anomaly")] == picks
        pairs = [(found.tokens["audio"][b], tokens[0]), (found.scores[b, :length], scores)]
        for name in ("cls", "avg"):
            pairs.append((found.vectors[name][b], vectors[name]))
            pairs.append((found.weights[name][b], weights[name]))
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-7, atol=1e-8)


def test_padding_batch_and_order_change_nothing():
    alan.expect_padding_and_batch_to_change_nothing(small(), sounds)


def test_a_sound_called_as_its_video_has_picks_of_its_own():
    # Picks that only a sound and its own video share would tell who belongs to whom.
    chosen = {"anomaly": AnomalyLed(count=20, temperature=1e9), "fixed": FixedFrame(count=20)}
    clips = make_clips((300, 200), {"audio": 4, "object": 4})
    alone = replace(clips, streams={"audio": clips.streams["audio"]})
    size = {"heads": 2, "feedforward": 10}
    video = TwoStream(8, ("object",), {"object": 4}, chosen, DETECTOR, **size).double()
    sound = Audio(8, EXPERTS, WIDTHS, chosen, DETECTOR, **size).double()
    for training, names in ((True, ("fixed", "anomaly")), (False, ("anomaly",))):
        seen = video.train(training)(clips).picks
        heard = sound.train(training)(alone).picks
        assert not any((seen[name] == heard[name]).all(dim=1).any() for name in names)


def test_a_batch_of_one_needs_layer_normalisation():
    with pytest.raises(VarkitError, match="batch of 1"):
        small().train()(sounds(lengths=(5,)))
    assert small(gate_norm="layer").train()(sounds(lengths=(5,))).vectors["cls"].shape == (1, 2, 8)


def test_without_a_detector():
    torch.manual_seed(0)
    model = Audio(8, EXPERTS, {"any": 4}, {"fixed": FixedFrame(count=3)}, None, heads=2)
    found = model.double().eval()(make_clips(widths={"any": 4}))
    assert model.detector is None
    assert found.scores is None


@pytest.mark.parametrize(("widths", "hint"), [({}, "bert"), ({"a": 3, "b": 4}, "one stream")])
def test_a_sound_has_one_stream(widths, hint):
    with pytest.raises(VarkitError, match="exactly one stream") as caught:
        small(widths=widths)
    assert hint in caught.value.hint
