"""The catalogue of an index: an SQLite file that says which videos it has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from varkit.system.database import Database

NAME = "catalogue.sqlite"
_TABLES = """
CREATE TABLE video (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT UNIQUE NOT NULL, -- its place below the folder, with slashes
  path BLOB NOT NULL,        -- the same in the file system's bytes
  origin TEXT NOT NULL,      -- hash of what its shard was made from
  camera TEXT,
  start REAL,                -- seconds since 1970
  duration REAL NOT NULL,    -- seconds
  note TEXT NOT NULL,        -- what is wrong with it
  shard TEXT NOT NULL, sha256 TEXT NOT NULL,
  first INTEGER NOT NULL, windows INTEGER NOT NULL, -- the ids of its rows
  anomaly REAL               -- of its most anomalous clip
) STRICT;
CREATE TABLE counter (next INTEGER NOT NULL, changes INTEGER NOT NULL) STRICT;
INSERT INTO counter VALUES (1, 0)"""
_COLUMNS = (
    "number, name, path, origin, camera, start, duration, note, shard, sha256, first, windows, "
    "anomaly"
)


@dataclass(frozen=True)
class Member:
    """A video of an index.

    Attributes:
        number: never used for another video.
        name: its place below the folder of media, with slashes.
        path: the same.
        origin: a hash of what its shard was made from.
        camera: of the recording, if known.
        start: when the recording began, in seconds since 1970, if known.
        duration: seconds.
        note: what is wrong with it; empty if nothing is.
        shard: its file.
        sha256: of that file.
        first: the id of its first row.
        windows: how many rows it has, whose ids follow the first.
        anomaly: of its most anomalous clip, if known.
    """

    number: int
    name: str
    path: Path
    origin: str
    camera: str | None
    start: float | None
    duration: float
    note: str
    shard: str
    sha256: str
    first: int
    windows: int
    anomaly: float | None

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids of its rows."""
        return np.arange(self.first, self.first + self.windows, dtype=np.int64)


class Gallery:
    """An open catalogue; a context manager. See :class:`varkit.system.database.Database`."""

    def __init__(self, root: Path, *, writing: bool = False) -> None:
        hint = f"varkit index rebuild {root}"
        self.database = Database(root / NAME, _TABLES, 1, writing=writing, hint=hint)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.database.close()

    def members(self) -> list[Member]:
        """Return all videos, by the ids of their rows."""
        return list(
            map(_member, self.database.rows(f"SELECT {_COLUMNS} FROM video ORDER BY first"))
        )

    def member(self, name: str) -> Member | None:
        """Return one video, or None."""
        found = self.database.rows(f"SELECT {_COLUMNS} FROM video WHERE name = ?", name)
        return _member(found[0]) if found else None

    def changes(self) -> int:
        """Return how often the index has changed."""
        return int(self.database.rows("SELECT changes FROM counter")[0][0])

    def cameras(self) -> list[str]:
        """Return the names of all cameras."""
        rows = self.database.rows("SELECT DISTINCT camera FROM video WHERE camera IS NOT NULL")
        return sorted(camera for (camera,) in rows)

    def put(self, member: Member) -> Member:
        """Add or replace a video; return it with its number and the ids of its rows."""
        with self.database.change() as change:
            first = change("SELECT next FROM counter")[0][0]
            change("UPDATE counter SET next = ?, changes = changes + 1", first + member.windows)
            change("DELETE FROM video WHERE name = ?", member.name)
            values = (
                *(member.name, os.fsencode(member.path), member.origin, member.camera),
                *(member.start, member.duration, member.note, member.shard, member.sha256),
                *(first, member.windows, member.anomaly),
            )
            marks = ", ".join("?" * len(values))
            columns = _COLUMNS.removeprefix("number, ")
            change(f"INSERT INTO video ({columns}) VALUES ({marks})", *values)
            number = change("SELECT last_insert_rowid()")[0][0]
        return replace(member, number=number, first=first)

    def delete(self, names: Sequence[str]) -> None:
        """Remove videos; names that it does not have are passed over."""
        with self.database.change() as change:
            for name in names:
                change("DELETE FROM video WHERE name = ?", name)
            change("UPDATE counter SET changes = changes + 1")
        self.database.forget()


def _member(row: tuple[Any, ...]) -> Member:
    number, name, path, *rest = row
    return Member(number, name, Path(os.fsdecode(path)), *rest)
