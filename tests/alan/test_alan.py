"""The whole method, of real components: its losses are the equations', its parts keep apart."""

import functools
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from varkit_alan.alignment import Avg, Cls
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.audio import Audio
from varkit_alan.bert import Bert
from varkit_alan.fixed_frame import FixedFrame
from varkit_alan.margin_ranking import MarginRanking
from varkit_alan.masking import hide_share
from varkit_alan.temporal_convolution import TemporalConvolution
from varkit_alan.two_stream import TwoStream
from varkit_alan.vpmpm import Vpmpm

from tests.support.alan import LENGTHS, choose, make_clips, samplers, shake, single
from tests.support.reference import alan_text
from tests.support.reference import alan_video as reference
from varkit.interfaces import Batch, Draws
from varkit.interfaces.settings import DetectorSettings
from varkit.model.retrieval import RetrievalModel, Weighted

DIM = 8
WIDTHS = {"object": 5, "motion": 3, "third": 4}
TEXTS = (
    "a man quickly smashes the window of a parked car",
    "fire",
    "two people are fighting in the street",
    "fire",
)
KINDS = ["captions", "sounds"]


@pytest.fixture
def build(tiny):
    def make(kind, *, experts=("object", "motion"), detector=True, pretext=True):
        torch.manual_seed(0)
        chosen = samplers() if detector else {"fixed": FixedFrame(count=6)}
        found = functools.partial(TemporalConvolution, hidden=(4, 2)) if detector else None
        size = {"heads": 2, "feedforward": 10, "dropout": 0.0}
        video = TwoStream(DIM, experts, WIDTHS, chosen, found, **size)
        if kind == "captions":
            query = Bert(DIM, experts, model=str(tiny), dropout=0.0, gate_norm="layer")
            task = Vpmpm(DIM, experts, query, mask="random_words", **size)
        else:
            query = Audio(DIM, experts, {"audio": 4}, chosen, found, gate_norm="layer", **size)
        model = RetrievalModel(
            video=video,
            query=query,
            alignments={"cls": Weighted(Cls(), 0.3), "avg": Weighted(Avg(), 0.7)},
            objective=MarginRanking(margin=0.2),
            pretexts={"mpm": Weighted(task, 0.01)} if pretext and kind == "captions" else None,
            detector=DetectorSettings(weight=0.1) if detector else None,
        )
        return shake(model).double().eval()

    return make


def batch_of(model, *, lengths=LENGTHS, texts=TEXTS, label=None):
    """As many pairs as there are lengths; sounds are clips of other lengths."""
    size = len(lengths)
    video = make_clips(lengths, WIDTHS)
    if isinstance(model.query, Bert):
        query = model.query.tokenize(texts[:size])
    else:
        query = make_clips(tuple(n + 2 for n in lengths), {"audio": 4}, seed=3)
    label = torch.tensor([1.0, 0.0, 1.0, 0.0])[:size] if label is None else label
    draws = Draws(0, tuple(f"pair-{b}" for b in range(size)))
    return Batch(video, query, label, torch.arange(size), draws)


def expected_video(model, clips, b, length):
    """The vectors, tokens and scores of a video."""
    streams = [clips.streams[name][b, :length].numpy() for name in ("object", "motion")]
    state, draw = reference.numpy_state(model.video), choose(clips.draws, b, length)
    return reference.two_stream(streams, state, draw, heads=2)


def expected_sound(model, clips, b, length):
    """The vectors and weights, by name, and the scores of a sound."""
    state, draw = reference.numpy_state(model.query), choose(clips.draws.named("sound"), b, length)
    stream, encoder = clips.streams["audio"][b, :length].numpy(), reference.part(state, "encoder.")
    g, h, _, scores, _ = reference.two_stream([stream], encoder, draw, heads=2)
    return *reference.gated_experts(g[0], h[0], reference.part(state, "head."), 2), scores


def expected_phrases(model, batch, states, tokens):
    captions = batch.query
    hidden = hide_share(captions, 0.15, batch.draws.named("vpmpm"))
    pairs = list(enumerate(captions.words))
    return alan_text.masked_phrase_loss(
        [states[b][r.numpy()] for b, r in pairs],
        [captions.ids[b][r].tolist() for b, r in pairs],
        [np.concatenate(x) for x in tokens],
        [hidden[b][r].nonzero()[:, 0].tolist() for b, r in pairs],
        reference.numpy_state(model.pretexts["mpm"]),
        heads=2,
        embeddings=model.query.language.word_embeddings.detach().numpy(),
    )


@pytest.mark.parametrize("kind", KINDS)
def test_losses_are_those_of_the_equations(build, kind):
    model = build(kind)
    batch = batch_of(model)
    seen = [expected_video(model, batch.video, b, n) for b, n in enumerate(LENGTHS)]
    labels = batch.label.tolist()
    topk = np.mean([reference.topk_bce(x[3], y) for x, y in zip(seen, labels, strict=True)])
    if kind == "captions":
        captions = batch.query
        states = model.query.language.encode(captions.ids, captions.mask).detach().numpy()
        vectors, weights = alan_text.text_tower(
            states,
            captions.words.numpy(),
            reference.numpy_state(model.query.head),
            experts=2,
            norm=alan_text.layer_norm,
        )
    else:
        heard = [expected_sound(model, batch.query, b, n + 2) for b, n in enumerate(LENGTHS)]
        vectors, weights = (
            {name: np.stack([x[part][name] for x in heard]) for name in ("cls", "avg")}
            for part in (0, 1)
        )
        topk += np.mean([reference.topk_bce(x[2], y) for x, y in zip(heard, labels, strict=True)])
    s = 0.0
    for part, (name, weight) in enumerate({"cls": 0.3, "avg": 0.7}.items()):
        whole = np.stack([x[part] for x in seen])
        s += weight * alan_text.similarity(whole, vectors[name], weights[name])
    expected = {"align": alan_text.ranking_loss(s, 0.2), "detector": topk}
    expected["total"] = expected["align"] + 0.1 * topk
    if kind == "captions":
        expected["mpm"] = expected_phrases(model, batch, states, [x[2] for x in seen])
        expected["total"] += 0.01 * expected["mpm"]
    found = {name: loss.item() for name, loss in model(batch).items()}
    assert found == pytest.approx(expected, rel=1e-7)
    similarity = model.similarity(model.video(batch.video), model.query(batch.query))
    np.testing.assert_allclose(similarity.detach(), s, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
def test_each_loss_reaches_its_own_parts_and_no_other(build, kind):
    model = build(kind).train()
    losses = model(batch_of(model))
    reached = {}
    for name in sorted(losses.keys() - {"total"}):
        model.zero_grad()
        losses[name].backward(retain_graph=True)
        gradients = {key: p.grad for key, p in model.named_parameters() if p.grad is not None}
        reached[name] = {key for key, gradient in gradients.items() if gradient.any()}
    detectors = {key for key, _ in model.named_parameters() if ".detector." in key}
    assert set() < reached["detector"] <= detectors
    assert not reached["align"] & detectors
    if kind == "captions":
        assert not reached["mpm"] & detectors
        assert any(key.startswith("video.projections") for key in reached["mpm"])
        assert any(key.startswith("query.language") for key in reached["mpm"])


def test_without_the_task_there_are_no_decoder_parameters(build):
    having, lacking = (build("captions", pretext=given).state_dict() for given in (True, False))
    assert any("decoder" in name for name in having)
    assert not any("decoder" in name or "pretext" in name for name in lacking)
    assert {name for name in having if not name.startswith("pretexts.")} == set(lacking)


def test_inference_never_touches_the_task(build):
    model = build("captions")

    def forbidden(*_):
        raise AssertionError("the pretext task ran")

    for module in model.pretexts["mpm"].modules():
        module.register_forward_pre_hook(forbidden)
    batch = batch_of(model)
    video, query = model.video(batch.video), model.query(batch.query)
    assert model.similarity(video, query).shape == (4, 4)
    assert model.factors(query, "query").shape == (4, 2 * 2 * DIM)
    with pytest.raises(AssertionError, match="the pretext task ran"):
        model(batch)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
@pytest.mark.parametrize("lengths", [LENGTHS, (5,), (1, 1, 1, 1)], ids=str)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"experts": ("object",)},
        {"experts": ("object", "motion", "third")},
        {"detector": False},
        {"label": math.nan},
        {"label": 0.0},
        {"label": 1.0},
    ],
    ids=str,
)
def test_a_step_is_finite_whatever_comes(build, kind, precision, lengths, options):
    label = torch.full((len(lengths),), options["label"]) if "label" in options else None
    model = build(kind, **{name: x for name, x in options.items() if name != "label"})
    model = model.float().train()
    batch = batch_of(model, lengths=lengths, texts=(TEXTS[1],) * 4, label=label)
    batch = replace(batch, video=single(batch.video))
    if kind == "sounds":
        batch = replace(batch, query=single(batch.query))
    with torch.autocast("cpu", dtype=precision):
        losses = model(batch)
    losses["total"].backward()
    assert all(loss.isfinite() and loss.dtype == torch.float32 for loss in losses.values())
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert ("detector" in losses) == options.get("detector", True)
    if label is not None and label.isnan().all():
        assert losses["detector"] == 0
    if len(lengths) == 1:
        assert losses["align"] == 0


def test_at_great_temperature_the_detector_decides_nothing(build):
    models = [build("sounds"), build("sounds")]
    for scale, model in zip((1.0, -1.0), models, strict=True):
        model.video.samplers["anomaly"] = AnomalyLed(count=4, temperature=1e9)
        with torch.no_grad():
            model.video.detector.convolutions[-1].weight.mul_(scale * 50)
    clips = make_clips(widths=WIDTHS)
    first, second = (model.video(clips) for model in models)
    assert not torch.allclose(first.scores, second.scores)
    assert torch.equal(first.picks["anomaly"], second.picks["anomaly"])
