"""The adapters: nothing before the first step, windows by hand, padding, and what is refused."""

import math

import pytest
import torch
from varkit_varcmp.adapters import Bottleneck, TemporalAdapter, WindowedAttention
from varkit_varcmp.alignment import Hierarchical
from varkit_varcmp.audio import ClipAudio
from varkit_varcmp.pool import FrozenPool
from varkit_varcmp.text import ClipText
from varkit_varcmp.video import ClipVideo

from tests.support.alan import assert_same, make_clips, random, shake, take
from tests.support.varcmp import DIM, LEVELS, SOUND, WIDTHS, of_features
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.testing.stand_ins import Linear


def video(detector=None, widths=WIDTHS, dim=DIM, **options):
    options = {"patches": "patches", "window": 4, "heads": 2} | options
    return ClipVideo(dim, ("clip",), widths, detector, **options).double().eval()


def text(**options):
    return ClipText(DIM, ("clip",), SOUND, **options).double().eval()


def audio(detector=None):
    return ClipAudio(DIM, ("clip",), SOUND, detector, window=4, heads=2).double().eval()


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_at_first_the_scores_are_those_of_the_features_as_they_are(kind):
    """Bit for bit, whatever the detector says."""
    clips = make_clips(widths=WIDTHS, garbage=0.0)
    asked = make_clips((6, 2, 17), SOUND, garbage=0.0)
    alignment = Hierarchical(levels=LEVELS[kind]).double()
    encode = text() if kind == "text" else audio(Linear)
    with torch.no_grad():
        found = alignment.similarity(video(Linear)(clips), encode(asked))
        assert torch.equal(found, alignment.similarity(*of_features(clips, asked, kind)))
        pooled = FrozenPool(DIM, ("clip",), SOUND, rows="first" if kind == "text" else "mean")
        zero_shot = FrozenPool(DIM, ("clip",), WIDTHS)(clips).vectors["avg"]
        semantic = Hierarchical(levels=("semantic",)).double()
        assert torch.equal(
            semantic.similarity(video(Linear)(clips), encode(asked)),
            unit(zero_shot[:, 0]) @ unit(pooled(asked).vectors["avg"][:, 0]).T,
        )


def test_what_is_trained_changes_the_tokens():
    clips = make_clips(widths=WIDTHS)
    before, after = video()(clips), shake(video())(clips)
    for name in ("frames", "patches"):
        assert not torch.allclose(before.tokens[name], after.tokens[name])


@pytest.mark.parametrize("shift", [0, 1, 3])
def test_attention_stays_within_its_window(shift):
    """By hand: every window of every item alone, cut out where it lies."""
    torch.manual_seed(0)
    layer = shake(WindowedAttention(DIM, heads=2, window=4, shift=shift)).double()
    clips = make_clips(widths={"clip": DIM}, garbage=0.0)
    x = clips.streams["clip"]
    found = layer(x, clips.mask)
    for b, length in enumerate(clips.mask.sum(1).tolist()):
        for t in range(length):
            start = (t + shift) // 4 * 4 - shift
            inside = [s for s in range(start, start + 4) if 0 <= s < length]
            h = layer.norm(x[b, inside]) + layer.position[[s - start for s in inside]]
            seen, _ = layer.attention(h[None], h[None], h[None])
            right = x[b, t] + layer.gate * seen[0, inside.index(t)]
            torch.testing.assert_close(found[b, t], right, rtol=0, atol=1e-12)


def test_the_bottleneck_is_what_it_says():
    layer = shake(Bottleneck(DIM, 4)).double()
    x = random(3, DIM)
    hidden = x @ layer.down.weight.T + layer.down.bias
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    torch.testing.assert_close(layer(x), x + hidden @ layer.up.weight.T + layer.up.bias)
    assert layer.down.out_features == 2
    assert Bottleneck(2, 4).down.out_features == 1


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_clips_see_one_another_across_windows_through_shifted_layers(layers):
    torch.manual_seed(0)
    adapter = shake(TemporalAdapter(DIM, layers=layers, heads=2, window=4, reduction=4)).double()
    x = torch.randn(1, 12, DIM, dtype=torch.float64, requires_grad=True)
    adapter(x, torch.ones(1, 12, dtype=torch.bool))[0, 4].sum().backward()
    reached = x.grad[0].any(dim=1).nonzero().flatten().tolist()
    assert reached == {0: [4], 1: [4, 5, 6, 7], 3: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}[layers]


@pytest.mark.parametrize("build", [video, audio, text], ids=["video", "audio", "text"])
def test_padding_and_batch_change_nothing(build):
    widths, model = WIDTHS if build is video else SOUND, shake(build())
    clips = make_clips(widths=widths, garbage=0.0)
    together = model(clips)
    assert not any(tokens[~clips.mask].any() for tokens in together.tokens.values())
    for garbage in (7.0, math.nan):
        padded = model(make_clips(widths=widths, extra=5, garbage=garbage))
        for name, tokens in padded.tokens.items():
            torch.testing.assert_close(tokens[:, :17], together.tokens[name], rtol=0, atol=1e-12)
            assert not tokens[:, 17:].any()
        torch.testing.assert_close(padded.vectors["avg"], together.vectors["avg"])
        model.zero_grad()
        sum(tokens[padded.masks[name]].sum() for name, tokens in padded.tokens.items()).backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    alone = model(take(clips, [1]))
    torch.testing.assert_close(alone.vectors["avg"][0], together.vectors["avg"][1])


def test_the_first_row_of_a_caption_is_the_whole_unless_it_is_alone():
    clips = make_clips((4, 1), SOUND)
    found = text(vectors=("cls", "avg"))(clips)
    assert found.masks["words"].tolist() == [[False, True, True, True], [True, False, False, False]]
    rows = unit(clips.streams["audio"])
    for name in ("cls", "avg"):
        torch.testing.assert_close(found.vectors[name][:, 0], rows[:, 0])
        assert found.weights[name].tolist() == [[1.0], [1.0]]


def test_a_detector_reads_the_features_as_they_come():
    clips = make_clips(widths=WIDTHS)
    model = video(Linear)
    scores = model.detector(clips.streams["clip"], clips.mask)
    torch.testing.assert_close(model(clips).scores, scores)
    assert video()(clips).scores is None


def test_the_mean_of_frames_by_hand():
    clips = make_clips(widths={"clip": DIM})
    found = FrozenPool(DIM, ("clip",), {"clip": DIM})(clips)
    for b, length in enumerate(clips.mask.sum(1).tolist()):
        rows = clips.streams["clip"][b, :length]
        right = sum(row / row.norm() for row in rows) / length
        torch.testing.assert_close(found.vectors["avg"][b, 0], right)
    assert_same(FrozenPool(DIM, ("clip",), {"clip": DIM})(take(clips, [3, 0])), found, [3, 0])


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (lambda: video(dim=6), r"'clip' is 8 wide; it must be model.dim = 6"),
        (lambda: video(widths={"clips": 8}), r"no stream 'clip'.*Did you mean 'clips'"),
        (lambda: video(widths={"clip": 8, "patches": 12}), r"a multiple of model.dim = 8"),
        (lambda: video(heads=3), r"heads=3 does not divide model.dim=8"),
        (lambda: ClipText(8, ("a", "b"), SOUND), r"one expert; the recipe has a, b"),
        (lambda: ClipText(8, ("clip",), {}), r"exactly one stream; these have 0: none"),
        (lambda: ClipAudio(4, ("clip",), SOUND, None), r"'audio' is 8 wide"),
        (lambda: FrozenPool(4, ("clip",), {"clip": 8}), r"'clip' is 8 wide"),
        (lambda: FrozenPool(4, ("clip",), {"a": 8, "b": 8}), r"exactly one stream"),
    ],
)
def test_what_does_not_fit_is_named(build, said):
    with pytest.raises(VarkitError, match=said):
        build()
