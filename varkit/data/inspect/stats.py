"""Statistics of a data set: lengths, captions, classes, anomalies.

Every figure has a stable name, such as ``words.mean``; the figure of one split has the split
appended, ``words.mean.train``. Lengths come from headers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.captions import caption_length, is_chinese, vocabulary
from varkit.data.inspect.verify import Progress, open_splits
from varkit.data.positives import equal_captions
from varkit.interfaces import Dataset, Item

QUANTILES = (5, 25, 50, 75, 95, 99)
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Video:
    """What the figures need of one video.

    Attributes:
        item: identifier, queries, label and classes.
        split: its split.
        clips: T; 0 in a data set without streams.
        seconds: its duration; likewise.
        captions: its queries, if they are captions.
        sounds: the number of clips of each query, if they are sounds.
        segments: (start, end) of each anomaly, in clips; None = unknown.
    """

    item: Item
    split: str
    clips: int
    seconds: float
    captions: tuple[str, ...]
    sounds: tuple[int, ...]
    segments: tuple[tuple[int, int], ...] | None

    @property
    def fraction(self) -> float:
        """The share of the video that is anomalous."""
        return sum(end - start for start, end in self.segments or ()) / self.clips


@dataclass(frozen=True)
class Published:
    """A published figure, and the same figure of the data at hand.

    Attributes:
        key: the figure's name.
        found: its value in the data; None if they have no such figure.
        published: the published value.
        source: where it was published.
    """

    key: str
    found: float | None
    published: float
    source: str

    @property
    def equal(self) -> bool:
        """Whether the figures are equal, rounded to the published digits."""
        digits = -int(Decimal(f"{self.published:.12g}").as_tuple().exponent)
        return self.found is not None and round(self.found, digits) == self.published

    @property
    def verdict(self) -> str:
        """Whether the two agree, in words."""
        if self.found is None:
            return "not in these data"
        if self.equal:
            return "equal"
        return f"DIFFERS by {self.found - self.published:+,.2f}".removesuffix(".00")


@dataclass(frozen=True)
class Statistics:
    """The figures of a data set.

    Attributes:
        name: of the data set.
        simulated: whether a program made it.
        splits: its splits.
        videos: all videos.
        figures: by name; see the module's docstring.
    """

    name: str
    simulated: bool
    splits: tuple[str, ...]
    videos: tuple[Video, ...]
    figures: dict[str, float]

    def beside(self, published: Mapping[str, tuple[float, str]]) -> list[Published]:
        """Return published figures, each with the value in the data."""
        return [
            Published(key, self.figures.get(key), value, source)
            for key, (value, source) in published.items()
        ]

    def to_dict(self, published: Mapping[str, tuple[float, str]]) -> dict[str, Any]:
        """Return the figures as JSON values."""
        return {
            "schema": 1,
            "dataset": self.name,
            "simulated": self.simulated,
            "figures": self.figures,
            "published": [asdict(p) | {"equal": p.equal} for p in self.beside(published)],
        }


def statistics(dataset: Dataset, progress: Progress | None = None) -> Statistics:
    """Count and measure a data set.

    Args:
        dataset: gives lengths, times, queries and ground truth; without streams, only queries.
        progress: called after every video.

    Raises:
        DataError: a split or a video cannot be read.
    """
    splits, _ = open_splits(dataset)
    videos: list[Video] = []
    total = sum(map(len, splits.values()))
    for split, items in splits.items():
        for item in items:
            videos.append(_video(dataset, item, split))
            if progress is not None:
                progress(len(videos), total)
    chinese = _chinese(videos)
    figures: dict[str, float] = {}
    for split in ("", *splits):
        part = [video for video in videos if split in ("", video.split)]
        own = _counts(part) | _lengths(part) | _captions(part, chinese) | _anomalies(part)
        figures |= {f"{key}.{split}".rstrip("."): value for key, value in own.items()}
    figures |= _vocabulary_gap(videos)
    for name in sorted({name for video in videos for name in video.item.classes}):
        figures |= _class(name, videos, tuple(splits))
    return Statistics(dataset.name, dataset.simulated, tuple(splits), tuple(videos), figures)


def segments(truth: NDArray[np.bool_]) -> tuple[tuple[int, int], ...]:
    """Return [start, end) of every run of True.

    >>> segments(np.array([True, False, True, True]))
    ((0, 1), (2, 4))
    """
    edges = np.flatnonzero(np.diff(truth.astype(np.int8), prepend=0, append=0)).tolist()
    return tuple(zip(edges[::2], edges[1::2], strict=True))


def _video(dataset: Dataset, item: Item, split: str) -> Video:
    queries = [dataset.query(query) for query in item.queries]
    clips, seconds, truth = 0, 0.0, None
    if dataset.widths:
        times = dataset.open(item.video).times
        clips, seconds = len(times), float(times[-1, 1] - times[0, 0])
        truth = dataset.truth(item.video)
    return Video(
        item,
        split,
        clips,
        seconds,
        tuple(query for query in queries if isinstance(query, str)),
        tuple(query.length for query in queries if not isinstance(query, str)),
        None if truth is None else segments(truth),
    )


def _counts(videos: Sequence[Video]) -> dict[str, float]:
    labels = Counter(video.item.label for video in videos)
    return {
        "videos": len(videos),
        "anomalous": labels[1],
        "normal": labels[0],
        "unlabelled": labels[None],
        "queries": sum(len(video.item.queries) for video in videos),
        "distractors": sum(not video.item.queries for video in videos),
        "classes": len({name for video in videos for name in video.item.classes}),
    }


def _lengths(videos: Sequence[Video]) -> dict[str, float]:
    if not any(video.clips for video in videos):
        return {}
    seconds = np.array([video.seconds for video in videos])
    clips = np.array([video.clips for video in videos])
    sounds = np.array([length for video in videos for length in video.sounds])
    figures = {"hours": float(seconds.sum() / 3600)}
    figures |= {
        "seconds.mean": float(seconds.mean()),
        "seconds.median": float(np.median(seconds)),
        "seconds.max": float(seconds.max()),
        "clips.mean": float(clips.mean()),
    }
    figures |= _quantiles("clips", clips)
    if len(sounds):
        figures["sound_clips.mean"] = float(sounds.mean())
        figures |= _quantiles("sound_clips", sounds)
    return figures


def _captions(videos: Sequence[Video], chinese: bool) -> dict[str, float]:
    captions = [caption for video in videos for caption in video.captions]
    if not captions:
        return {}
    lengths = np.array([caption_length(caption) for caption in captions])
    unit = "characters" if chinese else "words"
    groups = [len(alike) for alike in equal_captions(enumerate(captions)) if len(alike) > 1]
    return {
        f"{unit}.mean": float(lengths.mean()),
        f"{unit}.std": float(lengths.std()),
        f"{unit}.min": int(lengths.min()),
        f"{unit}.median": float(np.median(lengths)),
        f"{unit}.p95": float(np.percentile(lengths, 95)),
        f"{unit}.max": int(lengths.max()),
        "vocabulary": len(vocabulary(captions)),
        "duplicates.groups": len(groups),
        "duplicates.captions": sum(groups),
    }


def _anomalies(videos: Sequence[Video]) -> dict[str, float]:
    anomalous = [video for video in videos if video.segments]
    if not anomalous:
        return {}
    counts = [len(video.segments or ()) for video in anomalous]
    fractions = np.array([video.fraction for video in anomalous])
    starts = [(video.segments or ())[0][0] / video.clips for video in anomalous]
    return {
        "anomaly.videos": len(anomalous),
        "anomaly.segments": sum(counts),
        "anomaly.segments.mean": float(np.mean(counts)),
        "anomaly.fraction.mean": float(fractions.mean()),
        **_quantiles("anomaly.fraction", fractions),
        "anomaly.start.median": float(np.median(starts)),
    }


def _class(name: str, videos: Sequence[Video], splits: Sequence[str]) -> dict[str, float]:
    own = [video for video in videos if name in video.item.classes]
    key = f"class.{name}"
    figures: dict[str, float] = {f"{key}.videos": len(own)}
    for split in splits:
        figures[f"{key}.videos.{split}"] = sum(video.split == split for video in own)
    if any(video.clips for video in own):
        figures[f"{key}.seconds.median"] = float(np.median([video.seconds for video in own]))
    fractions = [video.fraction for video in own if video.segments]
    if fractions:
        figures[f"{key}.fraction.median"] = float(np.median(fractions))
    return figures


def _vocabulary_gap(videos: Sequence[Video]) -> dict[str, float]:
    """Return how many words of the test captions do not occur in any training caption."""
    train, test = (
        vocabulary([text for video in videos if video.split == split for text in video.captions])
        for split in ("train", "test")
    )
    return {"vocabulary.unseen": len(test - train)} if train and test else {}


def _chinese(videos: Sequence[Video]) -> bool:
    flags = [is_chinese(caption) for video in videos for caption in video.captions]
    return 2 * sum(flags) > len(flags)


def _quantiles(name: str, values: Floats | NDArray[np.int64]) -> dict[str, float]:
    quantiles = np.percentile(values, QUANTILES)
    return {f"{name}.p{q}": float(value) for q, value in zip(QUANTILES, quantiles, strict=True)}
