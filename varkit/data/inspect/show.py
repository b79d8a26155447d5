"""One video of a data set: its queries, its streams, and where it is anomalous."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.data.collate import segment_edges
from varkit.data.inspect.stats import segments
from varkit.data.inspect.verify import open_splits
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
class VideoDetails:
    """One video.

    Attributes:
        dataset: the data set's name.
        simulated: whether a program made it.
        split: its split.
        item: identifier, queries, label and classes.
        queries: query -> the caption, or the number of clips of the sound.
        crops: the number of crops of its features.
        times: (T, 2) seconds.
        curves: stream -> crop 0 over time.
        truth: (T,) True where a clip is anomalous; None = unknown.
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
        """Where it is anomalous: ``clips`` [start, end) and ``seconds`` [start, end]."""
        return [
            {
                "clips": [start, end],
                "seconds": [float(self.times[start, 0]), float(self.times[end - 1, 1])],
            }
            for start, end in (() if self.truth is None else segments(self.truth))
        ]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values; curves are summarised."""
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


def video_details(dataset: Dataset, video: str) -> VideoDetails:
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
    return VideoDetails(
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
    """Draw ground truth as one line of text; a block's height is the share of anomalous clips.

    Args:
        truth: (T,) True where a clip is anomalous.
        width: the number of characters; T if there are fewer clips.

    >>> timeline(np.array([False, False, False, True, True, True]), 3)
    '·▄█'
    """
    count = min(width, len(truth))
    edges = segment_edges(len(truth), count)
    shares = np.add.reduceat(truth.astype(np.float64), edges[:-1]) / np.diff(edges)
    return "".join("·▁▂▃▄▅▆▇█"[int(np.ceil(share * 8))] for share in shares)


def _query(query: str | VideoReader) -> str | int:
    return query if isinstance(query, str) else query.length


def _curves(reader: VideoReader, stream: str) -> Curves:
    """Read a stream twice, in pieces: once for its mean, once for the distances from it."""
    sums = [clips.sum(axis=0, dtype=np.float64) for clips in reader.pieces(stream)]
    mean = (np.sum(sums, axis=0) / reader.length).astype(np.float32)
    norm, distance = [], []
    for clips in reader.pieces(stream):
        norm.append(np.linalg.norm(clips, axis=1).astype(np.float64))
        distance.append(np.linalg.norm(clips - mean, axis=1).astype(np.float64))
    return Curves(len(mean), np.concatenate(norm), np.concatenate(distance))
