"""What is known of a gallery as a whole: what scores are usual, and which rows answer everything.

All of it is derived from the rows, and computed again when they have changed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from varkit.interfaces.searching import Array, Channel
from varkit.search.channels import absent_scores, row_scores
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

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, ascending."""


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
    """

    sample: Array
    ids: NDArray[np.int64]
    hub: Array
    best: Array

    def absent(self, channel: Channel, queries: Array) -> Array:
        """Return (Q, blocks) what rows without a block count as."""
        return absent_scores(channel, queries, self.sample)

    def chance(self, row: int, score: float) -> float | None:
        """Return the share of unrelated queries that find anything as good; None = unknown.

        Like a p-value it is never 0: with N queries it is at least 1 / (N + 1).
        """
        if 1 + len(self.best) < 1 / LIKELY:  # too few to tell a likely hit from an unlikely one
            return None
        above = score - self._hub_of(row)
        reached = len(self.best) - int(np.searchsorted(self.best, above, side="left"))
        return (1 + reached) / (1 + len(self.best))

    def standard(self, channel: Channel, query: Array, scores: Array) -> Array:
        """Return a query's scores in deviations from its scores over the gallery.

        So scores of several queries, also of other channels, can be added.

        Args:
            channel: of the query.
            query: (K,).
            scores: of some rows.
        """
        absent = self.absent(channel, query[None])
        usual = row_scores(channel, query[None], self.sample, absent)
        deviation = float(usual.std()) if usual.size else 0.0
        scaled: Array = (scores - usual.mean()) / deviation if deviation > 1e-6 else scores * 0
        return scaled

    def _hub_of(self, row: int) -> float:
        at = int(np.searchsorted(self.ids, row))
        known = at < len(self.ids) and self.ids[at] == row
        return float(self.hub[at] if known else self.hub.mean())  # added since: an average row


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

    def scored() -> Iterator[tuple[slice, NDArray[np.int64], Array]]:
        for begin in range(0, len(unrelated), AT_ONCE):
            part = slice(begin, begin + AT_ONCE)
            absent = absent_scores(channel, unrelated[part], sample)
            yield part, *engine.scores(unrelated[part], None, absent)

    ids = engine.ids()
    total = np.zeros(len(ids))
    for _, rows, scores in scored():
        total[np.searchsorted(ids, rows)] += scores.sum(axis=0, dtype=np.float64)
    hub = (total / max(1, len(unrelated))).astype(np.float32)
    best: list[float] = []
    for part, rows, scores in scored() if len(ids) else ():
        above = scores - hub[np.searchsorted(ids, rows)]
        for row, owner in zip(above, owners[part], strict=True):
            if owner is not None:
                row[np.isin(rows, owner.ids)] = -np.inf
        best += above.max(axis=1).tolist()
    reached = np.sort(np.array([x for x in best if np.isfinite(x)], np.float32))
    return Statistics(sample, ids, hub, reached)


def write_statistics(root: Path, channel: str, statistics: Statistics) -> None:
    """Write the statistics of a channel."""
    tensors: dict[str, NDArray[Any]] = {
        "sample": statistics.sample.astype(np.float16),
        "ids": statistics.ids,
    }
    tensors |= {"hub": statistics.hub, "best": statistics.best}
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
        return Statistics(sample, np.zeros(0, np.int64), empty, empty)
    with reading(path, hint=f"varkit index rebuild {root}"):
        check_user_file(path)
        with safe_open(path, framework="np") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        sample = tensors["sample"].astype(np.float32)
        if sample.ndim != 2 or sample.shape[1] != channel.width:
            raise ValueError(f"its sample has shape {sample.shape}")
        return Statistics(sample, tensors["ids"], tensors["hub"], tensors["best"])


def _file(root: Path, channel: str) -> Path:
    return root / FOLDER / f"{channel}.safetensors"
