"""The hierarchy against loops, what its weights promise, and what it costs."""

from dataclasses import replace

import pytest
import torch
from varkit_varcmp import alignment as module
from varkit_varcmp.alignment import Hierarchical
from varkit_varcmp.weighting import biased_weights, kept

from tests.support.varcmp import KAPPA, expected, make
from varkit.errors import VarkitError
from varkit.testing import check
from varkit.testing.probes import pad_tokens, select

LEVELS = {
    "text": ("semantic", "fine", "spatial"),
    "audio": ("semantic", "fine", "temporal", "spatial"),
}
PAIRS = [(kind, level) for kind, levels in LEVELS.items() for level in levels]


def build(*levels, **options):
    options = {"kappa": KAPPA, "keep": 1.0} | options
    return Hierarchical(levels=levels, **options).double()


def score(alignment, video, query):
    with torch.no_grad():
        return alignment.similarity(video, query)


@pytest.mark.parametrize("keep", [1.0, 0.5, 0.01])
@pytest.mark.parametrize("beta", [0.0, 2.5])
@pytest.mark.parametrize(("kind", "level"), PAIRS)
def test_every_level_agrees_with_loops(kind, level, beta, keep):
    video, query = make(kind)
    found = score(build(level, beta=beta, keep=keep), video, query)
    right = expected(video, query, level, beta=beta, keep=keep)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("kind", "level"), PAIRS)
def test_without_relevance_the_prior_alone_decides(kind, level):
    video, query = make(kind)
    found = score(build(level, kappa=0, beta=2.5, keep=0.5), video, query)
    right = expected(video, query, level, beta=2.5, keep=0.5, kappa=0)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("delta", [0, 1, 20])
def test_the_band_around_a_sound(delta):
    video, query = make("audio", frames=9)
    found = score(build("temporal", delta=delta), video, query)
    right = expected(video, query, "temporal", beta=0, keep=1, delta=delta)
    torch.testing.assert_close(found, right, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_the_whole_is_the_levels_by_gamma(kind):
    video, query = make(kind)
    alignment = build(*LEVELS[kind], beta=1.0)
    with torch.no_grad():
        alignment.gamma.copy_(torch.linspace(-1, 2, len(LEVELS[kind])))
    gamma = alignment.gamma.softmax(0)
    parts = [expected(video, query, level, beta=1, keep=1) for level in LEVELS[kind]]
    whole = sum(g * part for g, part in zip(gamma.tolist(), parts, strict=True))
    torch.testing.assert_close(score(alignment, video, query), whole, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_without_patches_is_as_if_their_gamma_was_zero(kind):
    video, query = make(kind)
    without = {name: x for name, x in video.tokens.items() if name != "patches"}
    some = build(*LEVELS[kind][:-1])
    every = build(*LEVELS[kind])
    with torch.no_grad():
        every.gamma[-1] = -torch.inf
    found = score(some, replace(video, tokens=without), query)
    torch.testing.assert_close(found, score(every, video, query), rtol=0, atol=1e-14)


@pytest.mark.parametrize("beta", [0.0, 3.0])
def test_weights_sum_to_one_over_the_frames_allowed_and_beta_0_is_relevance_alone(beta):
    numbers = torch.Generator().manual_seed(0)
    relevance = torch.randn(3, 6, 4, generator=numbers, dtype=torch.float64)
    prior = torch.rand(3, 6, 1, generator=numbers, dtype=torch.float64)
    allowed = torch.rand(3, 6, 4, generator=numbers) < 0.5
    allowed[:, 2] = True
    weights = biased_weights(
        relevance, prior, allowed, kappa=KAPPA, beta=torch.tensor(beta).double()
    )
    torch.testing.assert_close(weights.sum(1), torch.ones(3, 4).double())
    assert not weights[~allowed].any()
    assert (weights[allowed] > 0).all()
    plain = (KAPPA * relevance).masked_fill(~allowed, -torch.inf).softmax(1)
    assert torch.equal(weights, plain) == (beta == 0)


def test_the_prior_moves_weight_to_anomalous_frames():
    video, query = make(videos=1, queries=1)
    calm = replace(video, scores=torch.zeros_like(video.scores))
    best = calm.tokens["frames"][0] @ query.vectors["avg"][0, 0]
    alarmed = replace(calm, scores=torch.zeros_like(video.scores))
    alarmed.scores[0, best.argmin()] = 1
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
    inside = logits.masked_fill(~counts, -torch.inf)
    assert (
        logits.masked_fill(~found, torch.inf).amin(1)
        >= inside.masked_fill(found, -torch.inf).amax(1)
    ).all()
    assert kept(torch.zeros(1, 4, 1), torch.ones(1, 4, 1).bool(), 0.5).all(), "all tie"


def test_the_order_of_time_matters_to_the_temporal_level_alone():
    video, query = make("audio", videos=2, frames=9)
    full = torch.ones(2, 9, dtype=torch.bool)
    sound = torch.ones(4, 10, dtype=torch.bool)
    tokens = {name: torch.randn_like(x) for name, x in video.tokens.items()}
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
    wide = replace(pad_tokens(video, 5), scores=torch.nn.functional.pad(video.scores, (0, 5)))
    asked = pad_tokens(query, 3)
    if asked.scores is not None:
        asked = replace(asked, scores=torch.nn.functional.pad(asked.scores, (0, 3)))
    torch.testing.assert_close(score(alignment, wide, asked), right, rtol=0, atol=1e-12)
    alone = score(alignment, select(video, [1]), select(query, [2]))
    torch.testing.assert_close(alone, right[1:2, 2:3], rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["text", "audio"])
def test_one_frame_is_enough(kind):
    video, query = make(kind, videos=1, queries=1, frames=1)
    found = score(build(*LEVELS[kind], beta=1.0, keep=0.5), video, query)
    parts = [expected(video, query, level, beta=1, keep=0.5) for level in LEVELS[kind]]
    torch.testing.assert_close(found, sum(parts) / len(parts), rtol=0, atol=1e-12)


def test_a_frame_long_after_the_sound_does_not_count():
    video, query = make("audio", videos=1, queries=1, frames=9)
    short = replace(query, masks={"sounds": torch.arange(10)[None] < 2})
    changed = {name: x.clone() for name, x in video.tokens.items()}
    for tokens in changed.values():
        tokens[:, 5:] = 7.0
    levels = ("fine", "temporal", "spatial")
    found = [
        score(build(*levels, delta=2), replace(video, tokens=t), short)
        for t in (video.tokens, changed)
    ]
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
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
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
            leaf += (
                0.1 * torch.randn(leaf.shape, generator=torch.Generator().manual_seed(3)).double()
            )
    assert torch.autograd.gradcheck(function, leaves)


def test_the_alignment_teaches_the_detector_only_where_it_is_told_to():
    video, query = make()
    for told in (False, True):
        scores = video.scores.clone().requires_grad_()
        alignment = build("fine", beta=1.0, prior_gradient=told)
        alignment.similarity(replace(video, scores=scores), query).sum().backward()
        assert (scores.grad is not None) == told
        assert alignment.beta.grad.abs() > 0


def test_beta_never_counts_below_zero():
    video, query = make()
    alignment = build("fine")
    with torch.no_grad():
        alignment.beta.fill_(-3.0)
    assert torch.equal(score(alignment, video, query), score(build("fine"), video, query))


def test_beta_comes_back_from_below_zero():
    """An optimiser's step may take it there; it must go on learning."""
    video, query = make()
    alignment = build("fine")
    with torch.no_grad():
        alignment.beta.fill_(-0.1)
    alignment.similarity(video, query).sum().backward()
    assert alignment.beta == 0
    assert alignment.beta.grad != 0


def test_there_are_no_factors():
    video, query = make()
    assert build("fine").factors(video, "video") is None
    assert build("fine").factors(query, "query") is None


def test_what_a_level_lacks_is_named():
    video, query = make()
    with pytest.raises(
        VarkitError, match=r"temporal need tokens 'sounds'; the query encoder gave words"
    ):
        build("semantic", "temporal").similarity(video, query)
    bare = replace(video, tokens={"frames": video.tokens["frames"]})
    with pytest.raises(VarkitError, match=r"spatial need tokens 'patches'; the video encoder"):
        build("spatial").similarity(bare, query)
    with pytest.raises(
        VarkitError, match=r"spatial need tokens 'words'; the query encoder gave none"
    ):
        build("spatial").similarity(video, replace(query, tokens={}))
    with pytest.raises(VarkitError, match="must give one vector 'avg'"):
        build("fine").similarity(replace(video, vectors={}), query)
    with pytest.raises(VarkitError, match="named twice"):
        Hierarchical(levels=("fine", "fine"))


def test_keeps_the_promises_of_an_alignment():
    check("alignment", Hierarchical)
