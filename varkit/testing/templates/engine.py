"""my_part: an engine for varkit."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit import hookimpl
from varkit.interfaces.searching import Array, Channel, Found, Rows, Where
from varkit.plugins.registry import Register
from varkit.search.channels import row_scores
from varkit.search.refusals import check_queries, check_rows
from varkit.system.files import replacing
from varkit.system.inputs import check_user_file, reading

Fields = dict[str, Any]


class MyPart:
    """One file with all rows, which is read for every search and written anew for every change.

    Args:
        folder: its own.
        channel: what rows are made of.
    """

    exact = True

    def __init__(self, folder: Path, channel: Channel) -> None:
        self.file, self.channel = folder / "rows.npz", channel

    def upsert(self, rows: Rows) -> None:
        """Add or replace rows."""
        check_rows(self.channel, rows)
        kept = self._without(rows.ids)
        new = vars(rows) | {"camera": np.array([name or "" for name in rows.camera], str)}
        self._write({name: np.concatenate([kept[name], new[name]]) for name in kept})

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove rows."""
        self._write(self._without(ids))

    def search(
        self, queries: Array, k: int, where: Where | None = None, absent: Array | None = None
    ) -> list[Found]:
        """Return the best rows of each query, at most k."""
        queries, rows = check_queries(self.channel, queries), self._read()
        if where is not None:
            rows = _chosen(rows, _passing(rows, where))
        found = []
        for scores in row_scores(self.channel, queries, rows["vectors"], absent):
            best = np.argsort(-scores, kind="stable")[:k]  # rows are in the order of their ids
            found.append(Found(rows["ids"][best], scores[best]))
        return found

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, ascending."""
        ids: NDArray[np.int64] = self._read()["ids"]
        return ids

    def close(self) -> None:
        """Do nothing; the file is never left open."""

    def _read(self) -> Fields:
        if not self.file.exists():
            integers, numbers = np.zeros(0, np.int64), np.zeros(0, np.float32)
            fields = {"ids": integers, "video": integers, "camera": np.zeros(0, str)}
            vectors = np.zeros((0, self.channel.width), np.float32)
            return (
                fields | {"vectors": vectors} | dict.fromkeys(("begin", "end", "anomaly"), numbers)
            )
        with reading(self.file):
            check_user_file(self.file)
            with np.load(self.file) as file:
                return dict(file)

    def _without(self, ids: NDArray[np.int64]) -> Fields:
        rows = self._read()
        return _chosen(rows, ~np.isin(rows["ids"], ids))

    def _write(self, rows: Fields) -> None:
        with replacing(self.file, rows["vectors"].nbytes) as part, part.open("wb") as file:
            np.savez(file, **_chosen(rows, np.argsort(rows["ids"])))


def _chosen(rows: Fields, which: NDArray[Any]) -> Fields:
    return {name: field[which] for name, field in rows.items()}


def _passing(rows: Fields, where: Where) -> NDArray[np.bool_]:
    """Return which rows may be found; a comparison with NaN, an unknown field, is false."""
    passing = np.ones(len(rows["ids"]), np.bool_)
    if where.videos is not None:
        passing &= np.isin(rows["video"], list(where.videos))
    if where.cameras is not None:
        passing &= np.isin(rows["camera"], list(where.cameras)) & (rows["camera"] != "")
    if where.after is not None:
        passing &= rows["end"] > where.after
    if where.before is not None:
        passing &= rows["begin"] < where.before
    if where.min_anomaly is not None:
        passing &= rows["anomaly"] >= where.min_anomaly
    return passing


@hookimpl
def register_engines(register: Register) -> None:
    """Register the engine."""
    register("my_part", MyPart, summary="one file with all rows, read for every search")
