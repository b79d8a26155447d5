"""One video of a data set, to be looked at: what it is, and where it is anomalous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.statistics import segments
from varkit.data.inspect.verification import open_splits
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Array, Dataset, Item, VideoReader

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """One stream of a video over time.

    Attributes:
        width: D.
        norm: (T,) the Euclidean norm of each clip.
        distance: (T,) the Euclidean distance of each clip from the mean of all.
    """

    width: int
    norm: Floats
    distance: Floats


@dataclass(frozen=True)
class Portrait:
    """One video.

    Attributes:
        dataset: the data set's name.
        simulated: whether a program made it.
        split: its split.
        item: identifier, queries, label and classes.
        queries: query -> the caption, or how many clips the sound has.
        crops: of its features.
        times: (T, 2) seconds.
        curves: stream -> crop 0 over time.
        truth: (T,) True where a clip is anomalous; None where nobody knows.
    """

    dataset: str
    simulated: bool
    split: str
    item: Item
    queries: Mapping[str, str | int]
    crops: int
    times: Array
    curves: Mapping[str, Curves]
    truth: NDArray[np.bool_] | None

    @property
    def anomalies(self) -> list[dict[str, Any]]:
        """Where it is anomalous: ``clips``, the end not included, and ``seconds``."""
        found = segments(self.truth) if self.truth is not None else ()
        return [
            {
                "clips": [start, end],
                "seconds": [float(self.times[start, 0]), float(self.times[end - 1, 1])],
            }
            for start, end in found
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values, curves as a few figures."""
        return {
            "schema": 1,
            "dataset": self.dataset,
            "simulated": self.simulated,
            "split": self.split,
            **asdict(self.item),
            "queries": dict(self.queries),
            "clips": len(self.times),
            "seconds": float(self.times[-1, 1]),
            "crops": self.crops,
            "streams": {
                name: {
                    "width": curve.width,
                    "clips": len(curve.norm),
                    "norm": {
                        "mean": float(curve.norm.mean()),
                        "std": float(curve.norm.std()),
                        "min": float(curve.norm.min()),
                        "max": float(curve.norm.max()),
                    },
                }
                for name, curve in self.curves.items()
            },
            "truth": None if self.truth is None else {"anomalies": self.anomalies},
        }


def portray(dataset: Dataset, video: str) -> Portrait:
    """Read one video.

    Raises:
        DataError: there is no such video, or it cannot be read.
    """
    splits, _ = open_splits(dataset)
    places = {item.video: (split, item) for split, items in splits.items() for item in items}
    if video not in places:
        raise DataError(f"{dataset.name} has no video {video!r}.{did_you_mean(video, places)}")
    split, item = places[video]
    reader = dataset.open(video)
    return Portrait(
        dataset=dataset.name,
        simulated=dataset.simulated,
        split=split,
        item=item,
        queries={query: _query(dataset.query(query)) for query in item.queries},
        crops=reader.crops,
        times=reader.times,
        curves={stream: _curves(reader, stream) for stream in dataset.widths},
        truth=dataset.truth(video),
    )


def timeline(truth: NDArray[np.bool_], width: int) -> str:
    """Draw ground truth in one line: the fuller a block, the more of its clips are anomalous.

    Args:
        truth: (T,) True where a clip is anomalous.
        width: how many characters; fewer where there are fewer clips.

    >>> timeline(np.array([False, False, False, True, True, True]), 3)
    '·▄█'
    """
    count = min(width, len(truth))
    edges = np.arange(count + 1) * len(truth) // count
    shares = np.add.reduceat(truth.astype(np.float64), edges[:-1]) / np.diff(edges)
    return "".join("·▁▂▃▄▅▆▇█"[int(np.ceil(share * 8))] for share in shares)


def _query(query: str | VideoReader) -> str | int:
    return query if isinstance(query, str) else query.length


def _curves(reader: VideoReader, stream: str) -> Curves:
    """Read a stream twice, in pieces, since its mean comes first and a long one is not kept."""
    sums = [clips.sum(axis=0, dtype=np.float64) for clips in reader.pieces(stream)]
    mean = (np.sum(sums, axis=0) / reader.length).astype(np.float32)
    norm, distance = [], []
    for clips in reader.pieces(stream):
        norm.append(np.linalg.norm(clips, axis=1).astype(np.float64))
        distance.append(np.linalg.norm(clips - mean, axis=1).astype(np.float64))
    return Curves(len(mean), np.concatenate(norm), np.concatenate(distance))
