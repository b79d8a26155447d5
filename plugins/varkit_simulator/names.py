"""Names as in the benchmarks' lists; films and channels are invented."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from varkit_simulator.draws import Rng, apportion
from varkit_simulator.events import NORMAL, UCF_CRIME
from varkit_simulator.timeline import SECONDS

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
_FIRST = (
    "Velvet", "Paper", "Borrowed", "Second", "Quiet", "Crooked", "Wooden", "Salted", "Upstairs",
    "Distant", "Polite", "Electric", "Frozen", "Hollow", "Nervous", "Silver", "Unlikely", "Amber",
)  # fmt: skip
_LAST = (
    "Teapot", "Lighthouse", "Umbrella", "Accountant", "Orchard", "Staircase", "Harmonica", "Canal",
    "Postman", "Thermometer", "Pigeons", "Suitcase", "Gardeners", "Ferry", "Almanac", "Spoon",
)  # fmt: skip


def ucf_crime_names(rng: Rng, kinds: Sequence[str], splits: Sequence[str]) -> list[tuple[str, str]]:
    """Return (folder, name) of every video; no number of a class is in both splits.

    Names of normal videos differ by an underscore: ``Normal_Videos001_x264`` in training,
    ``Normal_Videos_901_x264`` in test. Numbers exceed the benchmark's only in a class with more
    videos.
    """
    numbers = {}
    for kind, counts in UCF_CRIME.items():
        size = max(sum(counts), kinds.count(kind))
        numbers[kind] = iter(1 + rng.permutation(size)[: kinds.count(kind)])
    names = []
    for kind, split in zip(kinds, splits, strict=True):
        number = int(next(numbers[kind]))
        if kind != NORMAL:
            names.append((kind, f"{kind}{number:03d}_x264"))
        elif split == "train":
            names.append(("Training_Normal_Videos_Anomaly", f"Normal_Videos{number:03d}_x264"))
        else:
            names.append(("Testing_Normal_Videos_Anomaly", f"Normal_Videos_{number:03d}_x264"))
    return names


@dataclass(frozen=True)
class Source:
    """A film or a channel on the web.

    Attributes:
        title: how its videos' names begin: ``The.Velvet.Teapot.1994``, or ``v=`` and 11 characters.
        stamped: whether names give the part of the source that a video is; else it is the whole.
    """

    title: str
    stamped: bool


_GROUPS = (
    # film, sources, their videos in training, in test: of 3,954 and 800
    (True, 95, 1805, 377),
    (False, 89, 549, 156),
    (True, 7, 12, 0),
    (False, 1439, 1588, 0),
    (False, 263, 0, 267),
)


def draw_sources(rng: Rng, train: int, test: int) -> list[Source]:
    """Return where every video is from, training videos first.

    XD-Violence's 4,754 videos come from 1,893 sources. 184 sources, nearly all films among them,
    are in both splits; so 533 of 800 test videos come from a source that is also in training.

    Args:
        rng: the world's own generator.
        train: number of training videos.
        test: of test videos.
    """
    titles = {True: _films(rng), False: _channels(rng)}
    shares = zip(
        apportion(train, [group[2] for group in _GROUPS]),
        apportion(test, [group[3] for group in _GROUPS]),
        strict=True,
    )
    drawn: tuple[list[Source], list[Source]] = [], []
    for (film, sources, *often), parts in zip(_GROUPS, shares, strict=True):
        total = sum(often)
        count = round(sources * sum(parts) / total)
        count = max(1, min([count, *(part for part in parts if part)]))
        sizes = [_sizes(part, count) for part in parts]
        for title, *numbers in zip(titles[film], *sizes, strict=False):
            source = Source(title, film or sum(numbers) > 1)
            for split, number in zip(drawn, numbers, strict=True):
                split += [source] * number
    return [split[i] for split in drawn for i in rng.permutation(len(split))]


def xd_violence_names(
    rng: Rng, sources: Sequence[Source], labels: Sequence[str], clips: Sequence[int]
) -> list[str]:
    """Return names that hold source, time stamps and label; no two videos of a source overlap."""
    ends: dict[Source, int] = {}
    names = []
    for source, label, length in zip(sources, labels, clips, strict=True):
        span = "1"
        if source.stamped:
            start = ends.get(source, 0) + int(rng.integers(5, 90))
            ends[source] = start + round(length * SECONDS["audio"])
            span = f"{_stamp(start)}_{_stamp(ends[source])}"
        names.append(f"{source.title}__#{span}_label_{label}")
    return names


def _stamp(seconds: int) -> str:
    return f"{seconds // 3600:02d}-{seconds // 60 % 60:02d}-{seconds % 60:02d}"


def _films(rng: Rng) -> Iterator[str]:
    """Yield titles endlessly, without repetition."""
    for part in itertools.count():
        sequel = f".{part + 1}" if part else ""
        for number in rng.permutation(len(_FIRST) * len(_LAST)):
            first, last = _FIRST[number // len(_LAST)], _LAST[number % len(_LAST)]
            yield f"The.{first}.{last}{sequel}.{rng.integers(1970, 2020)}"


def _channels(rng: Rng) -> Iterator[str]:
    while True:
        yield "v=" + "".join(_ALPHABET[i] for i in rng.integers(len(_ALPHABET), size=11))


def _sizes(total: int, count: int) -> list[int]:
    """Return how many videos each source has: a few have many, and if possible all have one."""
    if total <= count:
        return [1] * total + [0] * (count - total)
    weights = (1 - (np.arange(count) + 0.5) / count) ** 1.3
    return [1 + extra for extra in apportion(total - count, weights)]
