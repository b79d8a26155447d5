import functools
from dataclasses import replace

import pytest
import torch
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_alan.two_stream import TwoStream

from tests.support import alan
from tests.support.alan import LENGTHS, WIDTHS, make_clips, samplers, shake, single
from tests.support.reference import alan_video as reference
from varkit.errors import VarkitError

DETECTOR = functools.partial(TemporalConvolution, hidden=(4, 2))
EXPERTS = ("object", "motion")


def small(experts=EXPERTS, widths=WIDTHS, chosen=None, detector=DETECTOR, **options):
    torch.manual_seed(0)
    chosen = samplers() if chosen is None else chosen
    options = {"heads": 2, "feedforward": 10, "dropout": 0.0, **options}
    return shake(TwoStream(8, experts, widths, chosen, detector, **options)).double().eval()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"position": "order", "positions": 3},
        {"position": "absolute", "position_table": "sinusoid", "positions": 9},
        {"normalize": True},
        {"detector_input": "projected"},
        {"detector_input": "projected", "normalize": True},
        {"self_layers": 2, "cross_layers": 2},
        {"cross_layers": 0},
        {"experts": ("motion",)},
        {"experts": ("object", "motion", "third"), "widths": {**WIDTHS, "third": 2}},
    ],
    ids=str,
)
def test_encoder_equals_the_reference(options):
    model = small(**options)
    clips = make_clips(widths=options.get("widths", WIDTHS))
    experts = options.get("experts", EXPERTS)
    found, state = model(clips), reference.numpy_state(model)
    told = ("position", "positions", "normalize", "self_layers", "cross_layers")
    for b, length in enumerate(LENGTHS):
        g, h, tokens, scores, picks = reference.two_stream(
            [clips.streams[name][b, :length].numpy() for name in experts],
            state,
            alan.choose(clips.draws, b, length),
            heads=2,
            projected=options.get("detector_input") == "projected",
            **{name: options[name] for name in told if name in options},
        )
        assert [found.picks[name][b].tolist() for name in ("fixed", "anomaly")] == picks
        pairs = [
            (found.vectors["cls"][b], g),
            (found.vectors["avg"][b], h),
            (found.scores[b, :length], scores),
            *((found.tokens[name][b], x) for name, x in zip(experts, tokens, strict=True)),
        ]
        for ours, theirs in pairs:
            torch.testing.assert_close(ours, torch.from_numpy(theirs), rtol=1e-6, atol=1e-6)


def test_shapes_and_names():
    found = small()(make_clips())
    assert {name: x.shape for name, x in found.vectors.items()} == dict.fromkeys(
        ("cls", "avg"), (4, 2, 8)
    )
    assert list(found.tokens) == list(found.masks) == list(EXPERTS)
    for name, x in found.tokens.items():
        assert x.shape == (4, 10, 8)
        assert torch.equal(found.masks[name], torch.ones(4, 10, dtype=torch.bool))
    assert {n: x.tolist() for n, x in found.weights.items()} == {
        name: [[0.5, 0.5]] * 4 for name in found.vectors
    }
    assert {n: x.shape for n, x in found.picks.items()} == {"fixed": (4, 6), "anomaly": (4, 4)}


def test_a_stream_that_a_video_lacks_has_no_vectors_and_no_tokens():
    clips = make_clips()
    present = {"motion": torch.tensor([True, False, True, True])}
    found = small()(replace(clips, present=present))
    whole = small()(clips)
    for name, vectors in found.vectors.items():
        assert not vectors[1, 1].any()
        assert found.weights[name].tolist() == [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]]
        torch.testing.assert_close(vectors[[0, 2, 3]], whole.vectors[name][[0, 2, 3]])
    assert found.masks["motion"].any(dim=1).tolist() == [True, False, True, True]
    assert found.masks["object"].all()


@pytest.mark.parametrize("detector_input", ["raw", "projected"])
def test_padding_batch_and_order_change_nothing(detector_input):
    alan.expect_padding_and_batch_to_change_nothing(small(detector_input=detector_input))


def gradients(model, loss):
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return {name for name, g in zip(names, found, strict=True) if g is not None and g.any()}


def losses(model):
    found, clips = model(make_clips()), make_clips()
    tensors = [*found.vectors.values(), *found.tokens.values()]
    weights = [torch.arange(x.numel()).view_as(x).sin() for x in tensors]
    ranking = sum((x * w).sum() for x, w in zip(tensors, weights, strict=True))
    label = torch.tensor([0.0, 1, 1, 0])
    return ranking, model.detector.loss(found.scores, clips.mask, label)


def test_a_projected_detector_teaches_the_projection_alone():
    model = small(detector_input="projected").train()
    ranking, detector = losses(model)
    assert not any("detector" in name for name in gradients(model, ranking))
    outside = {name for name in gradients(model, detector) if not name.startswith("detector.")}
    assert outside == {f"projections.{s}.linear.{p}" for s in (0, 1) for p in ("weight", "bias")}


def test_streams_share_no_weights_and_all_of_them_learn():
    model = small().train()
    ranking, detector = losses(model)
    reached = gradients(model, ranking + detector)
    assert {name for name, p in model.named_parameters() if p.requires_grad} == reached
    assert len({p.data_ptr() for p in model.parameters()}) == len(list(model.parameters()))


def test_training_and_evaluation_draw_differently_and_samplers_independently():
    twins = {"one": AnomalyLed(count=9), "two": AnomalyLed(count=9)}
    model, clips = small(chosen={**samplers(), **twins}), make_clips((200, 150))
    evaluated = model(clips).picks
    trained = model.train()(clips).picks
    assert not torch.equal(evaluated["fixed"], trained["fixed"])
    assert torch.equal(trained["fixed"], model(clips).picks["fixed"])
    assert not torch.equal(evaluated["one"], evaluated["two"])


def test_samplers_see_scores_without_their_gradient():
    seen = []

    def watching(scores, mask, draws, *, training):
        seen.append(scores.requires_grad)
        return torch.zeros(len(mask), 1, dtype=torch.int64)

    found = small(chosen={"mine": watching}).train()(make_clips())
    assert found.scores.requires_grad
    assert seen == [False]


@pytest.mark.parametrize("names", [("fixed",), ("anomaly",), ("fixed", "anomaly", "more")])
def test_any_number_of_samplers(names):
    chosen = {"more": FixedFrame(count=3), **samplers()}
    model = small(chosen={name: chosen[name] for name in names})
    found = model(make_clips())
    total = sum(chosen[name].count for name in names)
    assert found.tokens["object"].shape == (4, total, 8)
    assert model.embeddings[0].sequence.shape == (len(names), 8)


def test_without_a_detector_there_are_no_scores():
    model = small(chosen={"fixed": FixedFrame(count=6)}, detector=None)
    found = model(make_clips())
    assert found.scores is None
    assert model.detector is None
    with pytest.raises(VarkitError, match="no detector"):
        small(detector=None)(make_clips())


def test_a_batch_of_one_trains():
    model = small().train()
    found = model(make_clips((1,)))
    loss = sum(x.square().mean() for x in found.vectors.values())
    loss = loss + model.detector.loss(found.scores, make_clips((1,)).mask, torch.ones(1))
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_mixed_precision_stays_finite():
    model, clips = small().float().train(), single(make_clips())
    with torch.autocast("cpu", torch.bfloat16):
        found = model(clips)
    assert found.scores.dtype == torch.float32
    for x in found.vectors.values():
        assert torch.isfinite(x).all()
        assert x.shape == (4, 2, 8)


def test_the_paper_s_sizes_are_the_default():
    chosen, widths = {"fixed": FixedFrame(), "anomaly": AnomalyLed()}, dict.fromkeys(EXPERTS, 1024)
    with torch.device("meta"):
        model = TwoStream(768, EXPERTS, widths, chosen, TemporalConvolution)
    assert model.detector.convolutions[0].in_channels == 2048
    assert model.self_encoders[0].layers[0].linear1.out_features == 3072
    assert model.self_encoders[0].layers[0].self_attn.num_heads == 12
    assert model.embeddings[0].table.shape == (101, 768)
    assert len(model.cross_encoders) == 1


def test_a_missing_stream_or_sampler_is_named():
    with pytest.raises(VarkitError, match=r"'motion' has no stream .* Did you mean 'motions'"):
        small(widths={"object": 5, "motions": 3})
    with pytest.raises(VarkitError, match="no sampler"):
        small(chosen={})


@pytest.mark.parametrize(
    ("picks", "message"),
    [
        (lambda mask: torch.zeros(len(mask), 3), "positions of real clips"),
        (lambda mask: torch.zeros(3, dtype=torch.int64), "must be a tensor of shape"),
        (lambda mask: torch.full((len(mask), 3), 5), "positions of real clips"),
        (lambda mask: torch.full((len(mask), 3), -1), "positions of real clips"),
    ],
)
def test_a_faulty_sampler_is_named(picks, message):
    def faulty(scores, mask, draws, *, training):
        return picks(mask)

    with pytest.raises(VarkitError, match=rf"samplers\.mine: .*{message}"):
        small(chosen={"mine": faulty})(make_clips())
