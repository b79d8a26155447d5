"""XML's video encoder and its alignment against loops, and what padding must not do."""

from dataclasses import replace

import pytest
import torch
from varkit_baselines.xml import XmlAlignment, XmlVideo

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    mask_of,
    shake,
)
from tests.support.reference import xml_hl_net as reference
from tests.support.reference.alan_video import numpy_state
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Representation
from varkit.testing import check
from varkit.testing.stand_ins import Drawn, Spread

EXPERTS = ("object", "motion")
HEADS = 2
WORDS = (4, 1, 6)


def encoder(experts=EXPERTS, samplers=None, **options):
    torch.manual_seed(0)
    samplers = {"fixed": Spread(count=5)} if samplers is None else samplers
    options = {"heads": HEADS, "dropout": 0.0, **options}
    return shake(XmlVideo(6, experts, WIDTHS, samplers, **options)).double().eval()


def alignment(experts=EXPERTS, **options):
    torch.manual_seed(1)
    options = {"heads": HEADS, "dropout": 0.0, **options}
    return shake(XmlAlignment(6, experts, **options)).double().eval()


def words(*, extra=0, garbage=30.0):
    states = torch.randn(3, max(WORDS), 6, generator=torch.Generator().manual_seed(2)).double()
    states = torch.nn.functional.pad(states, (0, 0, 0, extra))
    mask = mask_of(*WORDS, extra=extra)
    states = states.masked_fill(~mask.unsqueeze(-1), garbage)
    return Representation(tokens={"words": states}, masks={"words": mask})


def expected_clips(model, clips, picks, *, normalize):
    state = numpy_state(model)
    return [
        [
            reference.xml_stream(
                clips.streams[name][b, :length].numpy(),
                [p for chosen in picks.values() for p in chosen[b].tolist()],
                e,
                state,
                heads=HEADS,
                normalize=normalize,
            )
            for e, name in enumerate(model.experts)
        ]
        for b, length in enumerate(LENGTHS)
    ]


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("positions", [100, 3])
@pytest.mark.parametrize("samplers", [{"a": Spread(count=5)}, {"a": Spread(), "b": Drawn()}])
def test_clips_follow_the_definition(normalize, positions, samplers):
    model = encoder(samplers=samplers, normalize=normalize, positions=positions)
    clips = make_clips()
    found = model(clips)
    right = expected_clips(model, clips, found.picks, normalize=normalize)
    for e, name in enumerate(EXPERTS):
        for b, video in enumerate(right):
            real = found.masks[name][b]
            torch.testing.assert_close(found.tokens[name][b, real], torch.from_numpy(video[e]))


@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("positions", [30, 2])
def test_similarity_follows_the_definition(normalize, positions):
    model, align = encoder(), alignment(normalize=normalize, positions=positions)
    clips, query = make_clips(), words()
    found = model(clips)
    streams = expected_clips(model, clips, found.picks, normalize=True)
    state = numpy_state(align)
    queries = [
        reference.xml_queries(
            query.tokens["words"][q, :length].numpy(), state, heads=HEADS, normalize=normalize
        )
        for q, length in enumerate(WORDS)
    ]
    expected = [[reference.xml_score(video, q) for q in queries] for video in streams]
    similarity = align.similarity(found, query)
    torch.testing.assert_close(similarity, torch.tensor(expected, dtype=torch.float64))
    assert align.factors(found, "video") is None


def test_one_stream_has_one_modular_query():
    found = encoder(("motion",))(make_clips())
    assert alignment(("motion",)).similarity(found, words()).shape == (4, 3)


def test_padded_clips_words_and_the_batch_change_nothing():
    model, align = encoder(), alignment()
    expect_padding_and_batch_to_change_nothing(model)
    found = model(make_clips())
    right = align.similarity(found, words())
    nan = words(extra=4, garbage=float("nan"))
    torch.testing.assert_close(align.similarity(found, nan), right)


def test_a_padded_clip_is_never_the_best():
    align, query = alignment(), words()
    tokens = {name: torch.zeros(1, 3, 6, dtype=torch.float64) for name in EXPERTS}
    for e, name in enumerate(EXPERTS):
        best = align.queries(query)[0, e]
        tokens[name][0] = torch.stack([-best, best, best])
    mask = torch.tensor([[True, False, False]])
    video = Representation(tokens=tokens, masks=dict.fromkeys(EXPERTS, mask))
    assert align.similarity(video, query)[0, 0].item() == pytest.approx(-1)
    seen = replace(video, masks=dict.fromkeys(EXPERTS, torch.ones_like(mask)))
    assert align.similarity(seen, query)[0, 0].item() == pytest.approx(1)


def test_a_stream_that_a_video_lacks_does_not_count():
    align, query = alignment(), words()
    present = {"motion": torch.tensor([True, False, True, True])}
    found = align.similarity(encoder()(replace(make_clips(), present=present)), query)
    whole = encoder()(make_clips())
    clips, mask = whole.tokens["object"][1], whole.masks["object"][1]
    best = (unit(clips[mask]) @ align.queries(query)[:, EXPERTS.index("object")].T).amax(dim=0)
    torch.testing.assert_close(found[1], best)
    torch.testing.assert_close(found[[0, 2, 3]], align.similarity(whole, query)[[0, 2, 3]])
    none = {name: torch.tensor([True, False, True, True]) for name in EXPERTS}
    found = align.similarity(encoder()(replace(make_clips(), present=none)), query)
    assert not found[1].any()


def test_streams_share_positions_alone_and_weights_start_small():
    torch.manual_seed(0)
    model = XmlVideo(64, EXPERTS, {"object": 64, "motion": 64}, {"fixed": Spread()})
    assert len({id(p) for p in model.parameters()}) == len(list(model.parameters()))
    assert [n for n, _ in model.named_children()] == ["project", "position", "attend"]
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            assert parameter.std().item() == pytest.approx(0.02, rel=0.1), name
        elif "bias" in name:
            assert not parameter.any(), name


def test_what_is_missing_is_named():
    with pytest.raises(VarkitError, match="heads=4 does not divide"):
        alignment(heads=4)
    found = encoder()(make_clips())
    with pytest.raises(VarkitError, match=r"tokens named 'words'; the query encoder gave \[\]"):
        alignment().similarity(found, Representation())


def test_options_keep_the_promises():
    assert check("encoder", XmlVideo, {"normalize": False, "positions": 2})
    assert check("alignment", XmlAlignment, {"normalize": False, "positions": 2})


def golden_outputs(parts):
    model, align = parts
    video = model(make_clips())
    return {"clips": video.tokens["object"], "similarity": align.similarity(video, words())}


def test_values_stay():
    golden.check("xml", torch.nn.ModuleList([encoder(), alignment()]), golden_outputs)
