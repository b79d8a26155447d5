"""The engine ``exact``: every row is scored, by an inner product over a memory-mapped file.

::

    FOLDER/rows.sqlite     which rows there are, and the fields that filters ask for
    FOLDER/vectors-N.bin   their vectors in the order in which they were added

Vectors are appended, flushed, and only then named in the database; so a kill leaves at most bytes
that nothing names, which the next write covers. A reader's transaction lasts as long as its search.
Deleted places are overwritten with zeros only when no transaction sees them any more, which SQLite
knows when it empties its log. A place is never used twice; when a quarter of the file is dead, the
living rows are copied to a new one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError, WriteError
from varkit.interfaces.searching import Array, Channel, Found, Rows, Where
from varkit.search.scoring import Scorer, best
from varkit.search.vectors import Precision, append, copy, erase, mapped, record_type
from varkit.system.database import Database, Run
from varkit.system.inputs import reading

DATABASE = "rows.sqlite"
VERSION = 1
HINT = "varkit index rebuild INDEX makes it anew"
AT_ONCE = 2**26
"""Scores in memory at a time."""
DEAD = 0.25
"""Share of dead places above which the file is written anew."""
FILTERS = 16
"""Filters whose rows are remembered."""
_TABLES = """
CREATE TABLE state (
  channel TEXT NOT NULL, file TEXT NOT NULL, places INTEGER NOT NULL, changes INTEGER NOT NULL
) STRICT;
CREATE TABLE row (
  id INTEGER PRIMARY KEY, place INTEGER UNIQUE NOT NULL, video INTEGER NOT NULL, camera BLOB,
  begin REAL, end REAL, anomaly REAL
) STRICT;
CREATE INDEX row_by_video ON row (video, place);
CREATE INDEX row_by_camera ON row (camera, place);
CREATE TABLE dead (place INTEGER PRIMARY KEY, zeroed INTEGER NOT NULL) STRICT"""


@dataclass(frozen=True)
class _State:
    """What one transaction sees.

    Attributes:
        file: name of the file of vectors.
        places: of it that are in use.
        changes: how many there have been; it tells states apart.
    """

    file: str = "vectors-0.bin"
    places: int = 0
    changes: int = 0


class Exact:
    """Keeps rows in a file and scores all of them (see :class:`varkit.interfaces.Engine`).

    Args:
        folder: its own.
        channel: what rows are made of.
        precision: of the stored numbers. ``fp16`` takes half the disk; it rounds each number by
            a factor of at most 1 + 2**-11, and drops those below 2**-28 of a row's largest.
    """

    exact = True

    def __init__(self, folder: Path, channel: Channel, *, precision: Precision = "fp16") -> None:
        self._folder, self._width = folder, channel.width
        self._blocks = json.dumps([precision, *((b.name, b.width) for b in channel.blocks)])
        self._type = record_type(channel.width, precision)
        self._scorer = Scorer(channel)
        self._database: Database | None = None
        self._writing = False
        self._seen: _State | None = None  # the state that these three belong to:
        self._records: NDArray[Any] = np.zeros(0, self._type)
        self._living: NDArray[np.int64] | None = None  # None = all places
        self._chosen: dict[Where, NDArray[np.int64]] = {}

    def upsert(self, rows: Rows) -> None:
        """Add or replace rows."""
        self._expect(rows)
        if not len(rows):
            return
        with self._changed() as (change, state):
            path = self._folder / state.file
            append(path, rows.ids, rows.vectors, self._type, state.places)
            replaced = _remove(change, rows.ids)
            for n, one in enumerate(rows.ids.tolist()):
                values = (
                    *(one, state.places + n, int(rows.video[n]), _bytes(rows.camera[n])),
                    *(_known(rows.begin[n]), _known(rows.end[n]), _known(rows.anomaly[n])),
                )
                change("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
            change("UPDATE state SET places = ?", state.places + len(rows))
        if replaced:
            with suppress(WriteError):  # the rows are in; the next write clears up
                self._clear_up()

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove rows and their bytes."""
        if not len(ids) or not self._exists():
            return
        with self._changed() as (change, _):
            _remove(change, ids)
        self._clear_up()

    def search(
        self,
        queries: Array,
        k: int,
        where: Where | None = None,
        absent: Array | None = None,
    ) -> list[Found]:
        """Return the best rows of each query, at most k."""
        queries = self._checked(queries)
        answers: list[Found] = []
        with self._rows(where) as (records, places):
            numbers = records["id"]

            def ids(rows: NDArray[np.int64]) -> NDArray[np.int64]:
                return numbers[rows if places is None else places[rows]]

            step = max(1, AT_ONCE // max(1, len(records)))
            for begin in range(0, len(queries), step):
                part = slice(begin, begin + step)
                own = None if absent is None else absent[part]
                scores = self._scorer.scores(records, places, queries[part], own)
                answers += [best(one, k, ids) for one in scores]
        return answers

    def scores(
        self, queries: Array, where: Where | None = None, absent: Array | None = None
    ) -> tuple[NDArray[np.int64], Array]:
        """Return all rows' (n,) ids, in no order, and their (Q, n) scores.

        Args:
            queries: (Q, K).
            where: which rows count.
            absent: as for :meth:`search`.

        Raises:
            DataError: queries are not finite, or not (Q, K); or what is stored is damaged.
        """
        queries = self._checked(queries)
        with self._rows(where) as (records, places):
            ids = records["id"] if places is None else records["id"][places]
            return ids.copy(), self._scorer.scores(records, places, queries, absent)

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, ascending."""
        if not self._exists():
            return np.zeros(0, np.int64)
        rows = self._opened().rows("SELECT id FROM row ORDER BY id")
        return np.array([row[0] for row in rows], np.int64)

    def close(self) -> None:
        """Close the database and end the threads."""
        self._scorer.close()
        if self._database is not None:
            self._database.close()
            self._database = self._seen = None

    def _exists(self) -> bool:
        return (self._folder / DATABASE).exists()

    def _opened(self) -> Database:
        if self._database is None:
            path = self._folder / DATABASE
            self._database = Database(path, _TABLES, VERSION, writing=self._writing, hint=HINT)
        return self._database

    def _state(self, run: Run) -> _State:
        rows = run("SELECT channel, file, places, changes FROM state")
        if not rows:
            return _State()
        channel, file, places, changes = rows[0]
        if channel != self._blocks:
            what = f"{self._folder} holds rows of {channel}, not of {self._blocks}"
            raise DataError(what, hint=HINT)
        return _State(Path(file).name, places, changes)

    def _checked(self, queries: Array) -> Array:
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self._width:
            raise DataError(f"queries have shape {queries.shape}, not (Q, {self._width})")
        if not np.isfinite(queries).all():
            raise DataError("a query holds NaN or infinity")
        return queries

    def _expect(self, rows: Rows) -> None:
        if rows.vectors.shape != (len(rows), self._width):
            what = f"vectors have shape {rows.vectors.shape}, not ({len(rows)}, {self._width})"
            raise DataError(what)
        if not np.isfinite(rows.vectors).all():
            raise DataError("a vector holds NaN or infinity")
        if len(rows) and (rows.ids.min() < 1 or len(np.unique(rows.ids)) < len(rows)):
            raise DataError("ids must be positive and different")

    @contextmanager
    def _rows(self, where: Where | None) -> Iterator[tuple[NDArray[Any], NDArray[np.int64] | None]]:
        """Give the records, and the ascending places of those that may be found; None = all."""
        if not self._exists():
            yield np.zeros(0, self._type), None
            return
        with self._opened().snapshot() as run:
            state = self._state(run)
            if state != self._seen:
                with reading(self._folder / state.file, hint=HINT):
                    self._records = mapped(self._folder / state.file, state.places, self._type)
                dead = [place for (place,) in run("SELECT place FROM dead")]
                self._living = np.delete(np.arange(state.places), dead) if dead else None
                self._chosen, self._seen = {}, state
            if where is None or where.everything:
                yield self._records, self._living
                return
            if where not in self._chosen:
                clause, values = _clause(where)
                rows = run(f"SELECT place FROM row WHERE {clause} ORDER BY place", *values)
                if len(self._chosen) >= FILTERS:
                    self._chosen.clear()
                self._chosen[where] = np.fromiter((p for (p,) in rows), np.int64, len(rows))
            yield self._records, self._chosen[where]

    @contextmanager
    def _changed(self) -> Iterator[tuple[Run, _State]]:
        """Open a transaction that changes rows; first finish what a killed writer has left."""
        if not self._writing:
            self.close()
            self._writing = True
            self._clear_up()
        with self._opened().change() as change:
            state = self._state(change)
            if state == _State():
                change("INSERT INTO state VALUES (?, ?, 0, 0)", self._blocks, state.file)
            yield change, state
            change("UPDATE state SET changes = changes + 1")

    def _clear_up(self) -> None:
        """Overwrite dead places; write the file anew if there are many."""
        self._erase()
        with self._opened().snapshot() as run:
            state, dead = self._state(run), run("SELECT count(*) FROM dead")[0][0]
        if dead > DEAD * state.places:
            self._compact()
            self._erase()

    def _erase(self) -> None:
        """Overwrite dead places and remove files of earlier states, as soon as nobody reads them.

        Raises:
            WriteError: somebody has been reading for too long, or the disk is not writable.
        """
        database = self._opened()
        with database.snapshot() as run:
            state = self._state(run)
            dead = [place for (place,) in run("SELECT place FROM dead WHERE zeroed = 0")]
        old = [f for f in self._folder.glob("vectors-*.bin") if f.name != state.file]
        if not dead and not old:
            return
        if not database.forget():
            what = f"{self._folder}: deleted rows are gone, but their bytes are still being read"
            raise WriteError(what, hint="delete them again when the search has ended")
        with database.change() as change:
            if self._state(change).file != state.file:
                return  # another writer has written the file anew
            for file in old:
                file.unlink(missing_ok=True)
            if dead:
                erase(self._folder / state.file, dead, self._type)
                change(f"UPDATE dead SET zeroed = 1 WHERE place IN {_LISTED}", json.dumps(dead))

    def _compact(self) -> None:
        with self._changed() as (change, state):
            living = change("SELECT place FROM row ORDER BY place")
            places = np.fromiter((place for (place,) in living), np.int64, len(living))
            with reading(self._folder / state.file, hint=HINT):
                records = mapped(self._folder / state.file, state.places, self._type)
            number = int(state.file.removeprefix("vectors-").removesuffix(".bin")) + 1
            name = f"vectors-{number}.bin"
            copy(records, places, self._folder / name)
            # In two steps, so that places stay unique.
            change(
                "UPDATE row SET place = -moved.place FROM (SELECT id, row_number() OVER "
                "(ORDER BY place) AS place FROM row) AS moved WHERE row.id = moved.id"
            )
            change("UPDATE row SET place = -place - 1")
            change("DELETE FROM dead")
            change("UPDATE state SET file = ?, places = ?", name, len(places))


_LISTED = "(SELECT value FROM json_each(?))"


def _remove(change: Run, ids: NDArray[np.int64]) -> bool:
    """Mark the places of rows as dead; return whether there were any."""
    listed = json.dumps(ids.tolist())
    removed = change(f"SELECT place FROM row WHERE id IN {_LISTED}", listed)
    if removed:
        dead = json.dumps([place for (place,) in removed])
        change("INSERT INTO dead SELECT value, 0 FROM json_each(?)", dead)
        change(f"DELETE FROM row WHERE id IN {_LISTED}", listed)
    return bool(removed)


def _clause(where: Where) -> tuple[str, list[Any]]:
    """Return a filter as SQL; a comparison with an unknown field is never true there."""
    terms: list[str] = []
    values: list[Any] = []
    if where.videos is not None:
        terms.append(f"video IN {_LISTED}")
        values.append(json.dumps([int(video) for video in where.videos]))
    if where.cameras is not None:
        terms.append(f"camera IN ({', '.join('?' * len(where.cameras))})")
        values += map(_bytes, where.cameras)
    if where.after is not None:
        terms.append("end > ?")
        values.append(float(where.after))
    if where.before is not None:
        terms.append("begin < ?")
        values.append(float(where.before))
    if where.min_anomaly is not None:
        terms.append("anomaly >= ?")
        values.append(float(np.float32(where.min_anomaly)))  # as rounded as what is stored
    return " AND ".join(terms), values


def _bytes(camera: str | None) -> bytes | None:
    """Return a name in bytes: those of a folder need not be UTF-8."""
    return None if camera is None else camera.encode("utf-8", "surrogatepass")


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
