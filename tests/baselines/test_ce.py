import math

import pytest
import torch
from varkit_baselines.ce import CeSimilarity, CollaborativeExperts

from tests.support import golden
from tests.support.alan import (
    LENGTHS,
    WIDTHS,
    expect_padding_and_batch_to_change_nothing,
    make_clips,
    mask_of,
    random,
    take,
)
from tests.support.baselines import trained, with_missing
from tests.support.reference import expert_mixtures as reference
from tests.support.reference.alan_video import numpy_state
from varkit.errors import VarkitError
from varkit.interfaces import Representation

EXPERTS = ("object", "motion")
THREE = {"object": 5, "motion": 3, "third": 4}


def small(experts=EXPERTS, widths=WIDTHS, **options):
    torch.manual_seed(0)
    return trained(CollaborativeExperts(6, experts, widths, **options))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"update": "sequential"},
        {"include_self": False},
        {"layers": 1},
        {"experts": tuple(THREE), "widths": THREE, "update": "sequential", "include_self": False},
        {"experts": ("motion",)},
    ],
    ids=str,
)
def test_videos_equal_the_reference(options, training):
    model = small(**options).train(training)
    state = numpy_state(model)
    clips = with_missing(make_clips(widths=options.get("widths", WIDTHS)))
    experts = options.get("experts", EXPERTS)
    streams = [
        [x[:length].numpy() for x, length in zip(clips.streams[name], LENGTHS, strict=True)]
        for name in experts
    ]
    told = {"update": "parallel", "include_self": True, "layers": 3, **options}
    told = {name: x for name, x in told.items() if name not in ("experts", "widths")}
    right, owned = reference.collaborate(streams, state, training=training, **told)
    found = model(clips)
    torch.testing.assert_close(found.vectors["avg"], torch.from_numpy(right), rtol=1e-8, atol=1e-10)
    even = [[o / sum(row) if any(row) else 1 / len(row) for o in row] for row in owned]
    torch.testing.assert_close(found.weights["avg"], torch.tensor(even, dtype=torch.float64))


def test_padding_and_batch_change_nothing():
    expect_padding_and_batch_to_change_nothing(small())


def test_what_cannot_be_built_or_trained_is_said():
    with pytest.raises(VarkitError, match="needs more than one expert"):
        small(("object",), include_self=False)
    with pytest.raises(VarkitError, match="batch of 1"):
        small().train()(take(make_clips(), [0]))


def small_similarity(**options):
    torch.manual_seed(0)
    return trained(CeSimilarity(6, EXPERTS, clusters=3, **options))


def captions(garbage=0.0, extra=0):
    words = torch.nn.functional.pad(random(4, 7, 6, seed=4), (0, 0, 0, extra))
    mask = mask_of(7, 2, 1, 5, extra=extra)
    words = words.masked_fill(~mask.unsqueeze(-1), garbage)
    return Representation(tokens={"words": words}, masks={"words": mask})


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("mask_padding", [True, False])
def test_similarity_equals_the_reference(mask_padding, training):
    model = small_similarity(mask_padding=mask_padding).train(training)
    state = numpy_state(model)
    video = small()(with_missing(make_clips()))
    query = captions()
    words, mask = query.tokens["words"], query.masks["words"]
    read = mask if mask_padding else torch.ones_like(mask)
    sets = [row[real].numpy() for row, real in zip(words, read, strict=True)]
    whole = reference.netvlad(sets, state, "pool.", training=training)
    right = reference.mixture(
        video.vectors["avg"].detach().numpy(),
        [[1, 1], [1, 1], [0, 1], [1, 1]],
        whole,
        state,
        missing="renormalise",
        training=training,
    )
    found = model.similarity(video, query)
    torch.testing.assert_close(found, torch.from_numpy(right), rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("training", [False, True])
def test_padded_words_change_nothing(training):
    model, video = small_similarity().train(training), small()(make_clips())
    plain = model.similarity(video, captions())
    padded = model.similarity(video, captions(garbage=math.nan, extra=3))
    torch.testing.assert_close(padded, plain, rtol=1e-9, atol=1e-12)


def golden_outputs(parts):
    model, similarity = parts
    video = model(with_missing(make_clips()))
    return {"vectors": video.vectors["avg"], "similarity": similarity.similarity(video, captions())}


def test_values_stay():
    golden.check("ce", torch.nn.ModuleList([small(), small_similarity()]), golden_outputs)
