"""A simulated benchmark that real captions drive: they say what its videos show.

Names, splits, captions and, where they are known, lengths and intervals are those of UCFCrime-AR;
what else there is (intervals of training videos, ordinary events) is drawn as for
:func:`~varkit_benchmarks.simulator.population.draw_population`. Features stay simulated.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from varkit.errors import DataError
from varkit.interfaces import derive_seed
from varkit_benchmarks.annotations import UCF_CRIME, base_name, read_annotations
from varkit_benchmarks.findings import Findings, lines
from varkit_benchmarks.simulator.classes import NORMAL
from varkit_benchmarks.simulator.crimes import CRIMES
from varkit_benchmarks.simulator.events import Event
from varkit_benchmarks.simulator.phrases import find_phrases
from varkit_benchmarks.simulator.population import Happening, SimulatedVideo
from varkit_benchmarks.simulator.quantiles import Rng
from varkit_benchmarks.simulator.timeline import (
    LAWS,
    MEDIANS,
    SHORTEST,
    Segments,
    draw_any,
    draw_intervals,
    draw_lengths,
)
from varkit_benchmarks.simulator.world import Scenario, draw_ordinary, draw_scenario
from varkit_benchmarks.spreadsheets import read_table
from varkit_benchmarks.text_lists import read_lines
from varkit_benchmarks.ucfcrime_ar import ANNOTATIONS, ENGLISH, NAME, split_name

FRAMES = 16
"""Of a clip."""
_SOMETHING = Event(NORMAL, (), (), (), (), ())


@dataclass(frozen=True)
class Told:
    """What is known of a real video.

    Attributes:
        name: without folder and ending: ``Abuse001_x264``.
        folder: of its class.
        kind: the class.
        split: ``train`` or ``test``.
        caption: what is said of it.
        frames: how many it has; None = not known.
        intervals: frames [start, end) of its anomalies; empty = not known, or none.
    """

    name: str
    folder: str
    kind: str
    split: str
    caption: str
    frames: int | None = None
    intervals: tuple[tuple[int, int], ...] = ()


def read_told(captions: Path, annotations: Path | None = None) -> list[Told]:
    """Read what is known of UCFCrime-AR's videos.

    Args:
        captions: folder of ``ucf_crime_train.xlsx`` and ``ucf_crime_test.xlsx``.
        annotations: folder of ``All_Annotation.txt``, whose lines begin with a name and a number
            of frames, and ``Temporal_Anomaly_Annotation.txt``; either may be absent. None = both.

    Raises:
        DataError: a file cannot be read, or a line of it makes no sense.
    """
    found = Findings()
    counts, intervals = {}, {}
    if annotations is not None and (file := annotations / "All_Annotation.txt").is_file():
        for number, line in read_lines(file):
            match = re.match(r"(\S+)\s+(\d+)(?=\s|$)", line)
            if match is None:
                raise DataError(f"{file}, line {number}: expected a name and a number of frames")
            counts[base_name(match[1])] = int(match[2])
    if annotations is not None and (file := annotations / ANNOTATIONS[0]).is_file():
        for name, annotation in read_annotations(file, UCF_CRIME, found).items():
            intervals[name] = annotation.segments
    if found.faults:
        raise DataError(lines(found.faults)[0])
    told = []
    for split in ("train", "test"):
        for number, row in read_table(captions / f"ucf_crime_{split}.xlsx", [NAME, ENGLISH]):
            try:
                name, folder, kind = split_name(row[NAME])
            except ValueError as error:
                raise DataError(f"ucf_crime_{split}.xlsx, row {number}: {error}") from error
            known = counts.get(name), intervals.get(name, ())
            told.append(Told(name, folder or kind, kind, split, row[ENGLISH], *known))
    return told


def draw_driven(
    told: Sequence[Told], *, others: int, seed: int, median_clips: int = 138, longest: int = 61_031
) -> list[SimulatedVideo]:
    """Draw what is not known of some real videos, training first.

    Args:
        told: what is known. Videos of one caption and one number of frames are one and the same.
        others: ordinary events in every video that its caption does not mention.
        seed: another seed is another world.
        median_clips: lengths are scaled as if this was the median of training; the real is 138.
        longest: largest T.

    Raises:
        DataError: there is no caption, or one is empty.
        VarkitError: spaCy or an English pipeline is missing.
    """
    told = sorted(told, key=lambda video: video.split != "train")
    if not told or any(not video.caption for video in told):
        raise DataError("every video of a world that captions drive needs one")
    scale = median_clips / MEDIANS["text"]
    phrases = find_phrases([video.caption for video in told])
    clips: list[int] = []
    when: list[Segments] = []
    for split in ("train", "test"):
        chosen = [video for video in told if video.split == split]
        rng = _rng(seed, "driven", split)
        lengths = _lengths(rng, split, chosen, scale, longest)
        clips += lengths
        when += _intervals(rng, split, chosen, lengths)
    videos: list[SimulatedVideo] = []
    originals: dict[tuple[str, int], int] = {}
    for number, video in enumerate(told):
        twin = number
        if video.frames is not None:
            twin = originals.setdefault((_plain(video.caption), video.frames), number)
        event = CRIMES.get(video.kind, _SOMETHING)
        scenario = Scenario(event, anomalous=video.kind != NORMAL)
        rng, law = _rng(seed, "driven", number), LAWS["text", video.split]
        happenings = [Happening(scenario, when[number] or draw_any(rng, law, clips[number]))]
        for _ in range(others):
            other = draw_scenario(rng, draw_ordinary(rng), anomalous=False)
            happenings.append(Happening(other, draw_any(rng, law, clips[number])))
        drawn = SimulatedVideo(
            number=number,
            name=video.name,
            folder=video.folder,
            split=video.split,
            clips=clips[number],
            happenings=tuple(happenings),
            phrases=phrases[number],
            caption=video.caption,
            classes=(video.kind,),
            source=video.name,
            twin=twin,
        )
        if twin != number:
            same = videos[twin]
            drawn = replace(drawn, clips=same.clips, happenings=same.happenings)
        videos.append(drawn)
    return videos


def _lengths(rng: Rng, split: str, told: Sequence[Told], scale: float, longest: int) -> list[int]:
    """Return T of all videos: what is known, scaled, and what is drawn."""
    kinds = [video.kind for video in told]
    drawn = draw_lengths(rng, "text", split, kinds, scale=scale, longest=longest)
    known = [None if v.frames is None else round(v.frames / FRAMES * scale) for v in told]
    return [
        other if length is None else max(min(length, longest), SHORTEST)
        for length, other in zip(known, drawn, strict=True)
    ]


def _intervals(
    rng: Rng, split: str, told: Sequence[Told], lengths: Sequence[int]
) -> list[Segments]:
    """Return the clips of every video's anomaly: known, drawn, or none in normal videos."""
    unusual = [i for i, video in enumerate(told) if video.kind != NORMAL]
    drawn = draw_intervals(
        rng,
        "text",
        split,
        [told[i].kind for i in unusual],
        [lengths[i] for i in unusual],
        np.ones(len(unusual), dtype=int),
    )
    found: list[Segments] = [()] * len(told)
    for i, segments in zip(unusual, drawn, strict=True):
        frames = told[i].frames
        found[i] = segments
        if told[i].intervals and frames is not None:
            found[i] = _in_clips(told[i].intervals, frames, lengths[i])
    return found


def _in_clips(intervals: Sequence[tuple[int, int]], frames: int, clips: int) -> Segments:
    """Return intervals in clips, stretched to the video's T; those that touch are joined."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        first = min(int(start / frames * clips), clips - 1)
        last = min(max(round(end / frames * clips), first + 1), clips)
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], last)
        else:
            found.append((first, last))
    return tuple(found)


def _plain(caption: str) -> str:
    return " ".join(caption.casefold().rstrip(".").split())


def _rng(*name: object) -> Rng:
    return np.random.default_rng(derive_seed(*name))
