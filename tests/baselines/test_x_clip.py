import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from varkit_baselines import x_clip
from varkit_baselines.x_clip import XClip, XClipVideo

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    random,
    shake,
)
from tests.support.baselines import masked
from tests.support.reference import fine_grained as reference
from tests.support.reference.alan_video import numpy_state
from varkit.errors import VarkitError
from varkit.interfaces import Representation
from varkit.testing.stand_ins import Drawn, Spread

EXPERTS = ("object", "motion")
WORDS = (3, 1, 5)
FRAMES = (4, 2, 4, 1)


def encoder(experts=EXPERTS, samplers=None, **options):
    torch.manual_seed(0)
    samplers = {"fixed": Spread(count=7)} if samplers is None else samplers
    options = {"max_frames": 12, "layers": 2, "heads": 2, **options}
    return shake(XClipVideo(6, experts, WIDTHS, samplers, **options)).double().eval()


@pytest.mark.parametrize(
    "options", [{}, {"layers": 1, "heads": 3}, {"experts": ("motion",)}], ids=str
)
def test_videos_equal_the_reference(options):
    model = encoder(**options)
    clips = make_clips(garbage=math.nan, extra=2)
    found = model(clips)
    sizes = {"heads": options.get("heads", 2), "layers": options.get("layers", 2)}
    experts = options.get("experts", EXPERTS)
    for b, length in enumerate(LENGTHS):
        streams = {name: clips.streams[name][b, :length].numpy() for name in experts}
        chosen = found.picks["fixed"][b].tolist()
        frames, whole = reference.x_clip_video(streams, chosen, numpy_state(model), **sizes)
        ours = torch.stack([found.tokens[name][b] for name in experts]).mean(0)
        torch.testing.assert_close(ours, torch.from_numpy(frames), rtol=1e-9, atol=1e-11)
        for e in range(len(experts)):
            vector = found.vectors["cls"][b, e]
            torch.testing.assert_close(vector, torch.from_numpy(whole), rtol=1e-8, atol=1e-10)


def test_padding_and_batch_change_nothing():
    model = encoder(samplers={"fixed": Spread(count=7), "drawn": Drawn(count=4)})
    expect_padding_and_batch_to_change_nothing(model)


def test_frames_are_the_mean_of_the_streams_that_a_video_has():
    present = {"motion": torch.tensor([True, False, True, True])}
    found, whole = encoder()(replace(make_clips(), present=present)), encoder()(make_clips())
    align = XClip(6, EXPERTS, max_words=6, max_frames=7).double()
    text = replace(queries(), tokens={n: F.pad(x, (0, 2)) for n, x in queries().tokens.items()})
    same = {"object": whole.tokens["object"], "motion": whole.tokens["object"]}
    alone = replace(found, tokens=same, masks=whole.masks)
    for model in (align, XClip(6, EXPERTS, max_frames=7, mask_padding=False).double()):
        similarity = model.similarity(found, text)
        torch.testing.assert_close(similarity[1], model.similarity(alone, text)[1])
        torch.testing.assert_close(similarity[0], model.similarity(whole, text)[0])


def test_what_cannot_be_built_is_said():
    with pytest.raises(VarkitError, match="heads=4 does not divide"):
        encoder(heads=4)
    with pytest.raises(VarkitError, match="choose 7 clips, but max_frames=6"):
        encoder(max_frames=6)(make_clips())


def alignment(**options):
    torch.manual_seed(0)
    options = {"max_words": 6, "max_frames": 5, **options}
    return shake(XClip(4, EXPERTS, **options)).double()


def videos(extra=0, garbage=0.0):
    tokens = {}
    for seed, name in enumerate(EXPERTS):
        tokens[name], mask = masked(FRAMES, extra, garbage, 10 + seed)
    vectors = {"cls": random(len(FRAMES), 2, 4, seed=3)}
    return Representation(vectors=vectors, tokens=tokens, masks=dict.fromkeys(EXPERTS, mask))


def queries(extra=0, garbage=0.0):
    words, mask = masked(WORDS, extra, garbage, 20)
    sentence = random(len(WORDS), 1, 4, seed=21)
    return Representation(
        tokens={"words": words, "sentence": sentence},
        masks={"words": mask, "sentence": mask[:, :1]},
    )


def expected(model, video, query, tau, *, masked=True):
    frames = torch.stack([video.tokens[name] for name in EXPERTS]).mean(0)
    whole = video.vectors["cls"].mean(1)
    out = np.zeros((len(FRAMES), len(WORDS)))
    for v in range(len(FRAMES)):
        for q in range(len(WORDS)):
            f, w = frames[v], query.tokens["words"][q]
            if masked:
                f, w = f[: FRAMES[v]], w[: WORDS[q]]
            s = query.tokens["sentence"][q, 0]
            parts = (part.numpy() for part in (whole[v], f, s, w))
            out[v, q] = reference.x_clip(*parts, numpy_state(model), tau=tau)
    return torch.from_numpy(out)


@pytest.mark.parametrize("piece", [1, 50, 2**20])
@pytest.mark.parametrize("tau", [0.01, 0.5])
def test_the_similarity_equals_the_reference(tau, piece, monkeypatch):
    monkeypatch.setattr(x_clip, "PIECE", piece)
    model = alignment(temperature=tau)
    found = model.similarity(videos(2, math.nan), queries(4, math.nan))
    right = expected(model, videos(), queries(), tau)
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11)
    assert model.factors(videos(), "video") is model.factors(queries(), "query") is None


def test_padding_can_count_as_in_the_code():
    model = alignment(mask_padding=False)
    video, query = videos(1, 0.5), queries(1, -2.0)
    right = expected(model, video, query, 0.01, masked=False)
    torch.testing.assert_close(model.similarity(video, query), right, rtol=1e-9, atol=1e-11)
    assert not torch.allclose(alignment().similarity(video, query), right, atol=1e-3)


def test_where_all_is_one_vector_the_similarity_is_the_cosine():
    model = XClip(4, EXPERTS, max_words=3, max_frames=3).double()
    video, query = random(5, 1, 4, seed=1), random(2, 1, 4, seed=2)
    single = torch.ones(5, 1, dtype=torch.bool)
    seen = (dict.fromkeys(EXPERTS, x) for x in (video, single))
    found = model.similarity(
        Representation({"cls": video}, {}, *seen),
        Representation(tokens={"words": query, "sentence": query}, masks={"words": single[:2]}),
    )
    torch.testing.assert_close(found, F.cosine_similarity(video, query[:, 0], dim=-1))


def test_gradients_are_those_of_the_similarity(monkeypatch):
    monkeypatch.setattr(x_clip, "PIECE", 1)
    model = alignment(temperature=0.3)
    video, query = videos(), queries()

    def similarity(frames, whole, words, sentence, *matrices):
        del matrices  # asked for as inputs, so that their gradients are looked at, too
        tokens = {"object": frames, "motion": video.tokens["motion"]}
        return model.similarity(
            replace(video, vectors={"cls": whole}, tokens=tokens),
            replace(query, tokens={"words": words, "sentence": sentence}),
        )

    leaves = [video.tokens["object"], video.vectors["cls"], *query.tokens.values()]
    leaves = [leaf.clone().requires_grad_() for leaf in leaves]
    assert torch.autograd.gradcheck(similarity, (*leaves, *model.parameters()), fast_mode=True)


def test_a_frame_of_zeros_is_no_direction():
    model, video, query = alignment(), videos(), queries()
    for name in EXPERTS:
        video.tokens[name][2, 1] = 0
    right = expected(model, video, query, 0.01)
    video.tokens["object"].requires_grad_()
    found = model.similarity(video, query)
    torch.testing.assert_close(found.detach(), right)
    found.sum().backward()
    assert video.tokens["object"].grad.isfinite().all()


class Largest(TorchDispatchMode):
    """Notes the size of the largest tensor that anything computes."""

    def __init__(self):
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        for part in out if isinstance(out, tuple | list) else [out]:
            if isinstance(part, torch.Tensor):
                self.size = max(self.size, part.numel())
        return out


@pytest.mark.parametrize("queries_at_once", [3, 10, 40])
def test_words_and_frames_are_compared_piece_by_piece_both_ways(queries_at_once, monkeypatch):
    of_one_query = 40 * 5 * 6  # videos, frames, words
    monkeypatch.setattr(x_clip, "PIECE", (queries_at_once + 1) * of_one_query - 1)
    frames = {name: random(40, 5, 4, seed=1).requires_grad_() for name in EXPERTS}
    real = torch.ones(40, 6, dtype=torch.bool)
    video = Representation(
        {"cls": random(40, 2, 4, seed=2)}, {}, frames, dict.fromkeys(EXPERTS, real[:, :5])
    )
    words = {"words": random(40, 6, 4, seed=3), "sentence": random(40, 1, 4, seed=4)}
    kept = []

    def keep(saved):
        kept.append(saved.numel())
        return saved

    query = Representation({}, {}, words, {"words": real})
    with Largest() as seen:
        with torch.autograd.graph.saved_tensors_hooks(keep, lambda saved: saved):
            similarity = alignment().similarity(video, query)
        similarity.sum().backward()
    assert seen.size == queries_at_once * of_one_query
    assert max(kept) < 3 * of_one_query


def test_longer_sequences_than_the_matrices_are_refused():
    model = alignment(max_words=4)
    with pytest.raises(VarkitError, match="a sequence of 5 tokens, but max_words=4"):
        model.similarity(videos(), queries(3))
    with pytest.raises(VarkitError, match="a sequence of 4 tokens, but max_frames=3"):
        alignment(max_frames=3).similarity(videos(), queries())
    # What is too long by its padding alone is not.
    assert alignment().similarity(videos(4), queries(9)).isfinite().all()


def test_a_missing_part_is_named():
    with pytest.raises(VarkitError, match=r"needs 'sentence'; .* query encoder tokens"):
        alignment().similarity(videos(), replace(queries(), tokens={"words": torch.ones(3, 1, 4)}))
    with pytest.raises(VarkitError, match="needs 'motion'"):
        alignment().similarity(replace(videos(), tokens={"object": torch.ones(4, 1, 4)}), queries())


def golden_outputs(parts):
    model, align = parts
    found = model(make_clips())
    return {"vectors": found.vectors["cls"], "similarity": align.similarity(videos(), queries())}


def test_values_stay():
    golden.check("x_clip", torch.nn.ModuleList([encoder(), alignment()]), golden_outputs)
