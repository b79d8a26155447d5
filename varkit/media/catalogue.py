"""The catalogue of a store: an SQLite file that says which videos there are and what was made.

Readers see a consistent state while writers work. A writer claims a video before it works on it, so
two writers take different ones. A claim holds as long as the writer's lock file is locked, which
the system ends with the process; so a killed writer blocks nobody.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Self

from typing_extensions import TypedDict

from varkit.errors import DataError, WriteError
from varkit.media.extractors import Record, fingerprint
from varkit.system.database import Database
from varkit.system.files import write_error
from varkit.system.inputs import reading
from varkit.system.records import wrong

NAME = "catalogue.sqlite"
VERSION = 1
WRITERS = "writers"
_TABLES = """
CREATE TABLE extractor (
  name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, record TEXT NOT NULL, versions TEXT NOT NULL
) STRICT;
CREATE TABLE video (
  name TEXT PRIMARY KEY,     -- its place below the folder, with slashes
  path BLOB NOT NULL,        -- the same in the file system's bytes
  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, source_sha256 TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('ok', 'partial', 'failed')),
  reason TEXT NOT NULL,      -- why it is not ok
  attempts INTEGER NOT NULL, -- that failed for a reason that may pass
  coverage REAL, duration REAL, start TEXT, start_source TEXT, camera TEXT,
  sha256 TEXT,               -- of the file of its streams, whose name ends with its beginning
  made TEXT NOT NULL         -- extractor -> clips, and why there are none
) STRICT;
CREATE INDEX video_by_camera ON video (camera, start);
CREATE TABLE claim (video TEXT PRIMARY KEY, writer TEXT NOT NULL) STRICT;
"""


@dataclass(frozen=True)
class Source:
    """A media file as it was when it was read.

    Attributes:
        path: below the folder of media.
        size: bytes.
        mtime_ns: time of the last change.
        sha256: of its content; empty if it could not be read.
    """

    path: Path
    size: int
    mtime_ns: int
    sha256: str


@dataclass(frozen=True)
class Tally:
    """What an extractor made of a video.

    Attributes:
        clips: of each stream.
        absent: why there are none.
        sha256: of its streams and their times; it does not depend on other extractors.
    """

    clips: int
    absent: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Video:
    """What a store knows of a video.

    Attributes:
        name: its place below the folder of media, with slashes.
        source: the file.
        status: ``partial`` if anything is missing or damaged, ``failed`` if there are no streams.
        reason: why it is not ok.
        attempts: how many attempts failed for a reason that may pass.
        coverage: the share of it that was decoded, from 0 to 1.
        duration: seconds, if known.
        start: when the recording began, in ISO 8601, if known.
        start_source: what says so.
        camera: of the recording, if known.
        sha256: of the file of its streams; None if there is none.
        made: by the extractors' names.
    """

    name: str
    source: Source
    status: Literal["ok", "partial", "failed"]
    reason: str = ""
    attempts: int = 0
    coverage: float | None = None
    duration: float | None = None
    start: str | None = None
    start_source: str | None = None
    camera: str | None = None
    sha256: str | None = None
    made: Mapping[str, Tally] = field(default_factory=dict)


class _TallyRecord(TypedDict):
    clips: int
    absent: str | None
    sha256: str | None


class Catalogue:
    """An open catalogue; a context manager.

    Args:
        root: the store's folder.
        writing: create it where it is missing, and allow changes.

    Raises:
        DataError: it is missing, damaged, or of another version.
        WriteError: it cannot be created.
    """

    def __init__(self, root: Path, *, writing: bool = False) -> None:
        self.root, self._path = root, root / NAME
        self._writer: str | None = None
        hint = f"move {root} away, and extract again"
        self._database = Database(self._path, _TABLES, VERSION, writing=writing, hint=hint)
        self._rows, self._change = self._database.rows, self._database.change

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it, and give up all claims."""
        if self._writer is not None:
            with suppress(DataError, WriteError), self._change() as change:
                change("DELETE FROM claim WHERE writer = ?", self._writer)
            with suppress(OSError):
                (self.root / WRITERS / self._writer).unlink(missing_ok=True)
            self._lock.close()
            self._writer = None
        self._database.close()

    def extractors(self) -> dict[str, tuple[str, Record]]:
        """Return name -> fingerprint and record of every extractor, by name."""
        rows = self._rows("SELECT name, fingerprint, record FROM extractor ORDER BY name")
        return {name: (mark, self._json(record, Record)) for name, mark, record in rows}

    def register(self, name: str, record: Record, versions: Mapping[str, str]) -> None:
        """Add an extractor.

        Raises:
            DataError: the store has another one of this name; both fingerprints are shown.
        """
        mark = fingerprint(record)
        with self._change() as change:
            known = change("SELECT fingerprint, record FROM extractor WHERE name = ?", name)
            if not known:
                values = (name, mark, json.dumps(record), json.dumps(dict(versions)))
                change("INSERT INTO extractor VALUES (?, ?, ?, ?)", *values)
                return
        if known[0][0] != mark:
            other = self._json(known[0][1], Record)
            raise DataError(
                f"{self.root} holds streams of another {name!r}: its fingerprint is "
                f"{known[0][0]}, that of this one {mark}; they differ in "
                f"{', '.join(differences(other, record))}",
                hint=f"use the same options, another name ({name}2={record['use']}), or a new "
                "store",
            )

    def videos(self) -> list[Video]:
        """Return all videos, by name."""
        return [self._video(row) for row in self._rows(f"{_VIDEO} ORDER BY name")]

    def video(self, name: str) -> Video | None:
        """Return one video, or None."""
        rows = self._rows(f"{_VIDEO} WHERE name = ?", name)
        return self._video(rows[0]) if rows else None

    def put(self, video: Video) -> None:
        """Add or replace a video, and give up the claim on it."""
        source, made = video.source, {name: asdict(each) for name, each in video.made.items()}
        values = (
            *(video.name, os.fsencode(source.path), source.size, source.mtime_ns, source.sha256),
            *(video.status, video.reason, video.attempts, video.coverage, video.duration),
            *(video.start, video.start_source, video.camera, video.sha256),
            json.dumps(made),
        )
        with self._change() as change:
            marks = ", ".join("?" * len(values))
            change(f"INSERT OR REPLACE INTO video VALUES ({marks})", *values)
            change("DELETE FROM claim WHERE video = ?", video.name)

    def remove(self, video: str) -> None:
        """Remove a video, and every byte of its row."""
        with self._change() as change:
            change("DELETE FROM video WHERE name = ?", video)
        self._database.forget()

    def claim(self, video: str) -> bool:
        """Take a video to work on; return whether no other living writer has it."""
        writer = self._become_writer()
        with self._change() as change:
            held = change("SELECT writer FROM claim WHERE video = ?", video)
            if held and held[0][0] != writer and self._lives(held[0][0]):
                return False
            change("INSERT OR REPLACE INTO claim VALUES (?, ?)", video, writer)
            return True

    def release(self, video: str) -> None:
        """Give up the claim on a video."""
        with self._change() as change:
            change("DELETE FROM claim WHERE video = ? AND writer = ?", video, self._writer)

    def writers(self) -> int:
        """Return how many other writers are at work."""
        rows = self._rows("SELECT DISTINCT writer FROM claim")
        return sum(1 for (writer,) in rows if writer != self._writer and self._lives(writer))

    def _video(self, row: tuple[Any, ...]) -> Video:
        name, path, size, mtime, sha, *rest, text = row
        source = Source(Path(os.fsdecode(path)), size, mtime, sha)
        listed = self._json(text, dict[str, _TallyRecord])
        made = {key: Tally(**each) for key, each in listed.items()}
        return Video(name, source, *(*rest, made))

    def _json(self, text: str, kind: Any) -> Any:
        with reading(self._path):
            value = json.loads(text)
        if (fault := wrong(value, kind)) is not None:
            raise DataError(f"{self._path} is damaged: {fault}")
        return value

    def _become_writer(self) -> str:
        if self._writer is None:
            folder = self.root / WRITERS
            name = f"{os.getpid()}-{secrets.token_hex(6)}.lock"
            try:
                folder.mkdir(exist_ok=True)
                self._lock = (folder / name).open("w")
                fcntl.flock(self._lock, fcntl.LOCK_EX)
            except OSError as error:
                raise write_error(error, folder / name, 0) from error
            self._writer = name
        return self._writer

    def _lives(self, writer: str) -> bool:
        path = self.root / WRITERS / Path(writer).name
        try:
            with path.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        with suppress(OSError):
            path.unlink()
        return False


_VIDEO = (
    "SELECT name, path, size, mtime_ns, source_sha256, status, reason, attempts, coverage, "
    "duration, start, start_source, camera, sha256, made FROM video"
)


def differences(one: Any, other: Any, at: str = "") -> list[str]:
    """Return the dotted keys in which two JSON values differ.

    >>> differences({"options": {"fps": 1, "a": 0}}, {"options": {"fps": 2, "a": 0}})
    ['options.fps']
    """
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        keys = dict.fromkeys([*one, *other])
        return [
            line
            for key in keys
            for line in differences(one.get(key), other.get(key), f"{at}.{key}".lstrip("."))
        ]
    return [] if one == other else [at]
