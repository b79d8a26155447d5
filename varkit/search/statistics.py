"""What is known of a gallery as a whole: what scores are usual, and which rows answer everything.

All of it is derived from the rows, and computed again when they have changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from varkit.interfaces.searching import Array, Channel
from varkit.search.channels import absent_scores
from varkit.search.gallery import Member
from varkit.system.files import write_bytes
from varkit.system.inputs import check_user_file, reading

FOLDER = "statistics"
SAMPLE = 1024
"""Most rows that stand for the gallery."""
AT_ONCE = 16
"""Queries whose scores of all rows are in memory at a time."""
LIKELY = 0.05
"""A hit that at most this share of unrelated queries reaches is called confident."""


class Scoring(Protocol):
    """An engine that scores every row."""

    def scores(
        self, queries: Array, where: Any = None, absent: Array | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Return (n,) ids and (Q, n) scores."""


@dataclass(frozen=True, eq=False)
class Statistics:
    """What is usual in a channel.

    Attributes:
        sample: (S, K) rows, evenly spread over the gallery.
        ids: (R,) of all rows, ascending.
        hub: (R,) each row's mean score over unrelated queries: a row that answers everything has a
            high one.
        best: (N,) for each unrelated query, the best score of a row above its ``hub``, ascending;
            empty if there are no such queries.
        mean: of all scores of unrelated queries.
        deviation: likewise.
    """

    sample: Array
    ids: NDArray[np.int64]
    hub: Array
    best: Array
    mean: float
    deviation: float

    def absent(self, channel: Channel, queries: Array) -> Array:
        """Return (Q, blocks) what rows without a block count as."""
        return absent_scores(channel, queries, self.sample)

    def chance(self, row: int, score: float) -> float | None:
        """Return the share of unrelated queries that find anything as good; None = unknown.

        Like a p-value it is never 0: with N queries it is at least 1 / (N + 1).
        """
        if not len(self.best):
            return None
        above = score - self._hub_of(row)
        reached = len(self.best) - int(np.searchsorted(self.best, above, side="left"))
        return (1 + reached) / (1 + len(self.best))

    def standard(self, scores: Array) -> Array:
        """Return scores in deviations from what unrelated queries get."""
        scaled: Array = (scores - self.mean) / self.deviation
        return scaled

    def _hub_of(self, row: int) -> float:
        at = int(np.searchsorted(self.ids, row))
        known = at < len(self.ids) and self.ids[at] == row
        return float(self.hub[at]) if known else self.mean  # added since


def measure(
    channel: Channel,
    engine: Scoring,
    sample: Array,
    unrelated: Array,
    owners: Sequence[Member | None],
) -> Statistics:
    """Compute the statistics of a channel.

    Args:
        channel: its blocks.
        engine: has its rows.
        sample: (S, K) of them.
        unrelated: (N, K) queries that describe nothing in the gallery.
        owners: the video that each of them is from, whose rows do not count; None = of none.
    """
    sample = sample[:: max(1, -(-len(sample) // SAMPLE))].astype(np.float32)
    ids, total = np.zeros(0, np.int64), np.zeros(0, np.float64)
    parts: list[Array] = []
    for stage in ("hub", "best"):
        for begin in range(0, len(unrelated), AT_ONCE):
            queries = unrelated[begin : begin + AT_ONCE]
            ids, scores = engine.scores(queries, None, absent_scores(channel, queries, sample))
            if stage == "hub":
                total = (total if len(total) else np.zeros(len(ids))) + scores.sum(axis=0)
                parts.append(np.array([scores.mean(), np.square(scores).mean()], np.float64))
                continue
            above = scores - (total / len(unrelated)).astype(np.float32)
            for row, owner in zip(above, owners[begin : begin + AT_ONCE], strict=True):
                if owner is not None:
                    row[np.isin(ids, owner.ids)] = -np.inf
            parts.append(above.max(axis=1))
        if stage == "hub":
            moments = np.mean(parts, axis=0) if parts and len(ids) else np.array([0.0, 1.0])
            parts = []
            if not len(ids):
                break
    best = np.sort(np.concatenate(parts)).astype(np.float32) if parts else np.zeros(0, np.float32)
    order = np.argsort(ids)
    hub = (total / max(1, len(unrelated))).astype(np.float32)
    deviation = float(np.sqrt(max(moments[1] - moments[0] ** 2, 1e-12)))
    best = best[np.isfinite(best)]
    return Statistics(sample, ids[order], hub[order], best, float(moments[0]), deviation)


def write_statistics(root: Path, channel: str, statistics: Statistics) -> None:
    """Write the statistics of a channel."""
    numbers = np.array([statistics.mean, statistics.deviation])
    tensors: dict[str, NDArray[Any]] = {
        "sample": statistics.sample.astype(np.float16),
        "ids": statistics.ids,
    }
    tensors |= {"hub": statistics.hub, "best": statistics.best, "numbers": numbers}
    write_bytes(_file(root, channel), save(tensors))


def read_statistics(root: Path, channel: Channel, name: str) -> Statistics:
    """Read the statistics of a channel; without a file, nothing is known.

    Raises:
        DataError: the file is damaged.
    """
    path = _file(root, name)
    if not path.exists():
        empty = np.zeros(0, np.float32)
        sample = np.zeros((0, channel.width), np.float32)
        return Statistics(sample, np.zeros(0, np.int64), empty, empty, 0.0, 1.0)
    with reading(path, hint=f"varkit index rebuild {root}"):
        check_user_file(path)
        with safe_open(path, framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        mean, deviation = map(float, tensors["numbers"])
        sample = tensors["sample"].astype(np.float32)
        if sample.ndim != 2 or sample.shape[1] != channel.width:
            raise ValueError(f"its sample has shape {sample.shape}")
        return Statistics(sample, tensors["ids"], tensors["hub"], tensors["best"], mean, deviation)


def _file(root: Path, channel: str) -> Path:
    return root / FOLDER / f"{channel}.safetensors"
