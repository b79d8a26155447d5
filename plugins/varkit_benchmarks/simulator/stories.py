"""What the videos of a split show and what is said of each, likenesses and repetitions included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from varkit.interfaces import derive_seed
from varkit_benchmarks.simulator.captions import Phrase, describe, sentence
from varkit_benchmarks.simulator.classes import NORMAL
from varkit_benchmarks.simulator.crimes import CRIMES
from varkit_benchmarks.simulator.quantiles import Rng, evenly
from varkit_benchmarks.simulator.wishes import Wish, draw_wishes
from varkit_benchmarks.simulator.world import (
    ALTERABLE,
    Scenario,
    altered,
    draw_ordinary,
    draw_scenario,
    pick,
)

NEAR_COPIES = 0.012
"""Share of videos that differ from another of their class in one thing, which captions name."""

_REPEATED: Mapping[str, Sequence[int]] = {
    "train": (6, 4, 3, 3, 3, 3, *[2] * 20),  # of 1,610
    "test": (2, 2),
}
"""How often the same words are said of different normal videos."""


@dataclass(frozen=True)
class Story:
    """What a video shows and what is said of it.

    Attributes:
        scenario: what it shows.
        phrases: what is said.
        twin: place of the video that it repeats in everything; None = it is no repetition.
    """

    scenario: Scenario
    phrases: tuple[Phrase, ...] = ()
    twin: int | None = None


@dataclass(frozen=True)
class _Draft:
    """How to tell a story again: its generator, and what was wished."""

    attempt: tuple[object, ...]
    scenario: Scenario
    wish: Wish

    def phrases(self) -> tuple[Phrase, ...]:
        return describe(_rng(*self.attempt, "words"), self.scenario, self.wish)


def draw_stories(seed: int, split: str, kinds: Sequence[str], seen: set[str]) -> list[Story]:
    """Draw the stories of a split.

    Args:
        seed: of the world.
        split: ``train`` or ``test``.
        kinds: (n,) the videos' classes.
        seen: captions that are not to be said again; the new ones are added.
    """
    rng = _rng(seed, "stories", split)
    wishes = draw_wishes(rng, split, kinds)
    drafts: list[_Draft] = []
    stories = []
    for place, (kind, wish) in enumerate(zip(kinds, wishes, strict=True)):
        like = None
        if rng.random() < NEAR_COPIES and kind in kinds[:place]:
            like = drafts[rng.choice([i for i in range(place) if kinds[i] == kind])]
        for attempt in range(100):
            name = (seed, split, place, attempt)
            draft = _near(name, like) if like else _fresh(name, kind, wish)
            phrases = draft.phrases()
            if sentence(phrases) not in seen:
                break
        seen.add(sentence(phrases))
        drafts.append(draft)
        stories.append(Story(draft.scenario, phrases))
    _repeat(rng, split, kinds, wishes, stories)
    return stories


def _fresh(name: tuple[object, ...], kind: str, wish: Wish) -> _Draft:
    rng = _rng(*name, "scenario")
    event = draw_ordinary(rng) if kind == NORMAL else CRIMES[kind]
    night = wish.night or (not wish.day and rng.random() < 0.1)
    scenario = draw_scenario(
        rng, event, anomalous=kind != NORMAL, night=night, counted=wish.counted
    )
    return _Draft(name, scenario, wish)


def _near(name: tuple[object, ...], like: _Draft) -> _Draft:
    """Return a draft that differs from another one in one thing that its caption names."""
    rng = _rng(*name, "near")
    named = {phrase.factor for phrase in like.phrases()}
    factor = pick(rng, [factor for factor in ALTERABLE if factor in named])
    return _Draft(like.attempt, altered(rng, like.scenario, factor), like.wish)


def _repeat(
    rng: Rng, split: str, kinds: Sequence[str], wishes: Sequence[Wish], stories: list[Story]
) -> None:
    """Say the same of some normal videos. The first two such videos of test are even the same.

    They were to mention the same things, so that no share changes.
    """
    normal = [int(i) for i in rng.permutation(len(kinds)) if kinds[i] == NORMAL]
    if split == "train":
        groups = evenly(_REPEATED[split], round(len(_REPEATED[split]) * len(kinds) / 1610))
    else:
        groups = list(_REPEATED[split])[: len(normal) // 2]
    for number, size in enumerate(groups):
        wish = replace(wishes[normal[0]], words=0)
        alike = [place for place in normal if replace(wishes[place], words=0) == wish]
        first, *others = sorted([*alike, *(p for p in normal if p not in alike)][:size])
        normal = [place for place in normal if place not in (first, *others)]
        told = stories[first]
        named = {phrase.factor for phrase in told.phrases}
        for place in others:
            if split == "test" and number == 0:
                stories[place] = Story(told.scenario, told.phrases, first)
                continue
            scenario = told.scenario
            for factor in ALTERABLE:
                if factor not in named:
                    scenario = altered(rng, scenario, factor)
            stories[place] = Story(scenario, told.phrases)


def _rng(*name: object) -> Rng:
    return np.random.default_rng(derive_seed(*name))
