"""Writes a simulated benchmark: features, a manifest, and the truth that made them."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from varkit.draws import derive_seed
from varkit_benchmarks.simulator.captions import Phrase, describe, sentence
from varkit_benchmarks.simulator.signals import Happening, Knobs, soundtrack, video_streams
from varkit_benchmarks.simulator.timeline import LAWS, draw_length, draw_segments
from varkit_benchmarks.simulator.world import Scenario, Task, draw_scenario, near_copy

VERSION = 2
"""Raise it with every change of what is generated; it is part of the cache's name."""

NEAR_COPIES = 0.03
"""Share of videos that differ from another one of the split in a colour only."""

SECONDS = {"text": 16 / 30, "audio": 16 / 24}
"""Of a clip: 16 frames at UCF-Crime's and XD-Violence's frame rates."""


@dataclass(frozen=True)
class Plan:
    """What to generate.

    Attributes:
        task: captions or sounds.
        videos: how many.
        test: share of them in the test split.
        median_clips: median T.
        longest: largest T.
        others: events of ordinary life in every video that its caption does not mention.
        knobs: how hard it is.
    """

    task: Task
    videos: int
    test: float
    median_clips: int
    longest: int
    others: int
    knobs: Knobs


@dataclass(frozen=True)
class Simulated:
    """One video before its features: what shows, what is said, when.

    ``twin`` is the number of the video whose features this one repeats, its own otherwise.
    """

    number: int
    split: str
    scenario: Scenario
    phrases: list[Phrase]
    twin: int

    @property
    def name(self) -> str:
        """Return the identifier."""
        return f"{self.scenario.event.name}{self.number:04d}"


def draw_videos(plan: Plan) -> list[Simulated]:
    """Draw all videos: half of either split is anomalous, some resemble another on purpose.

    The last video of the test split repeats its second in everything, and the one before has the
    caption of its first, as happens once each in the benchmark's test split.
    """
    test = round(plan.videos * plan.test)
    videos: list[Simulated] = []
    for number in range(plan.videos):
        rng = np.random.default_rng(derive_seed(plan.knobs.seed, "scenario", number))
        split, first = ("train", 0) if number < plan.videos - test else ("test", plan.videos - test)
        scenario = draw_scenario(
            rng,
            plan.task,
            anomalous=number % 2 == 0,
            test=split == "test",
            sources=max(1, plan.videos // 2),
        )
        phrases = describe(rng, scenario)
        twin = number
        left = plan.videos - number
        if split == "test" and test >= 4 and left <= 2:
            original = videos[first + 2 - left]
            scenario, phrases = original.scenario, original.phrases
            twin = original.number if left == 1 else number
        elif rng.random() < NEAR_COPIES and number > first:
            original = videos[int(rng.integers(first, number))]
            scenario = near_copy(rng, original.scenario)
            phrases = _repainted(original, scenario)
        videos.append(Simulated(number, split, scenario, phrases, twin))
    return videos


def generate(plan: Plan, folder: Path) -> None:
    """Write ``features/``, ``manifest.csv`` and ``ground_truth.json`` into an empty folder."""
    (folder / "features").mkdir()
    videos = draw_videos(plan)
    truths: dict[str, Any] = {}
    with (folder / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        streams = ["object", "motion"] + (["audio"] if plan.task == "audio" else [])
        columns = ["video", "split", "class", "label", "caption", "anomaly", *streams]
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        for video in videos:
            length, happenings = _happenings(plan, video, videos)
            files = {s: f"features/{video.name}.{s}.npy" for s in streams}
            for stream, signal in _features(plan, video, length, happenings):
                np.save(folder / files[stream], signal.astype(np.float16))
            writer.writerow(_row(plan, video, happenings[0]) | files)
            truths[video.name] = _truth(video, length, happenings)
    (folder / "ground_truth.json").write_text(json.dumps(truths, indent=1), encoding="utf-8")


def _happenings(
    plan: Plan, video: Simulated, videos: list[Simulated]
) -> tuple[int, list[Happening]]:
    rng = np.random.default_rng(derive_seed(plan.knobs.seed, "timeline", video.twin))
    law = LAWS[plan.task, video.split == "test"]
    length = draw_length(rng, law, median=plan.median_clips, longest=plan.longest)
    happenings = [Happening(video.scenario, draw_segments(rng, law, length))]
    for _ in range(plan.others):
        other = draw_scenario(rng, plan.task, anomalous=False, test=False, sources=1)
        happenings.append(Happening(other, draw_segments(rng, law, length)))
    return length, happenings


def _features(
    plan: Plan, video: Simulated, length: int, happenings: list[Happening]
) -> Iterator[tuple[str, Any]]:
    rng = np.random.default_rng(derive_seed(plan.knobs.seed, "features", video.twin))
    streams = video_streams(rng, plan.knobs, happenings, length)
    if plan.task == "audio":
        yield "audio", soundtrack(rng, plan.knobs, happenings[0], streams)
    yield from streams.items()


def _row(plan: Plan, video: Simulated, event: Happening) -> dict[str, object]:
    seconds = SECONDS[plan.task]
    spans = [f"{s * seconds:.4f}-{e * seconds:.4f}" for s, e in event.segments]
    return {
        "video": video.name,
        "split": video.split,
        "class": video.scenario.event.name,
        "label": int(video.scenario.anomalous),
        "caption": sentence(video.phrases) if plan.task == "text" else "",
        "anomaly": "; ".join(spans) if video.scenario.anomalous else "",
    }


def _truth(video: Simulated, length: int, happenings: list[Happening]) -> dict[str, Any]:
    return {
        "clips": length,
        "factors": video.scenario.factors(),
        "events": [
            {
                "class": h.scenario.event.name,
                "segments": h.segments,
                "captioned": h is happenings[0],
            }
            for h in happenings
        ],
        "phrases": [[p.factor, p.text] for p in video.phrases],
    }


def _repainted(original: Simulated, scenario: Scenario) -> list[Phrase]:
    """Return the original's caption with the colour that the copy has."""
    return [
        replace(p, text=p.text.replace(original.scenario.colour, scenario.colour))
        if p.factor == "colour"
        else p
        for p in original.phrases
    ]
