"""Which videos a benchmark has: each one's name, length, events, classes and caption.

Classes, near copies and repeated captions have the same shares as in the real benchmark.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from varkit_simulator.captions import Outline, Phrase, describe, draw_outlines, sentence
from varkit_simulator.draws import Rng, evenly, generator, pick
from varkit_simulator.events import (
    CRIMES,
    NORMAL,
    UCF_CRIME,
    VIOLENCE,
    XD_LABELS,
    Task,
    classes_of,
)
from varkit_simulator.names import draw_sources, ucf_crime_names, xd_violence_names
from varkit_simulator.scenarios import (
    ALTERABLE,
    Scenario,
    altered,
    draw_everyday_event,
    draw_scenario,
)
from varkit_simulator.timeline import (
    LAWS,
    MEDIANS,
    Law,
    Segments,
    draw_intervals,
    draw_lengths,
    draw_ordinary_segments,
)

NEAR_COPIES = 0.012
"""Share of videos that differ from another of their class in one thing named by captions."""

_REPEATED: Mapping[str, Sequence[int]] = {
    "train": (6, 4, 3, 3, 3, 3, *[2] * 20),  # of 1,610
    "test": (2, 2),
}
"""Sizes of the groups of normal videos that share a caption."""


@dataclass(frozen=True)
class Plan:
    """What a simulated benchmark contains; :class:`.features.Knobs` says how features show it.

    Attributes:
        task: ``text`` (UCF-Crime's classes, captions) or ``audio`` (XD-Violence's, sounds).
        videos: how many.
        test: share of them in the test split.
        median_clips: median T of the training split.
        longest: largest T, 6 or more.
        others: everyday events in every video that its caption does not mention.
        seed: of all draws; another seed is another world.
    """

    task: Task
    videos: int
    test: float
    median_clips: int
    longest: int
    others: int
    seed: int


@dataclass(frozen=True)
class Happening:
    """An event in a video: what is shown, and in which clips [start, end)."""

    scenario: Scenario
    segments: Segments


@dataclass(frozen=True)
class SimulatedVideo:
    """One video before its features.

    Attributes:
        number: its position, 0 to videos - 1; training videos come first.
        name: as in the benchmark, without folder and ending: ``Abuse001_x264``,
            ``Some.Film.1999__#00-11-55_00-12-40_label_G-B2-B6``.
        folder: UCF-Crime's folder of the class, such as ``Testing_Normal_Videos_Anomaly``; XD: the
            split.
        split: ``train`` or ``test``.
        clips: T.
        happenings: the captioned event first (XD: one for each of up to three classes), then
            everyday ones that no caption mentions. All show the first one's scene and actor.
        phrases: parts of the caption; empty for XD.
        caption: the sentence; empty for XD.
        classes: sorted names, ``("Normal",)`` where nothing anomalous happens.
        source: film or channel; UCF-Crime: the video's own name.
        twin: number of the video whose features this one repeats; its own otherwise.
    """

    number: int
    name: str
    folder: str
    split: str
    clips: int
    happenings: tuple[Happening, ...]
    phrases: tuple[Phrase, ...]
    caption: str
    classes: tuple[str, ...]
    source: str
    twin: int

    @property
    def path(self) -> str:
        """Return folder and name, as the benchmark's lists write them."""
        return f"{self.folder}/{self.name}"

    @property
    def anomalous(self) -> bool:
        """Return whether something anomalous happens."""
        return self.classes != (NORMAL,)


def draw_population(plan: Plan) -> list[SimulatedVideo]:
    """Draw all videos: training first, classes shuffled.

    As in UCF-Crime, one normal test video repeats another in everything but its name (``twin``).
    """
    test = round(plan.videos * plan.test)
    sizes = {"train": plan.videos - test, "test": test}
    labels = {split: _labels(plan, split, size) for split, size in sizes.items()}
    captions: set[str] = set()
    videos = _draw_split(plan, "train", 0, labels["train"], captions)
    videos += _draw_split(plan, "test", sizes["train"], labels["test"], captions)
    rng = generator(plan.seed, "names")
    if plan.task == "text":
        kinds = labels["train"] + labels["test"]
        names = ucf_crime_names(rng, kinds, [video.split for video in videos])
        return [
            replace(video, folder=folder, name=name, source=name)
            for video, (folder, name) in zip(videos, names, strict=True)
        ]
    sources = draw_sources(rng, sizes["train"], test)
    clips = [video.clips for video in videos]
    titles = xd_violence_names(rng, sources, labels["train"] + labels["test"], clips)
    return [
        replace(video, folder=video.split, name=name, source=source.title)
        for video, name, source in zip(videos, titles, sources, strict=True)
    ]


def _labels(plan: Plan, split: str, count: int) -> list[str]:
    """Return UCF-Crime's classes or XD-Violence's labels in the benchmark's proportions."""
    known = UCF_CRIME if plan.task == "text" else XD_LABELS
    every = [label for label, often in known.items() for _ in range(often[split == "test"])]
    order = generator(plan.seed, "labels", split).permutation(count)
    chosen = evenly(every, count)
    return [chosen[i] for i in order]


def _draw_split(
    plan: Plan, split: str, first: int, labels: Sequence[str], captions: set[str]
) -> list[SimulatedVideo]:
    """Return the videos of a split, numbered from ``first``, without names."""
    classes = [(label,) if plan.task == "text" else classes_of(label) for label in labels]
    kinds = [kind for kind, *_ in classes]
    rng = generator(plan.seed, "timeline", split)
    scale = plan.median_clips / MEDIANS[plan.task]
    lengths = draw_lengths(rng, plan.task, split, kinds, scale=scale, longest=plan.longest)
    unusual = [i for i, kind in enumerate(kinds) if kind != NORMAL]
    intervals = draw_intervals(
        rng,
        plan.task,
        split,
        [kinds[i] for i in unusual],
        [lengths[i] for i in unusual],
        np.array([len(classes[i]) for i in unusual], dtype=int),
    )
    when = dict(zip(unusual, intervals, strict=True))
    if plan.task == "text":
        stories = draw_stories(plan.seed, split, kinds, captions)
        _spare_length(lengths, kinds, stories)
    else:
        stories = [
            Story(_violence(generator(plan.seed, "scenario", first + place), kind))
            for place, kind in enumerate(kinds)
        ]
    videos: list[SimulatedVideo] = []
    for place, story in enumerate(stories):
        if story.twin is not None:
            videos.append(replace(videos[story.twin], number=first + place))
            continue
        happenings = _happenings(
            plan, split, first + place, story.scenario, classes[place], when.get(place, ()),
            lengths[place],
        )  # fmt: skip
        videos.append(
            SimulatedVideo(
                number=first + place,
                name="",
                folder="",
                split=split,
                clips=lengths[place],
                happenings=happenings,
                phrases=story.phrases,
                caption=sentence(story.phrases) if story.phrases else "",
                classes=tuple(sorted(classes[place])),
                source="",
                twin=first + place,
            )
        )
    return videos


def _spare_length(lengths: list[int], kinds: Sequence[str], stories: Sequence[Story]) -> None:
    """Give the length that a twin does not use to the normal video nearest to it in length."""
    for place, story in enumerate(stories):
        if story.twin is None:
            continue
        wanted = lengths[story.twin]
        normal = [i for i, kind in enumerate(kinds) if kind == NORMAL and i != story.twin]
        like = min(normal, key=lambda i: abs(lengths[i] - wanted))
        lengths[like] = lengths[place]


def _happenings(
    plan: Plan,
    split: str,
    number: int,
    scenario: Scenario,
    classes: Sequence[str],
    segments: Segments,
    clips: int,
) -> tuple[Happening, ...]:
    """Return what happens in a video: each of its classes, then unmentioned events."""
    rng, law = generator(plan.seed, "happenings", number), LAWS[plan.task, split]
    if not scenario.anomalous:
        segments = draw_ordinary_segments(rng, law, clips)
    happenings: list[Happening] = []
    for kind, part in zip(classes, _shared_out(segments, len(classes)), strict=True):
        if happenings:
            other = _violence(rng, kind)
            scenario = replace(
                scenario,
                event=other.event,
                target=other.target,
                tool=other.tool,
                outcome=other.outcome,
            )
        happenings.append(Happening(scenario, part))
    return (*happenings, *draw_unmentioned(rng, plan.others, law, clips))


def draw_unmentioned(rng: Rng, count: int, law: Law, clips: int) -> list[Happening]:
    """Draw everyday events that the caption of a video of ``clips`` clips does not mention."""
    return [
        Happening(
            draw_scenario(rng, draw_everyday_event(rng), anomalous=False),
            draw_ordinary_segments(rng, law, clips),
        )
        for _ in range(count)
    ]


def _shared_out(segments: Segments, parts: int) -> list[Segments]:
    """Cut ascending segments into as many runs as there are classes; the first are longer."""
    sizes = [len(segments) // parts + (part < len(segments) % parts) for part in range(parts)]
    ends = np.cumsum(sizes)
    return [segments[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _violence(rng: Rng, kind: str) -> Scenario:
    event = draw_everyday_event(rng) if kind == NORMAL else VIOLENCE[kind]
    return draw_scenario(rng, event, anomalous=kind != NORMAL)


@dataclass(frozen=True)
class Story:
    """What a video shows, and its caption.

    Attributes:
        scenario: what it shows.
        phrases: of the caption.
        twin: place of the video that it repeats in everything; None = it repeats none.
    """

    scenario: Scenario
    phrases: tuple[Phrase, ...] = ()
    twin: int | None = None


@dataclass(frozen=True)
class _Draft:
    """What determines a story's caption, so that it can be written again with one change."""

    attempt: tuple[object, ...]
    scenario: Scenario
    outline: Outline

    def phrases(self) -> tuple[Phrase, ...]:
        return describe(generator(*self.attempt, "words"), self.scenario, self.outline)


def draw_stories(seed: int, split: str, kinds: Sequence[str], seen: set[str]) -> list[Story]:
    """Draw the stories of a split.

    Args:
        seed: of the world.
        split: ``train`` or ``test``.
        kinds: (n,) the videos' classes.
        seen: captions that must not be repeated; the new ones are added.
    """
    rng = generator(seed, "stories", split)
    outlines = draw_outlines(rng, split, kinds)
    drafts: list[_Draft] = []
    stories = []
    for place, (kind, outline) in enumerate(zip(kinds, outlines, strict=True)):
        like = None
        if rng.random() < NEAR_COPIES and kind in kinds[:place]:
            like = drafts[rng.choice([i for i in range(place) if kinds[i] == kind])]
        for attempt in range(100):
            name = (seed, split, place, attempt)
            draft = _near(name, like) if like else _fresh(name, kind, outline)
            phrases = draft.phrases()
            if sentence(phrases) not in seen:
                break
        seen.add(sentence(phrases))
        drafts.append(draft)
        stories.append(Story(draft.scenario, phrases))
    _repeat(rng, split, kinds, outlines, stories)
    return stories


def _fresh(name: tuple[object, ...], kind: str, outline: Outline) -> _Draft:
    rng = generator(*name, "scenario")
    event = draw_everyday_event(rng) if kind == NORMAL else CRIMES[kind]
    night = outline.night or (not outline.day and rng.random() < 0.1)
    scenario = draw_scenario(
        rng, event, anomalous=kind != NORMAL, night=night, counted=outline.counted
    )
    return _Draft(name, scenario, outline)


def _near(name: tuple[object, ...], like: _Draft) -> _Draft:
    """Return a draft that differs from another one in one thing that its caption names."""
    rng = generator(*name, "near")
    named = {phrase.factor for phrase in like.phrases()}
    factor = pick(rng, [factor for factor in ALTERABLE if factor in named])
    return _Draft(like.attempt, altered(rng, like.scenario, factor), like.outline)


def _repeat(
    rng: Rng, split: str, kinds: Sequence[str], outlines: Sequence[Outline], stories: list[Story]
) -> None:
    """Give groups of normal videos one caption; the first group of test is one video twice.

    The outlines of a group mention the same things if possible, so that no share changes.
    """
    normal = [int(i) for i in rng.permutation(len(kinds)) if kinds[i] == NORMAL]
    if split == "train":
        groups = evenly(_REPEATED[split], round(len(_REPEATED[split]) * len(kinds) / 1610))
    else:
        groups = list(_REPEATED[split])[: len(normal) // 2]
    for number, size in enumerate(groups):
        outline = replace(outlines[normal[0]], words=0)
        alike = [place for place in normal if replace(outlines[place], words=0) == outline]
        first, *copies = sorted([*alike, *(p for p in normal if p not in alike)][:size])
        normal = [place for place in normal if place not in (first, *copies)]
        original = stories[first]
        named = {phrase.factor for phrase in original.phrases}
        for place in copies:
            if split == "test" and number == 0:
                stories[place] = Story(original.scenario, original.phrases, first)
                continue
            scenario = original.scenario
            for factor in ALTERABLE:
                if factor not in named:
                    scenario = altered(rng, scenario, factor)
            stories[place] = Story(scenario, original.phrases)
