"""The anomaly curve without training: a clip is compared with sentences, block by block."""

import math
import re

import numpy as np
import pytest

from varkit.interfaces import Block, Channel, Track
from varkit.search.concepts import CONCEPTS, Concepts
from varkit.search.null_sentences import NULL_SENTENCES

CHANNEL = Channel(
    (Block("image", 6, log=True), Block("sound", 4, 0.3, log=True)), frozenset({"text"})
)
CHANCE = np.random.default_rng(3)


def sentences(count):
    return np.exp(-4 * CHANCE.random((count, CHANNEL.width))).astype(np.float32)


def track(width, count, step=1.0):
    starts = step * np.arange(count, dtype=np.float64)
    values = CHANCE.dirichlet(np.full(width, 0.3), size=count).astype(np.float32)
    return Track(values, np.stack([starts, starts + step], axis=1))


def by_hand(sentence, clip):
    """A sentence's score for a clip: block -> p, in logarithms over that of an unknown clip."""
    score, at = 0.0, 0
    for block in CHANNEL.blocks:
        kernel = sentence[at : at + block.width].astype(float)
        at += block.width
        if block.name in clip:
            matched = sum(k * p for k, p in zip(kernel, clip[block.name], strict=True))
            score += block.weight * math.log(matched / (sum(kernel) / block.width))
    return score


@pytest.mark.parametrize("blocks", [("image", "sound"), ("image",), ("sound",)])
def test_a_curve_is_the_chance_that_unrelated_sentences_all_score_lower(blocks):
    concepts, unrelated = sentences(3), sentences(50)
    made = {"image": track(6, 5), "sound": track(4, 3, step=1.7)}
    tracks = {name: made[name] for name in blocks}
    curve = Concepts(CHANNEL, concepts, unrelated).curve(tracks)
    clock = tracks[blocks[0]].times
    np.testing.assert_array_equal(curve.times, clock)
    for n, centre in enumerate(clock.mean(axis=1)):
        clip = {
            name: t.values[np.abs(t.times.mean(axis=1) - centre).argmin()]
            for name, t in tracks.items()
        }
        scores = [by_hand(concept, clip) for concept in concepts]
        lower = sum(by_hand(sentence, clip) < max(scores) for sentence in unrelated) / 50
        assert curve.scores[n] == pytest.approx(lower**3, abs=1e-6)
        assert curve.fired[n] == scores.index(max(scores))


def test_a_vague_concept_does_not_fire_on_everything():
    sharp, vague = np.full((2, CHANNEL.width), 0.01, np.float32)
    sharp[0], vague[:] = 1, 0.9
    curve = Concepts(CHANNEL, np.stack([vague, sharp]), sentences(50)).curve(
        {"image": Track(np.eye(6, dtype=np.float32)[:1], np.array([[0.0, 1.0]]))}
    )
    assert (curve.fired[0], curve.scores[0]) == (1, 1)


def test_unrelated_sentences_are_400_and_name_nothing_that_the_concepts_name():
    assert len(set(NULL_SENTENCES)) == len(NULL_SENTENCES) == 400
    plain = {"a", "an", "the", "in", "on", "by", "with", "person", "people", "someone"}
    words = [set(re.findall(r"[a-z]+", " ".join(texts))) for texts in (NULL_SENTENCES, CONCEPTS)]
    assert words[0] & words[1] <= plain
