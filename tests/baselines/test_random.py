"""Random vectors: whose they are, and that nothing is found with them but by chance."""

import pytest
import torch
from varkit_baselines.random_vectors import RandomVectors

from tests.support.alan import make_clips, take
from varkit.data.positives import Positives
from varkit.evaluation.metrics import chance, summarize
from varkit.evaluation.rank import ranks_from_similarity
from varkit.interfaces import Clips, Draws
from varkit.testing import check

EXPERTS = ("object", "motion")
TEXTS = ["two people fight", "a fire", "", "two people fight"]


def make(consumes="clips", dim=24):
    return RandomVectors(dim, EXPERTS, consumes=consumes)


def clips_of(names, stream, seed=0):
    mask = torch.ones(len(names), 1, dtype=torch.bool)
    streams = {stream: torch.zeros(len(names), 1, 2)}
    return Clips(streams, mask, torch.zeros(len(names), 1, 2), Draws(seed, tuple(names)))


def test_vectors_belong_to_the_item_and_the_seed():
    model, clips = make(), make_clips()
    together = model(clips).vectors["avg"]
    torch.testing.assert_close(together.norm(dim=-1), torch.ones(4, 2))
    assert len({row.sum().item() for row in together.flatten(0, 1)}) == 8
    assert torch.equal(model(take(clips, [2, 0])).vectors["avg"], together[[2, 0]])
    assert not torch.equal(model(make_clips(seed=1)).vectors["avg"], together)


def test_a_sound_that_is_called_as_its_video_has_other_vectors():
    video, sound = (make()(clips_of(["a"], stream)).vectors["cls"] for stream in ("rgb", "audio"))
    assert (video * sound).sum(-1).abs().max() < 0.9


def test_the_same_caption_has_the_same_vectors():
    model = make("captions")
    vectors = model(model.tokenize(TEXTS)).vectors["cls"]
    assert torch.equal(vectors[0], vectors[3])
    assert not torch.equal(vectors[0], vectors[1])


@pytest.mark.parametrize("consumes", ["clips", "captions"])
def test_keeps_the_promises_of_an_encoder(consumes):
    assert check("encoder", RandomVectors, {"consumes": consumes})


def test_finds_what_chance_finds():
    """The mean of 40 draws lies within 4 standard errors of the chance level."""
    count, totals = 120, []
    names = [f"video-{i}" for i in range(count)]
    captions, model = make("captions"), make()
    query = captions(captions.tokenize([f"caption {i}" for i in range(count)])).vectors["avg"]
    positives = Positives.own(torch.arange(count))
    for seed in range(40):
        video = model(clips_of(names, "rgb", seed)).vectors["avg"]
        similarity = video.flatten(1) @ query.flatten(1).T
        totals.append(summarize(ranks_from_similarity(similarity, positives))["SumR"])
    found = torch.tensor(totals)
    error = found.std().item() / len(totals) ** 0.5
    assert abs(found.mean().item() - chance(positives)["SumR"]) < 4 * error
