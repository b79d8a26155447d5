"""The hierarchy against loops, what its weights promise, and what it costs."""

from dataclasses import replace

import pytest
import torch
from varkit_varcmp import alignment as module
from varkit_varcmp.alignment import Hierarchical
from varkit_varcmp.weighting import biased_weights, kept

from tests.support.alan import random
from tests.support.varcmp import KAPPA, LEVELS, expected, make, padded
from varkit.errors import VarkitError
from varkit.testing.probes import select

PAIRS = [(kind, level) for kind, levels in LEVELS.items() for level in levels]


def build(*levels, **options):
    options = {"kappa": KAPPA, "keep": 1.0} | options
    return Hierarchical(levels=levels, **options).double()


def score(alignment, video, query):
    with torch.no_grad():
        return alignment.similarity(video, query)


def expect_equal(found, right, atol=1e-12):
    torch.testing.assert_close(found, right, rtol=0, atol=atol)


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.01])
@pytest.mark.parametrize(("beta", "kappa"), [(0.0, KAPPA), (2.5, KAPPA), (2.5, 0)])
@pytest.mark.parametrize(("kind", "level"), PAIRS)
def test_every_level_agrees_with_loops(kind, level, beta, keep, kappa):
    video, query = make(kind)
    options = {"beta": beta, "keep": keep, "kappa": kappa}
    found = score(build(level, **options), video, query)
    expect_equal(found, expected(video, query, level, **options))


@pytest.mark.parametrize("delta", [0, 1, 20])
def test_the_band_around_a_sound(delta):
    video, query = make("audio", frames=9)
    found = score(build("temporal", delta=delta), video, query)
    expect_equal(found, expected(video, query, "temporal", beta=0, keep=1, delta=delta))


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_the_whole_is_the_levels_by_gamma(kind):
    video, query = make(kind)
    alignment = build(*LEVELS[kind], beta=1.0)
    with torch.no_grad():
        alignment.gamma.copy_(torch.linspace(-1, 2, len(LEVELS[kind])))
    gamma = alignment.gamma.softmax(0)
    parts = [expected(video, query, level, beta=1, keep=1) for level in LEVELS[kind]]
    whole = sum(g * part for g, part in zip(gamma.tolist(), parts, strict=True))
    expect_equal(score(alignment, video, query), whole)


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_without_patches_is_as_if_their_gamma_was_zero(kind):
    video, query = make(kind)
    without = {name: x for name, x in video.tokens.items() if name != "patches"}
    some, every = build(*LEVELS[kind][:-1]), build(*LEVELS[kind])
    with torch.no_grad():
        every.gamma[-1] = -torch.inf
    found = score(some, replace(video, tokens=without), query)
    expect_equal(found, score(every, video, query), atol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_weights_sum_to_one_over_the_frames_allowed_and_beta_0_is_relevance_alone(beta):
    numbers = torch.Generator().manual_seed(0)
    relevance = torch.randn(3, 6, 4, generator=numbers, dtype=torch.float64)
    prior = torch.rand(3, 6, 1, generator=numbers, dtype=torch.float64)
    allowed = torch.rand(3, 6, 4, generator=numbers) < 0.5
    allowed[:, 2] = True
    options = {"kappa": KAPPA, "beta": torch.tensor(beta).double()}
    weights = biased_weights(relevance, prior, allowed, **options)
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 4).double())
    assert not weights[~allowed].any()
    assert (weights[allowed] > 0).all()
    plain = (KAPPA * relevance).masked_fill(~allowed, -torch.inf).softmax(1)
    assert torch.equal(weights, plain) == (beta == 0)


def test_the_prior_moves_weight_to_anomalous_frames():
    video, query = make(videos=1, queries=1)
    calm, alarmed = (replace(video, scores=torch.zeros_like(video.scores)) for _ in range(2))
    relevance = video.tokens["frames"][0] @ query.vectors["avg"][0, 0]
    alarmed.scores[0, relevance.argmin()] = 1
    scores = [score(build("fine", beta=50.0), v, query) for v in (calm, alarmed)]
    assert scores[1] < scores[0]
    assert torch.equal(*(score(build("fine", beta=0.0), v, query) for v in (calm, alarmed)))


@pytest.mark.parametrize(("many", "keep", "left"), [(7, 0.5, 4), (10, 0.7, 7), (3, 0.01, 1)])
def test_a_share_of_the_frames_is_kept_rounded_up(many, keep, left):
    logits = torch.randn(2, many + 2, 3, generator=torch.Generator().manual_seed(1))
    counts = torch.zeros(2, many + 2, 3, dtype=torch.bool)
    counts[:, :many] = True
    found = kept(logits, counts, keep)
    assert found.sum(1).unique().tolist() == [left]
    assert not found[~counts].any()
    least = logits.masked_fill(~found, torch.inf).amin(1)
    assert (least >= logits.masked_fill(found | ~counts, -torch.inf).amax(1)).all()
    assert kept(torch.zeros(1, 4, 1), torch.ones(1, 4, 1).bool(), 0.5).all(), "all tie"


def test_the_order_of_time_matters_to_the_temporal_level_alone():
    video, query = make("audio", videos=2, frames=9)
    full, sound = (torch.ones(size, dtype=torch.bool) for size in ((2, 9), (4, 10)))
    tokens = {name: random(*x.shape) for name, x in video.tokens.items()}
    video = replace(video, tokens=tokens, masks=dict.fromkeys(tokens, full), scores=None)
    query = replace(query, masks={"sounds": sound}, scores=None)
    order = torch.tensor([4, 0, 8, 2, 6, 1, 7, 3, 5])
    moved = replace(video, tokens={name: x[:, order] for name, x in video.tokens.items()})
    for level in ("semantic", "fine", "temporal"):
        before, after = (score(build(level), v, query) for v in (video, moved))
        same = torch.allclose(before, after, rtol=0, atol=1e-12)
        assert same == (level != "temporal"), level


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_padding_and_neighbours_change_nothing(kind):
    video, query = make(kind)
    alignment = build(*LEVELS[kind], beta=1.0, keep=0.5)
    right = score(alignment, video, query)
    expect_equal(score(alignment, padded(video, 5), padded(query, 3)), right)
    expect_equal(score(alignment, select(video, [1]), select(query, [2])), right[1:2, 2:3])


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_one_frame_is_enough(kind):
    video, query = make(kind, videos=1, queries=1, frames=1)
    found = score(build(*LEVELS[kind], beta=1.0, keep=0.5), video, query)
    parts = [expected(video, query, level, beta=1, keep=0.5) for level in LEVELS[kind]]
    expect_equal(found, sum(parts) / len(parts))


def test_a_frame_long_after_the_sound_does_not_count():
    video, query = make("audio", videos=1, queries=1, frames=9)
    short = replace(query, masks={"sounds": torch.arange(10)[None] < 2})
    late = torch.arange(9)[None, :, None] >= 5
    changed = {name: x.masked_fill(late, 7.0) for name, x in video.tokens.items()}
    alignment = build("fine", "temporal", "spatial", delta=2)
    found = (score(alignment, seen, short) for seen in (video, replace(video, tokens=changed)))
    assert torch.equal(*found)


def test_tiles_change_neither_similarity_nor_gradient():
    video, query = make(queries=5)
    found = []
    for tile in (1, 10**9):
        alignment = build("semantic", "fine", "spatial", beta=1.0, keep=0.5, tile=tile)
        frames = video.tokens["frames"].clone().requires_grad_()
        seen = replace(video, tokens=video.tokens | {"frames": frames})
        similarity = alignment.similarity(seen, query)
        similarity.square().sum().backward()
        found.append((similarity.detach(), frames.grad, alignment.beta.grad, alignment.gamma.grad))
    for one, other in zip(*found, strict=True):
        expect_equal(one, other)
        assert one.any()


def test_no_more_than_a_tile_is_in_memory(monkeypatch):
    sizes = []
    original = module.words_of_frames

    def watched(frames, words, *rest, **more):
        sizes.append(frames.shape[0] * frames.shape[1] * words.shape[0] * words.shape[1])
        return original(frames, words, *rest, **more)

    monkeypatch.setattr(module, "words_of_frames", watched)
    video, query = make(videos=3, queries=8, frames=7)
    score(build("fine", tile=3 * 7 * 5 * 3), video, query)
    assert sizes == [3 * 7 * 5 * n for n in (3, 3, 2)]


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_gradcheck(kind):
    video, query = make(kind, videos=2, queries=2, frames=3, dim=3)
    alignment = build(*LEVELS[kind], beta=1.0, prior_gradient=True)
    name = "words" if kind == "text" else "sounds"
    given = (video.tokens["frames"], video.tokens["patches"], query.tokens[name], video.scores)
    leaves = [x.clone().requires_grad_() for x in given]

    def function(frames, patches, finer, scores):
        tokens = {"frames": frames, "patches": patches}
        seen = replace(video, tokens=tokens, scores=scores)
        return alignment.similarity(seen, replace(query, tokens={name: finer}))

    # Padding is 0, where a unit vector has no derivative but the one that is asked for.
    mask = torch.ones(2, 3, dtype=torch.bool)
    video = replace(video, masks=dict.fromkeys(video.masks, mask))
    with torch.no_grad():
        for leaf in leaves:
            leaf += 0.1 * random(*leaf.shape, seed=3)
    assert torch.autograd.gradcheck(function, leaves)


def test_the_alignment_teaches_the_detector_only_where_it_is_told_to():
    video, query = make()
    for told in (False, True):
        scores = video.scores.clone().requires_grad_()
        alignment = build("fine", beta=1.0, prior_gradient=told)
        alignment.similarity(replace(video, scores=scores), query).sum().backward()
        assert (scores.grad is not None) == told
        assert alignment.beta.grad.abs() > 0


def test_beta_never_counts_below_zero_and_comes_back_from_there():
    """An optimiser's step may take it there; it must go on learning."""
    video, query = make()
    for below in (-3.0, -0.1):
        alignment = build("fine")
        with torch.no_grad():
            alignment.beta.fill_(below)
        assert torch.equal(score(alignment, video, query), score(build("fine"), video, query))
    alignment.similarity(video, query).sum().backward()
    assert alignment.beta == 0
    assert alignment.beta.grad != 0


def test_there_are_no_factors():
    video, query = make()
    assert build("fine").factors(video, "video") is None
    assert build("fine").factors(query, "query") is None


def test_a_level_is_named_once():
    with pytest.raises(VarkitError, match="named twice"):
        Hierarchical(levels=("fine", "fine"))


@pytest.mark.parametrize(
    ("levels", "lacking", "said"),
    [
        (("semantic", "temporal"), {}, r"temporal need tokens 'sounds'; the query .* gave words"),
        (("spatial",), {"video": "patches"}, r"spatial need tokens 'patches'; the video encoder"),
        (("spatial",), {"query": "words"}, r"spatial need tokens 'words'; the query .* gave none"),
        (("fine",), {"video": "avg"}, "must give one vector 'avg'"),
    ],
)  # fmt: skip
def test_what_a_level_lacks_is_named(levels, lacking, said):
    sides = dict(zip(("video", "query"), make(), strict=True))
    for side, name in lacking.items():
        for part in (sides[side].tokens, sides[side].vectors):
            part.pop(name, None)
    with pytest.raises(VarkitError, match=said):
        build(*levels).similarity(*sides.values())
