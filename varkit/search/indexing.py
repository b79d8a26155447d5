"""Makes an index of videos, and keeps it up to date.

The truth of an index is its catalogue and its shards. A video is written in this order: its shard,
the catalogue, the engines. What a kill leaves between these steps is finished when the index is
opened for writing again; until then, searches pass over rows that the catalogue does not know.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from varkit.errors import WriteError
from varkit.interfaces.searching import Array, Engine, Rows
from varkit.plugins.loading import Plugins
from varkit.search.facts import Facts
from varkit.search.gallery import Gallery, Member
from varkit.search.health import ailments
from varkit.search.parts import ENGINES, open_engine
from varkit.search.shards import FOLDER as SHARDS
from varkit.search.shards import Shard, check_shard, read_shard, write_shard
from varkit.search.statistics import FOLDER as STATISTICS
from varkit.search.statistics import SAMPLE, measure, write_statistics
from varkit.system.files import sweep, write_error, write_text

UNFINISHED = "unfinished"
"""A file that is there while an index is written, and stays if that is interrupted."""
UNRELATED = 128
"""Windows that stand in for unrelated queries, in channels that no sentence asks."""


@dataclass(frozen=True)
class Described:
    """What is known of a video besides its shard.

    Attributes:
        name: its place below the folder of media, with slashes.
        path: the same.
        origin: a hash of what its shard is made from: another hash, another shard.
        camera: of the recording, if known.
        start: when it began, in seconds since 1970, if known.
        duration: seconds; None = to the end of its last window.
        note: what is wrong with it.
    """

    name: str
    path: Path
    origin: str
    camera: str | None = None
    start: float | None = None
    duration: float | None = None
    note: str = ""


class Unrelated(Protocol):
    """Encodes sentences that describe nothing in particular."""

    def __call__(self, channel: str) -> Array | None:
        """Return (N, K) for a channel; None = it is not asked in words."""


class IndexWriter:
    """An index opened for writing; a context manager. One process at a time has it open.

    Opening it finishes what a killed process has left.

    Args:
        root: its folder, with ``index.json``.
        facts: what it is made of.
        plugins: with its engine.
        anew: throw away what the engines have.

    Raises:
        DataError: it is damaged.
        WriteError: another process has it open, or the disk is full or not writable.
    """

    def __init__(self, root: Path, facts: Facts, plugins: Plugins, *, anew: bool = False) -> None:
        self.root, self.facts = root, facts
        self._lock = _locked(root)
        try:
            self.gallery = Gallery(root, writing=True)
            self._engines: dict[str, Engine] = {}
            write_text(root / UNFINISHED, "varkit index continues\n")
            if anew:
                shutil.rmtree(root / ENGINES, ignore_errors=True)
            for name in facts.channels:
                (root / ENGINES / name).mkdir(parents=True, exist_ok=True)
                self._engines[name] = open_engine(root, facts, name, plugins)
            self.repaired = 0 if anew else self._repair()
        except BaseException:
            self._lock.close()
            raise

    def __enter__(self) -> IndexWriter:
        return self

    def __exit__(self, *_: object) -> None:
        for engine in self._engines.values():
            engine.close()
        self.gallery.close()
        self._lock.close()

    def put(self, about: Described, shard: Shard) -> Member:
        """Add or replace a video; when this returns, it is in the index for good.

        Raises:
            DataError: a number is not finite.
            WriteError: the disk is full or not writable; what the index had stays.
        """
        before = self.gallery.member(about.name)
        file, digest = write_shard(self.root, about.name, shard, self.facts.precision)
        duration = about.duration if about.duration is not None else float(shard.spans[-1, 1])
        curve = shard.curve
        member = self.gallery.put(
            Member(
                number=0,
                name=about.name,
                path=about.path,
                origin=about.origin,
                camera=about.camera,
                start=about.start,
                duration=duration,
                note=about.note,
                shard=file,
                sha256=digest,
                first=0,
                windows=len(shard.spans),
                anomaly=None if curve is None else float(curve.scores.max(initial=0.0)),
            )
        )
        for name, engine in self._engines.items():
            engine.upsert(_rows(member, shard, name, self.facts.precision))
        if before is not None:
            self._forget([before], keep=file)
        return member

    def delete(self, names: Sequence[str]) -> list[str]:
        """Remove videos from every file of the index; return those that it had."""
        gone = [m for name in names if (m := self.gallery.member(name)) is not None]
        self.gallery.delete([member.name for member in gone])
        self._forget(gone)
        if gone:
            self._drop_statistics()
        return [member.name for member in gone]

    def rebuild(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make the engines anew from the shards.

        Raises:
            DataError: a shard is missing or damaged.
        """
        members = self.gallery.members()
        for done, member in enumerate(members, 1):
            check_shard(self.root, member.shard, member.sha256)
            shard = read_shard(self.root, member.shard)
            for name, engine in self._engines.items():
                engine.upsert(_rows(member, shard, name, self.facts.precision))
            if progress is not None:
                progress(done, len(members))
        self._drop_statistics()

    def finish(self, unrelated: Unrelated) -> list[str]:
        """Compute what is known of the gallery as a whole, and return what is wrong with it.

        Args:
            unrelated: encodes sentences.
        """
        members = self.gallery.members()
        problems: list[str] = []
        for name, channel in self.facts.channels.items():
            sample, owners = self._sample(members, name)
            vectors = unrelated(name)
            asked: Sequence[Member | None] = [None] * (0 if vectors is None else len(vectors))
            if vectors is None:
                step = max(1, len(sample) // UNRELATED)
                held = [r for r in range(0, len(sample), step) if sample[r].any()]
                vectors, asked = sample[held], [owners[r] for r in held]
            engine: Any = self._engines[name]
            if members and hasattr(engine, "scores"):
                known = measure(channel, engine, sample, vectors, asked)
                write_statistics(self.root, name, known)
            numbers = [owner.number for owner in owners]
            problems += ailments(name, sample[np.unique(numbers, return_index=True)[1]])
        (self.root / UNFINISHED).unlink(missing_ok=True)
        return problems

    def _sample(self, members: Sequence[Member], channel: str) -> tuple[Array, list[Member]]:
        """Return rows that are evenly spread over the gallery, and whose they are."""
        total = sum(member.windows for member in members)
        step, at = max(1, -(-total // SAMPLE)), 0
        rows: list[Array] = []
        owners: list[Member] = []
        for member in members:
            chosen = np.arange(-at % step, member.windows, step)
            at += member.windows
            if len(chosen):
                rows.append(read_shard(self.root, member.shard).rows[channel][chosen])
                owners += [member] * len(chosen)
        width = self.facts.channels[channel].width
        return np.concatenate(rows) if rows else np.zeros((0, width), np.float32), owners

    def _repair(self) -> int:
        """Finish what a killed process has left; return how many videos that concerned."""
        sweep(self.root)
        members = self.gallery.members()
        known = {member.shard for member in members}
        for file in (self.root / SHARDS).glob("*.safetensors"):
            if file.name not in known:
                file.unlink(missing_ok=True)
        every = [member.ids for member in members]
        ids = np.concatenate(every) if every else np.zeros(0, np.int64)
        concerned = set()
        for name, engine in self._engines.items():
            there = engine.ids()
            engine.delete(np.setdiff1d(there, ids))
            missing = np.setdiff1d(ids, there)
            for member in members:
                if np.isin(member.ids, missing).any():
                    concerned.add(member.name)
                    shard = read_shard(self.root, member.shard)
                    engine.upsert(_rows(member, shard, name, self.facts.precision))
        return len(concerned)

    def _forget(self, gone: Sequence[Member], keep: str | None = None) -> None:
        ids = [member.ids for member in gone]
        if ids:
            for engine in self._engines.values():
                engine.delete(np.concatenate(ids))
        for member in gone:
            if member.shard != keep:
                (self.root / SHARDS / member.shard).unlink(missing_ok=True)
        self.gallery.database.forget()

    def _drop_statistics(self) -> None:
        """Remove the statistics, which hold rows of videos that are gone."""
        for file in (self.root / STATISTICS).glob("*.safetensors"):
            file.unlink(missing_ok=True)


def _rows(member: Member, shard: Shard, channel: str, precision: str) -> Rows:
    count, start = member.windows, member.start if member.start is not None else np.nan
    anomaly = np.full(count, np.nan, np.float32)
    if shard.curve is not None:
        centres = shard.curve.times.mean(axis=1)
        for r, (begin, end) in enumerate(shard.spans):
            inside = shard.curve.scores[(centres >= begin) & (centres <= end)]
            if len(inside):
                anomaly[r] = inside.max()
    # Rounded as in the shard, so that rows are the same whether they come from there or not.
    vectors = shard.rows[channel].astype(precision).astype(np.float32)
    return Rows(
        ids=member.ids,
        vectors=vectors,
        video=np.full(count, member.number, np.int64),
        begin=start + shard.spans[:, 0],
        end=start + shard.spans[:, 1],
        anomaly=anomaly,
        camera=[member.camera] * count,
    )


def _locked(root: Path) -> Any:
    """Lock an index; the system gives the lock up when the process ends, however it ends."""
    path = root / ".lock"
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise write_error(error, path, 0) from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise WriteError(
            f"{root} is being written by process {holder}", hint="wait for it, or stop it"
        ) from error
    file.truncate(0)
    file.write(f"{os.getpid()} on {os.uname().nodename}")
    file.flush()
    return file
