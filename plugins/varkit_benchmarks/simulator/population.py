"""Who is in a simulated benchmark: every video's name, length, events, classes and caption."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from varkit.interfaces import derive_seed
from varkit_benchmarks.simulator.captions import Phrase, sentence
from varkit_benchmarks.simulator.classes import NORMAL, UCF_CRIME, XD_LABELS, classes_of
from varkit_benchmarks.simulator.events import VIOLENCE
from varkit_benchmarks.simulator.names import draw_sources, ucf_crime_names, xd_violence_names
from varkit_benchmarks.simulator.quantiles import Rng, evenly
from varkit_benchmarks.simulator.stories import Story, draw_stories
from varkit_benchmarks.simulator.timeline import (
    LAWS,
    MEDIANS,
    Segments,
    draw_any,
    draw_intervals,
    draw_lengths,
)
from varkit_benchmarks.simulator.world import Scenario, Task, draw_ordinary, draw_scenario


@dataclass(frozen=True)
class Plan:
    """What a simulated benchmark contains; how it is rendered is said elsewhere.

    Attributes:
        task: ``text`` (UCF-Crime's classes, captions) or ``audio`` (XD-Violence's, sounds).
        videos: how many.
        test: share of them in the test split.
        median_clips: median T of the training split.
        longest: largest T, 6 or more.
        others: events of ordinary life in every video that its caption does not mention.
        seed: another seed is another world.
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
        name: in the benchmark's own naming, without folder and ending: ``Abuse001_x264``,
            ``Some.Film.1999__#00-11-55_00-12-40_label_G-B2-B6``.
        folder: UCF-Crime's folder of the class, such as ``Testing_Normal_Videos_Anomaly``; XD: the
            split.
        split: ``train`` or ``test``.
        clips: T.
        happenings: the captioned event first (XD: one for each of up to three classes), then
            ordinary ones that nobody mentions. All share the first one's scene and actor.
        phrases: what the caption is made of; empty for XD.
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
        return self.classes != ("Normal",)


def draw_population(plan: Plan) -> list[SimulatedVideo]:
    """Draw all videos: training first, classes in no order.

    What a plan scales down it keeps in proportion. Of UCF-Crime, one normal test video repeats
    another in everything but its name (see ``twin``), as happens in the benchmark.
    """
    test = round(plan.videos * plan.test)
    sizes = {"train": plan.videos - test, "test": test}
    labels = {split: _labels(plan, split, size) for split, size in sizes.items()}
    said: set[str] = set()
    videos = _draw_split(plan, "train", 0, labels["train"], said)
    videos += _draw_split(plan, "test", sizes["train"], labels["test"], said)
    rng = _rng(plan, "names")
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


def _draw_split(
    plan: Plan, split: str, first: int, labels: Sequence[str], said: set[str]
) -> list[SimulatedVideo]:
    """Return the videos of a split, numbered from ``first``, without names."""
    classes = [(label,) if plan.task == "text" else classes_of(label) for label in labels]
    kinds = [kind for kind, *_ in classes]
    rng = _rng(plan, "timeline", split)
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
        stories = draw_stories(plan.seed, split, kinds, said)
        _spare_length(lengths, kinds, stories)
    else:
        stories = [
            Story(_violence(_rng(plan, "scenario", first + place), kind))
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
    """Give the length that a twin does not use to the video that is most like it in length."""
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
    """Return what happens in a video: its classes in turn, then what nobody mentions."""
    rng, law = _rng(plan, "happenings", number), LAWS[plan.task, split]
    if not scenario.anomalous:
        segments = draw_any(rng, law, clips)
    found: list[Happening] = []
    for kind, part in zip(classes, _shared_out(segments, len(classes)), strict=True):
        if found:
            other = _violence(rng, kind)
            scenario = replace(
                scenario,
                event=other.event,
                target=other.target,
                tool=other.tool,
                outcome=other.outcome,
            )
        found.append(Happening(scenario, part))
    for _ in range(plan.others):
        other = draw_scenario(rng, draw_ordinary(rng), anomalous=False)
        found.append(Happening(other, draw_any(rng, law, clips)))
    return tuple(found)


def _shared_out(segments: Segments, parts: int) -> list[Segments]:
    """Share ascending segments out to some classes in turn; the first get one more."""
    sizes = [len(segments) // parts + (part < len(segments) % parts) for part in range(parts)]
    ends = np.cumsum(sizes)
    return [segments[end - size : end] for size, end in zip(sizes, ends, strict=True)]


def _violence(rng: Rng, kind: str) -> Scenario:
    event = draw_ordinary(rng) if kind == NORMAL else VIOLENCE[kind]
    return draw_scenario(rng, event, anomalous=kind != NORMAL)


def _labels(plan: Plan, split: str, count: int) -> list[str]:
    """Return UCF-Crime's classes or XD-Violence's labels, as often as they are there."""
    known = UCF_CRIME if plan.task == "text" else XD_LABELS
    every = [label for label, often in known.items() for _ in range(often[split == "test"])]
    order = _rng(plan, "labels", split).permutation(count)
    chosen = evenly(every, count)
    return [chosen[i] for i in order]


def _rng(plan: Plan, *name: object) -> Rng:
    return np.random.default_rng(derive_seed(plan.seed, *name))
