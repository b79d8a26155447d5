import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from varkit_baselines.t2vlad import T2Vlad, T2VladVideo

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    random,
)
from tests.support.baselines import masked, trained
from tests.support.reference import fine_grained as reference
from tests.support.reference.alan_video import numpy_state
from varkit.errors import VarkitError
from varkit.interfaces import Representation
from varkit.testing.stand_ins import Drawn, Spread

EXPERTS = ("object", "motion")
WORDS = (3, 1, 5)
CLIPS = (4, 2, 4, 1)


def encoder(experts=EXPERTS, samplers=None, **options):
    torch.manual_seed(0)
    samplers = {"fixed": Spread(count=7)} if samplers is None else samplers
    options = {"heads": 2, "feedforward": 5, **options}
    return trained(T2VladVideo(6, experts, WIDTHS, samplers, **options))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("options", [{}, {"heads": 3}, {"experts": ("motion",)}], ids=str)
def test_videos_equal_the_reference(options, training):
    model = encoder(**options).train(training)
    experts = options.get("experts", EXPERTS)
    clips = make_clips(garbage=math.nan, extra=2)
    streams = [
        [clips.streams[name][b, :length].numpy() for name in experts]
        for b, length in enumerate(LENGTHS)
    ]
    found = model(clips)
    with torch.no_grad():
        quickly = model(clips)  # torch has a fused layer for this in evaluation
    picks, heads = found.picks["fixed"].tolist(), options.get("heads", 2)
    local, whole = reference.t2vlad_video(
        streams, picks, numpy_state(model), heads=heads, training=training
    )
    for ours in (found, quickly):
        tokens = torch.cat([ours.tokens[name] for name in experts], dim=1)
        for x, right in ((tokens, local), (ours.vectors["cls"], whole)):
            torch.testing.assert_close(x, torch.from_numpy(right), rtol=1e-8, atol=1e-10)


def test_padding_and_batch_change_nothing():
    model = encoder(samplers={"fixed": Spread(count=7), "drawn": Drawn(count=4)})
    expect_padding_and_batch_to_change_nothing(model)


def test_a_missing_expert_has_no_weight():
    clips = replace(make_clips(), present={"object": torch.tensor([True, True, False, True])})
    found = encoder()(clips)
    assert found.weights["cls"].tolist() == [[0.5, 0.5], [0.5, 0.5], [0.0, 1.0], [0.5, 0.5]]


def test_what_cannot_be_built_is_said():
    with pytest.raises(VarkitError, match="heads=4 does not divide"):
        encoder(heads=4)
    with pytest.raises(VarkitError, match="batch of 1"):
        encoder().train()(make_clips((5,)))


def alignment(**options):
    torch.manual_seed(0)
    return trained(T2Vlad(4, EXPERTS, **{"clusters": 3, **options}))


def videos(extra=0, garbage=0.0):
    tokens = {}
    for seed, name in enumerate(EXPERTS):
        tokens[name], mask = masked(CLIPS, extra, garbage, 10 + seed)
    weights = torch.full((len(CLIPS), 2), 0.5, dtype=torch.float64)
    weights[1] = torch.tensor([0.0, 1.0])  # this video lacks `object`
    return Representation(
        vectors={"cls": random(len(CLIPS), 2, 4, seed=3)},
        weights={"cls": weights},
        tokens=tokens,
        masks=dict.fromkeys(EXPERTS, mask),
    )


def queries(extra=0, garbage=0.0):
    words, mask = masked(WORDS, extra, garbage, 20)
    return Representation(tokens={"words": words}, masks={"words": mask})


def real(representation, name):
    pairs = zip(representation.tokens[name], representation.masks[name], strict=True)
    return [x[mask].numpy() for x, mask in pairs]


def expected(model, video, query, *, training, missing="renormalise", local=0.5):
    parts = (real(video, name) for name in EXPERTS)
    clips = [np.concatenate(both) for both in zip(*parts, strict=True)]
    out = reference.t2vlad(
        video.vectors["cls"].numpy(),
        clips,
        (video.weights["cls"] > 0).tolist(),
        real(query, "words"),
        numpy_state(model),
        local=local,
        missing=missing,
        training=training,
    )
    return torch.from_numpy(out)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [{}, {"missing": "keep", "ghosts": 0}, {"local": 0.9, "clusters": 1}, {"ghosts": 2}],
    ids=str,
)
def test_the_similarity_equals_the_reference(options, training):
    model = alignment(**options).train(training)
    given = {name: x for name, x in options.items() if name in ("missing", "local")}
    right = expected(model, videos(), queries(), training=training, **given)
    found = model.similarity(videos(2, math.nan), queries(4, math.nan))
    torch.testing.assert_close(found, right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("training", [False, True])
def test_padding_can_be_pooled_as_in_the_code(training):
    model = alignment(mask_padding=False).train(training)
    video, query = videos(1, 0.5), queries(1, -2.0)
    everything = [
        replace(side, masks={name: torch.ones_like(mask) for name, mask in side.masks.items()})
        for side in (video, query)
    ]
    right = expected(model, *everything, training=training)
    torch.testing.assert_close(model.similarity(video, query), right, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("detach", [False, True])
def test_words_alone_train_the_assignment_and_both_the_centres(detach):
    model = alignment(detach_assignment=detach).train()
    model.factors(videos(), "video").sum().backward()
    assert model.vlad.centres.grad.any()
    assert (model.vlad.assignment.grad is None) is detach
    model.zero_grad()
    model.factors(queries(), "query").sum().backward()
    assert model.vlad.centres.grad.any()
    assert model.vlad.assignment.grad.any()


def test_a_missing_part_is_named():
    with pytest.raises(VarkitError, match="tokens of the query named 'words'"):
        alignment().factors(replace(queries(), tokens={}), "query")
    with pytest.raises(VarkitError, match="tokens of the video named 'object'"):
        alignment().factors(replace(videos(), tokens={}), "video")


def golden_outputs(parts):
    model, align = parts
    found = model(make_clips())
    return {
        "vectors": found.vectors["cls"],
        "tokens": found.tokens["motion"],
        "similarity": align.similarity(videos(), queries()),
    }


def test_values_stay():
    golden.check("t2vlad", torch.nn.ModuleList([encoder(), alignment()]), golden_outputs)
