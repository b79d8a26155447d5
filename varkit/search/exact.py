"""The engine ``exact``: every row is scored, by a matrix product over a memory-mapped file.

::

    FOLDER/rows.sqlite     which rows there are, and the fields that filters ask for
    FOLDER/vectors-N.bin   their vectors in the order in which they were added

Vectors are appended, flushed, and only then named in the database; so a kill leaves at most bytes
that nothing names, which the next write covers. A place in the file is never used twice, because
somebody may still be reading it. Deleted places are overwritten with zeros; when a quarter of the
file is dead, it is written anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces.searching import FLOOR, Array, Channel, Found, Rows, Where
from varkit.search.threads import usable_threads
from varkit.system.database import Database, Run
from varkit.system.files import sync_folder, write_error
from varkit.system.inputs import check_user_file

DATABASE = "rows.sqlite"
PIECE = 2**18
"""Numbers that a thread turns into float32 at a time: they stay in its cache."""
WHOLE = 2**26
"""Numbers of float32 that are multiplied at a time."""
SCALE = 2.0**10
"""Rows are multiplied by it before they become float16, so that small probabilities stay exact."""
TINY = 2.0**-14
"""Smallest normal number of float16. Below it processors are slow, so smaller ones become 0."""
LIFT = 2.0**112 / SCALE
"""What float16 numbers lack whose bits are moved to where float32 has them; see :func:`_widened`.
Queries are multiplied by it."""
AT_ONCE = 32
"""Queries whose scores of all rows are in memory at a time."""
ATTEMPTS = 5
"""How often a reader begins again because the file was written anew meanwhile."""
KEPT = 8
"""Most selections of rows that are remembered."""
DEAD = 0.25
"""Share of dead places above which the file is written anew."""
_NOTHING = np.zeros(0, np.int64), np.zeros(0, np.float32)
_TYPES = {"fp16": np.float16, "fp32": np.float32}
_REBUILD = "varkit index rebuild INDEX makes it anew"
_TABLES = """
CREATE TABLE state (channel TEXT NOT NULL, file TEXT NOT NULL, places INTEGER NOT NULL) STRICT;
CREATE TABLE row (
  id INTEGER PRIMARY KEY, place INTEGER UNIQUE NOT NULL, video INTEGER NOT NULL, camera TEXT,
  begin REAL, end REAL, anomaly REAL
) STRICT;
CREATE INDEX row_by_video ON row (video, place);
CREATE INDEX row_by_camera ON row (camera, place);
CREATE TABLE dead (place INTEGER PRIMARY KEY, zeroed INTEGER NOT NULL) STRICT"""


@dataclass(frozen=True, eq=False)
class _Selection:
    """Rows that may be found.

    Attributes:
        matrix: (places, K) the whole file.
        places: (n,) of the rows, ascending.
        ids: (n,) of the rows; None = they are looked up when they are needed.
    """

    matrix: NDArray[Any]
    places: NDArray[np.int64]
    ids: NDArray[np.int64] | None

    def ids_at(self, run: Run, chosen: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the ids of some of the rows, whose ascending numbers are given."""
        return _ids(run, self.places[chosen]) if self.ids is None else self.ids[chosen]


class Exact:
    """Keeps rows in a file and scores all of them (see :class:`varkit.interfaces.Engine`).

    Args:
        folder: its own.
        channel: what rows are made of.
        precision: of the stored numbers: ``fp16`` takes half the disk and changes probabilities by
            5e-4 at most.
    """

    exact = True

    def __init__(
        self, folder: Path, channel: Channel, *, precision: Literal["fp16", "fp32"] = "fp16"
    ) -> None:
        self._folder, self._channel = folder, channel
        self._type = np.dtype(_TYPES[precision])
        self._width = channel.width
        self._blocks = json.dumps([precision, *((b.name, b.width) for b in channel.blocks)])
        self._database: Database | None = None
        self._writing = False
        self._version: int | None = None
        self._kept: dict[Where, _Selection] = {}

    def upsert(self, rows: Rows) -> None:
        """Add or replace rows."""
        self._expect(rows)
        if not len(rows):
            return
        self._write_mode()
        self._kept.clear()
        with self._opened().change() as change:
            name, places = self._state(change)
            path = self._folder / name
            data = _stored(rows.vectors, self._type)
            try:
                handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
                try:
                    _write(handle, data.data.cast("B"), places * self._stride)
                    os.fsync(handle)
                finally:
                    os.close(handle)
                sync_folder(self._folder)
            except OSError as error:
                raise write_error(error, path, data.nbytes) from error
            replaced = self._remove(change, rows.ids)
            for n in range(len(rows)):
                values = (
                    *(int(rows.ids[n]), places + n, int(rows.video[n]), rows.camera[n]),
                    *(_known(rows.begin[n]), _known(rows.end[n]), _known(rows.anomaly[n])),
                )
                change("INSERT INTO row VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
            change("UPDATE state SET places = ?", places + len(rows))
        if replaced:
            self._bury()

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove rows and their bytes."""
        if not len(ids) or not self._exists():
            return
        self._write_mode()
        self._kept.clear()
        with self._opened().change() as change:
            removed = self._remove(change, ids)
        if removed:
            self._bury()

    def search(
        self,
        queries: Array,
        k: int,
        where: Where | None = None,
        absent: Array | None = None,
    ) -> list[Found]:
        """Return the best rows of each query, at most k."""
        queries = self._checked(queries)
        found: list[Found] = []
        if not self._exists():
            return [_best(*_NOTHING, k) for _ in queries]
        with self._reading(where) as (run, chosen):
            for begin in range(0, len(queries), AT_ONCE):
                part = slice(begin, begin + AT_ONCE)
                own = None if absent is None else absent[part]
                for scores in self._products(chosen, queries[part], own):
                    candidates = _candidates(scores, k)
                    found.append(_best(chosen.ids_at(run, candidates), scores[candidates], k))
        return found

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
        if not self._exists():
            return _NOTHING[0], np.zeros((len(queries), 0), np.float32)
        with self._reading(where) as (run, chosen):
            every = np.arange(len(chosen.places))
            return chosen.ids_at(run, every), self._products(chosen, queries, absent)

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, ascending."""
        if not self._exists():
            return np.zeros(0, np.int64)
        rows = self._opened().rows("SELECT id FROM row ORDER BY id")
        return np.array([row[0] for row in rows], np.int64)

    def close(self) -> None:
        """Close the database."""
        if self._database is not None:
            self._database.close()
            self._database = None
        self._version = None
        self._kept.clear()

    @property
    def _stride(self) -> int:
        return self._width * self._type.itemsize

    def _exists(self) -> bool:
        return (self._folder / DATABASE).exists()

    def _opened(self) -> Database:
        if self._database is None:
            path = self._folder / DATABASE
            self._database = Database(path, _TABLES, 1, writing=self._writing, hint=_REBUILD)
        return self._database

    def _write_mode(self) -> None:
        """Open for writing, and finish what a killed writer has left."""
        if self._writing:
            return
        self.close()
        self._writing = True
        self._bury()

    def _state(self, run: Run) -> tuple[str, int]:
        rows = run("SELECT channel, file, places FROM state")
        if not rows:
            if self._writing:
                run("INSERT INTO state VALUES (?, ?, 0)", self._blocks, "vectors-0.bin")
            return "vectors-0.bin", 0
        channel, name, places = rows[0]
        if channel != self._blocks:
            raise DataError(f"{self._folder} holds rows of {channel}, not of {self._blocks}")
        return Path(name).name, places

    def _checked(self, queries: Array) -> Array:
        queries = np.ascontiguousarray(queries, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self._width:
            raise DataError(f"queries have shape {queries.shape}, not (Q, {self._width})")
        if not np.isfinite(queries).all():
            raise DataError("a query holds NaN or infinity")
        return queries

    @contextmanager
    def _reading(self, where: Where | None) -> Iterator[tuple[Run, _Selection]]:
        """Read one state of the rows, whatever a writer does meanwhile."""
        with ExitStack() as stack:
            for attempt in range(ATTEMPTS):
                run = stack.enter_context(self._opened().snapshot())
                try:
                    chosen = self._selected(run, where)
                    break
                except FileNotFoundError as error:  # it was written anew since the state was read
                    stack.close()
                    if attempt == ATTEMPTS - 1:
                        raise DataError(f"{error.filename} is missing", hint=_REBUILD) from error
            yield run, chosen

    def _selected(self, run: Run, where: Where | None) -> _Selection:
        """Return the rows that may be found; the last few selections are kept until they change."""
        where = where or Where()
        version = run("PRAGMA data_version")[0][0]
        if version != self._version:
            self._version = version
            self._kept.clear()
        if where not in self._kept:
            name, count = self._state(run)
            matrix = self._matrix(name, count)
            if where.everything:
                dead = [place for (place,) in run("SELECT place FROM dead")]
                chosen = _Selection(matrix, np.delete(np.arange(count), dead), None)
            else:
                clause, values = _clause(where)
                rows = run(f"SELECT place, id FROM row{clause} ORDER BY place", *values)
                pairs = np.array(rows, np.int64).reshape(-1, 2)
                chosen = _Selection(matrix, pairs[:, 0].copy(), pairs[:, 1].copy())
            if len(self._kept) >= KEPT:
                self._kept.clear()
            self._kept[where] = chosen
        return self._kept[where]

    def _matrix(self, name: str, count: int) -> NDArray[Any]:
        path = self._folder / name
        if not count:
            return np.zeros((0, self._width), self._type)
        check_user_file(path)
        if (size := path.stat().st_size) < count * self._stride:
            raise DataError(
                f"{path} has {size:,} bytes; {count:,} rows need {count * self._stride:,}",
                hint=_REBUILD,
            )
        return np.memmap(path, self._type, "r", shape=(count, self._width))

    def _remove(self, change: Run, ids: NDArray[np.int64]) -> int:
        """Mark the places of rows as dead; return how many there were."""
        count = 0
        for one in ids.tolist():
            for (place,) in change("SELECT place FROM row WHERE id = ?", one):
                change("INSERT INTO dead VALUES (?, 0)", place)
                change("DELETE FROM row WHERE id = ?", one)
                count += 1
        return count

    def _bury(self) -> None:
        """Overwrite dead places with zeros, or write the file anew without them."""
        database = self._opened()
        with database.change() as change:
            name, places = self._state(change)
            fresh = [place for (place,) in change("SELECT place FROM dead WHERE zeroed = 0")]
            dead = change("SELECT count(*) FROM dead")[0][0]
        for file in self._folder.glob("vectors-*.bin"):
            if file.name != name:
                file.unlink(missing_ok=True)
        if dead > DEAD * places and dead:
            self._compact(name, places)
        elif fresh:
            path = self._folder / name
            try:
                handle = os.open(path, os.O_RDWR)
                try:
                    for place in fresh:
                        _write(handle, memoryview(bytes(self._stride)), place * self._stride)
                    os.fsync(handle)
                finally:
                    os.close(handle)
            except OSError as error:
                raise write_error(error, path, 0) from error
            with database.change() as change:
                change("UPDATE dead SET zeroed = 1")
        if fresh:
            database.forget()

    def _compact(self, name: str, places: int) -> None:
        database = self._opened()
        new = f"vectors-{int(name.removeprefix('vectors-').removesuffix('.bin')) + 1}.bin"
        path = self._folder / new
        with database.change() as change:
            kept = [place for (place,) in change("SELECT place FROM row ORDER BY place")]
            matrix = self._matrix(name, places)
            try:
                with path.open("wb") as file:
                    for begin in range(0, len(kept), 4096):
                        file.write(np.ascontiguousarray(matrix[kept[begin : begin + 4096]]).data)
                    file.flush()
                    os.fsync(file.fileno())
                sync_folder(self._folder)
            except OSError as error:
                path.unlink(missing_ok=True)
                raise write_error(error, path, len(kept) * self._stride) from error
            for number, place in enumerate(kept):  # ascending, so that places stay unique
                change("UPDATE row SET place = ? WHERE place = ?", number, place)
            change("DELETE FROM dead")
            change("UPDATE state SET file = ?, places = ?", new, len(kept))
        (self._folder / name).unlink(missing_ok=True)

    def _expect(self, rows: Rows) -> None:
        vectors = rows.vectors
        if vectors.shape != (len(rows), self._width):
            raise DataError(f"vectors have shape {vectors.shape}, not (R, {self._width})")
        if not np.isfinite(vectors).all() or not np.isfinite(_stored(vectors, self._type)).all():
            most = "" if self._type == np.float32 else ", or a number above 63"
            raise DataError(f"a vector holds NaN or infinity{most}")
        if len(rows) and (rows.ids.min() < 1 or len(np.unique(rows.ids)) < len(rows)):
            raise DataError("ids must be positive and different")

    def _products(self, selection: _Selection, queries: Array, absent: Array | None) -> Array:
        matrix, places = selection.matrix, selection.places
        scores = np.zeros((len(queries), len(places)), np.float32)
        half = self._type == np.float16
        step = max(1, (PIECE if half else WHOLE) // self._width)
        # A product of float32 uses BLAS's own threads; what must be widened first needs ours.
        threads = max(1, min(usable_threads(), len(places) // step)) if half else 1
        columns = _columns(self._channel, queries * np.float32(LIFT if half else 1), absent)

        def score(first: int) -> None:
            buffer = np.empty((step if half else 0, self._width), np.int32)
            for begin in range(first * step, len(places), threads * step):
                chosen = places[begin : begin + step]
                low, high = int(chosen[0]), int(chosen[-1]) + 1
                block = matrix[low:high] if high - low == len(chosen) else matrix[chosen]
                rows = _widened(block, buffer) if half else block
                part = scores[:, begin : begin + step]
                for where, query, weight, stand_in in columns:
                    products = query @ rows[:, where].T
                    if stand_in is not None:
                        missing = products == 0
                        np.log(np.maximum(products, 0) + FLOOR, out=products)
                        np.copyto(products, stand_in, where=missing)
                        products *= weight
                    part += products

        if threads == 1:
            score(0)
        else:
            with ThreadPoolExecutor(threads) as pool:
                list(pool.map(score, range(threads)))
        return scores


def _stored(vectors: Array, kind: np.dtype[Any]) -> NDArray[Any]:
    """Return vectors as the file has them."""
    if kind == np.float32:
        return np.ascontiguousarray(vectors, np.float32)
    scaled = vectors * np.float32(SCALE)
    scaled[np.abs(scaled) < TINY] = 0
    with np.errstate(over="ignore"):
        return scaled.astype(np.float16)


def _widened(halves: NDArray[Any], buffer: NDArray[np.int32]) -> Array:
    """Return float16 numbers, without subnormal ones, as float32 divided by 2**112.

    Four times as fast as NumPy's own conversion: the bits are shifted to where float32 has its
    exponent and fraction, and the sign, which the shift repeats, is cut to one bit. What is wrong
    then is the exponent's bias, by 127 - 15 = 112.
    """
    wide = buffer[: len(halves)]
    np.left_shift(halves.view(np.int16), 13, out=wide, dtype=np.int32)
    np.bitwise_and(wide, np.int32(-0x70000001), out=wide)  # 0x8fffffff
    return wide.view(np.float32)


def _columns(
    channel: Channel, queries: Array, absent: Array | None
) -> list[tuple[slice, Array, float, Array | None]]:
    """Return where to multiply with what: plain blocks together, each with its weight inside."""
    blocks = list(zip(channel.blocks, channel.slices, strict=True))
    if not any(block.log for block in channel.blocks):
        weighted = [block.weight * queries[:, part] for block, part in blocks]
        return [(slice(0, channel.width), np.concatenate(weighted, axis=1), 1.0, None)]
    columns: list[tuple[slice, Array, float, Array | None]] = []
    for b, (block, part) in enumerate(blocks):
        query = np.ascontiguousarray(queries[:, part])
        if block.log:
            empty = np.full(len(queries), np.log(FLOOR), np.float32)
            stand_in = empty if absent is None else absent[:, b]
            columns.append((part, query, block.weight, stand_in[:, None].astype(np.float32)))
        else:
            columns.append((part, block.weight * query, 1.0, None))
    return columns


def _candidates(scores: Array, k: int) -> NDArray[np.int64]:
    """Return where the k best are, and all that tie with the last of them."""
    if k >= len(scores):
        return np.arange(len(scores))
    return np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])


def _best(ids: NDArray[np.int64], scores: Array, k: int) -> Found:
    """Return the k best, equal scores in the order of their ids."""
    order = np.lexsort((ids, -scores))[:k]
    return Found(ids[order], scores[order])


def _ids(run: Run, places: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids of rows at ascending places."""
    rows = run(
        "SELECT id FROM row WHERE place IN (SELECT value FROM json_each(?)) ORDER BY place",
        json.dumps(places.tolist()),
    )
    return np.fromiter((one for (one,) in rows), np.int64, len(rows))


def _clause(where: Where | None) -> tuple[str, list[Any]]:
    """Return a filter as SQL; a comparison with an unknown field is never true there."""
    if where is None or where.everything:
        return "", []
    terms: list[str] = []
    values: list[Any] = []
    for column, chosen in (("video", where.videos), ("camera", where.cameras)):
        if chosen is not None:
            terms.append(f"{column} IN (SELECT value FROM json_each(?))")
            values.append(json.dumps(sorted(chosen)))
    for comparison, value in (
        ("end > ?", where.after),
        ("begin < ?", where.before),
        ("anomaly >= ?", where.min_anomaly),
    ):
        if value is not None:
            terms.append(comparison)
            values.append(value)
    return f" WHERE {' AND '.join(terms)}", values


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _write(handle: int, data: memoryview, offset: int) -> None:
    while data:
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
