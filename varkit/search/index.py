"""An index, opened to be searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from varkit.errors import DataError, did_you_mean
from varkit.interfaces.searching import Array, Engine, Found, Space, Where
from varkit.plugins.loading import Plugins
from varkit.search.channels import block_scores, clip_rows, row_scores, unit
from varkit.search.facts import read_facts
from varkit.search.gallery import Gallery, Member
from varkit.search.hits import Hit, Moment, fine, moments
from varkit.search.parts import open_engine, open_space, plugins_of
from varkit.search.shards import Shard, read_shard
from varkit.search.statistics import LIKELY, Statistics, read_statistics

LONGEST = 10_000
"""Most letters of a sentence."""
MOST = 10_000
"""Most hits of a query."""
CANDIDATES = 200
"""Least rows that are scored in full, where an engine or a model finds candidates first."""
WIDER = 8
"""Rows that are asked for, for each video that is wanted."""


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a query.

    Attributes:
        channel: whose rows it is compared with.
        vector: (K,).
        sign: -1 = answers should not resemble it.
        text: the sentence, if it is one.
    """

    channel: str
    vector: Array
    sign: int = 1
    text: str | None = None


@dataclass(frozen=True)
class Filters:
    """Which windows may be found; None = all.

    Attributes:
        cameras: names of cameras.
        after: the window ends after this time, in ISO 8601. Times without a zone are the camera's.
        before: the window begins before this time.
        min_anomaly: the least anomaly, from 0 to 1.
        videos: names of videos.
    """

    cameras: Sequence[str] | None = None
    after: str | None = None
    before: str | None = None
    min_anomaly: float | None = None
    videos: Sequence[str] | None = None


class Index:
    """An index of videos; a context manager. :func:`open_index` opens one.

    Attributes:
        root: its folder.
        facts: what it is made of.
    """

    def __init__(self, root: Path) -> None:
        self.root, self.facts = root, read_facts(root)
        self._gallery = Gallery(root)
        self._plugins: Plugins = plugins_of(self.facts)
        self._engines: dict[str, Engine] = {}
        self._statistics: dict[str, tuple[int, Statistics]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()
        self._gallery.close()

    @property
    def videos(self) -> list[str]:
        """The names of its videos."""
        return [member.name for member in self._gallery.members()]

    def search(
        self,
        text: str | None = None,
        *,
        audio: str | Path | None = None,
        like: str | Path | None = None,
        without: str | None = None,
        filters: Filters | None = None,
        k: int = 10,
    ) -> list[Hit]:
        """Find videos, the best first.

        With several of ``text``, ``audio``, ``like`` and ``without``, the scores of each are
        brought to one scale by their deviation over the gallery, and added; ``chance`` is unknown.

        Args:
            text: a sentence. ``sound: glass breaking`` asks only what is heard.
            audio: a file of sound, or of video with sound.
            like: a video of the index or a file, whole or, as in ``a.mp4@12.5``, at a time.
            without: a sentence that answers should not match.
            filters: which windows may be found.
            k: most videos that are returned.

        Raises:
            DataError: the query is empty or too long, a filter is wrong, or the index is damaged.
            VarkitError: the index does not answer queries of this sort.
        """
        terms = [
            *([] if text is None else self._text_terms(text, 1)),
            *([] if without is None else self._text_terms(without, -1)),
            *([] if audio is None else self._audio_terms(Path(audio))),
            *([] if like is None else self._like_terms(str(like))),
        ]
        if not terms:
            raise DataError("ask something: a sentence, a sound, or a video that is similar")
        return self._answer([terms], self._where(filters), k)[0]

    def search_many(
        self, texts: Sequence[str], *, filters: Filters | None = None, k: int = 10
    ) -> list[list[Hit]]:
        """Answer several sentences in one pass over the rows; see :meth:`search`."""
        name, vectors = self._texts(texts)
        pairs = zip(vectors, texts, strict=True)
        queries = [[Term(name, vector, 1, text)] for vector, text in pairs]
        return self._answer(queries, self._where(filters), k)

    def search_vector(self, vector: Array, *, channel: str | None = None, k: int = 10) -> list[Hit]:
        """Find videos for a vector that was encoded elsewhere.

        Args:
            vector: (K,) in a channel of this index.
            channel: its name; None = the one that answers sentences, or else the first.
            k: as for :meth:`search`.

        Raises:
            DataError: there is no such channel, or the vector is not (K,) and finite.
        """
        name = channel or next(iter([*self.facts.channel_for("text"), *self.facts.channels]))
        self._channel(name)
        query, width = np.asarray(vector, np.float32), self.facts.channels[name].width
        if query.shape != (width,) or not np.isfinite(query).all():
            raise DataError(
                f"a vector for channel {name!r} has {width} finite numbers; this one has shape "
                f"{query.shape}{'' if query.shape != (width,) else ' and holds NaN or infinity'}"
            )
        return self._answer([[Term(name, query)]], None, k)[0]

    @cached_property
    def space(self) -> Space:
        """What encodes queries."""
        if self.facts.space is not None:
            return open_space(self.root, self.facts, self._plugins)
        from varkit.search.run_space import opened

        return opened(self.facts)

    def _texts(self, texts: Sequence[str]) -> tuple[str, Array]:
        names = self.facts.channel_for("text")
        if not names:
            raise DataError(f"{self.root} does not answer sentences; it was made for sounds")
        for text in texts:
            if not text.strip():
                raise DataError("the sentence is empty: write what to look for")
            if len(text) > LONGEST:
                raise DataError(f"the sentence has {len(text):,} letters; at most {LONGEST:,}")
        return names[0], self.space.encode_text(list(texts))

    def _text_terms(self, text: str, sign: int) -> list[Term]:
        name, vectors = self._texts([text])
        return [Term(name, vectors[0], sign, text)]

    def _audio_terms(self, file: Path) -> list[Term]:
        names = self.facts.channel_for("sound")
        if not names:
            raise DataError(
                f"{self.root} does not answer sounds: no extractor of its recipe hears",
                hint="varkit index VIDEOS uses yamnet unless a recipe says otherwise",
            )
        from varkit.search.outside import rows_of_file

        rows = rows_of_file(self.facts, self.space, names, file, heard=True)
        if not rows:
            raise DataError(f"{file} has no sound, or is silent")
        return [Term(name, row) for name, row in rows.items()]

    def _like_terms(self, like: str) -> list[Term]:
        names = self.facts.channel_for("example")
        name, at = _place(like)
        member = self._gallery.member(name) or self._ends_with(name)
        if member is not None:
            shard = read_shard(self.root, member.shard)
            rows = {channel: _chosen(shard, channel, at) for channel in names}
        else:
            if not Path(name).is_file():
                near = did_you_mean(name, self.videos)
                raise DataError(f"neither a file nor a video of {self.root}: {name!r}.{near}")
            from varkit.search.outside import rows_of_file

            rows = rows_of_file(self.facts, self.space, names, Path(name), at)
        return [Term(channel, row) for channel, row in rows.items() if row.any()]

    def _ends_with(self, name: str) -> Member | None:
        """Return the only video whose name ends so, for people who leave out its folder."""
        same = [m for m in self._gallery.members() if m.name.endswith(f"/{name}")]
        return same[0] if len(same) == 1 else None

    def _where(self, filters: Filters | None) -> Where | None:
        if filters is None or filters == Filters():
            return None
        cameras = self._gallery.cameras() if filters.cameras else []
        for camera in filters.cameras or ():
            if camera not in cameras:
                near, known = did_you_mean(camera, cameras), ", ".join(cameras) or "none"
                raise DataError(f"no camera {camera!r}.{near} Known: {known}.")
        videos = None
        if filters.videos is not None:
            numbers = {member.name: member.number for member in self._gallery.members()}
            for name in filters.videos:
                if name not in numbers:
                    near = did_you_mean(name, numbers)
                    raise DataError(f"{self.root} has no video {name!r}.{near}")
            videos = frozenset(numbers[name] for name in filters.videos)
        least = filters.min_anomaly
        if least is not None and not 0 <= least <= 1:
            raise DataError(f"an anomaly lies between 0 and 1, not at {least}")
        return Where(
            videos=videos,
            cameras=frozenset(filters.cameras) if filters.cameras else None,
            after=seconds(filters.after),
            before=seconds(filters.before),
            min_anomaly=least,
        )

    def _answer(
        self, queries: Sequence[Sequence[Term]], where: Where | None, k: int
    ) -> list[list[Hit]]:
        if k < 1:
            raise DataError(f"k must be at least 1, not {k}")
        members = self._gallery.members()
        k = min(k, MOST, len(members))
        if not members:
            return [[] for _ in queries]
        firsts = np.array([member.first for member in members])
        answers = []
        for terms, found in zip(queries, self._found(queries, where, k, members), strict=True):
            owners = np.searchsorted(firsts, found.ids, side="right") - 1
            windows: dict[int, list[tuple[int, float]]] = {}
            for row, score, owner in zip(found.ids, found.scores, owners, strict=True):
                if owner >= 0 and row < members[owner].first + members[owner].windows:
                    windows.setdefault(int(owner), []).append((int(row), float(score)))
            best = list(windows.items())[:k]
            answers.append([self._hit(terms, members[owner], rows) for owner, rows in best])
        return answers

    def _found(
        self,
        queries: Sequence[Sequence[Term]],
        where: Where | None,
        k: int,
        members: Sequence[Member],
    ) -> list[Found]:
        """Return rows of at least k videos, as far as there are so many, for each query."""
        alone = all(len(terms) == 1 and terms[0].sign == 1 for terms in queries)
        channels = {term.channel for terms in queries for term in terms}
        every = sum(member.windows for member in members)
        if alone and len(channels) == 1:
            (name,) = channels
            asked = [terms[0] for terms in queries]
            wanted = min(every, WIDER * k)
            while True:
                found = self._engine_search(name, asked, wanted, where)
                if wanted >= every or all(_videos(each, members) >= k for each in found):
                    return found
                wanted = min(every, WIDER * wanted)
        return [self._combined(terms, where) for terms in queries]

    def _engine_search(
        self, name: str, terms: Sequence[Term], k: int, where: Where | None
    ) -> list[Found]:
        """Return the best rows for each term, in the order of their full scores."""
        channel, engine = self.facts.channels[name], self._engine(name)
        vectors, absent = np.stack([term.vector for term in terms]), None
        if any(block.log for block in channel.blocks):
            absent = self._statistic(name).absent(channel, vectors)
        two_stages = self._two_stages and all(term.text is not None for term in terms)
        wanted = k if engine.exact and not two_stages else max(CANDIDATES, 4 * k)
        found = engine.search(vectors, wanted, where, absent)
        if two_stages:
            return [self._scored_in_full(*pair) for pair in zip(terms, found, strict=True)]
        if engine.exact and self.facts.precision == "float16":
            return found
        return [
            self._rescored(name, vector, each, None if absent is None else absent[q])
            for q, (vector, each) in enumerate(zip(vectors, found, strict=True))
        ]

    @property
    def _two_stages(self) -> bool:
        return bool(self.facts.run and self.facts.run["two_stages"])

    def _scored_in_full(self, term: Term, found: Found) -> Found:
        """Return candidates in the order of a run's similarity that is no inner product."""
        members = {member.first: member.name for member in self._gallery.members()}
        ids = np.array([row for row in found.ids.tolist() if row in members], np.int64)
        space: Any = self.space
        scores = space.similarity(term.text, [members[row] for row in ids.tolist()])
        order = np.lexsort((ids, -scores))
        return Found(ids[order], scores[order])

    def _rescored(self, name: str, vector: Array, found: Found, absent: Array | None) -> Found:
        """Return rows in the order of their full scores, in float64 rounded to float32."""
        channel = self.facts.channels[name]
        rows = self._rows(name, found.ids)
        scores = block_scores(channel, vector, rows, absent).sum(axis=1).astype(np.float32)
        order = np.lexsort((found.ids, -scores))
        return Found(found.ids[order], scores[order])

    def _rows(self, name: str, ids: Any) -> Array:
        """Return rows from their shards."""
        members = self._gallery.members()
        firsts = np.array([member.first for member in members])
        rows = np.zeros((len(ids), self.facts.channels[name].width), np.float32)
        owners = np.searchsorted(firsts, ids, side="right") - 1
        for owner in np.unique(owners):
            held = owners == owner
            member = members[owner]
            rows[held] = read_shard(self.root, member.shard).rows[name][ids[held] - member.first]
        return rows

    def _combined(self, terms: Sequence[Term], where: Where | None) -> Found:
        """Add the standardised scores of all rows over the terms of a query."""
        total: Array | None = None
        ids = np.zeros(0, np.int64)
        for term in terms:
            channel, engine = self.facts.channels[term.channel], self._engine(term.channel)
            if not hasattr(engine, "scores"):
                raise DataError(
                    f"engine {self.facts.engine.use!r} cannot combine queries",
                    hint="use the engine exact",
                )
            known = self._statistic(term.channel)
            vectors = term.vector[None]
            ids, scores = engine.scores(vectors, where, known.absent(channel, vectors))
            scores = term.sign * known.standard(channel, term.vector, scores[0])
            total = scores if total is None else total + scores
        assert total is not None
        order = np.lexsort((ids, -total))
        return Found(ids[order], total[order])

    def _hit(self, terms: Sequence[Term], member: Member, rows: Sequence[tuple[int, float]]) -> Hit:
        shard = read_shard(self.root, member.shard)
        row, score = rows[0]
        start, end = shard.spans[row - member.first].tolist()
        chance, parts, reasons = None, {}, []
        if len(terms) == 1 and terms[0].sign == 1 and not self._two_stages:
            term = terms[0]
            known, channel = self._statistic(term.channel), self.facts.channels[term.channel]
            if not any(_constant(term.vector[part]) for part in channel.slices):
                chance = known.chance(row, score)
            vector = shard.rows[term.channel][row - member.first]
            absent = known.absent(channel, term.vector[None])[0]
            scores = block_scores(channel, term.vector, vector[None], absent)[0]
            names = [block.name for block in channel.blocks]
            parts = dict(zip(names, map(float, scores), strict=True))
            if self.facts.space is not None:
                reasons = self.space.reasons(term.channel, term.vector, vector)
        anomaly, concept = self._anomaly(shard, start, end)
        return Hit(
            video=member.name,
            path=None if self.facts.media is None else Path(self.facts.media) / member.path,
            start=start,
            end=end,
            score=score,
            chance=chance,
            confident=chance is not None and chance <= LIKELY,
            parts=parts,
            reasons=tuple(reasons),
            moments=self._moments(terms, shard, start, end, score),
            more=tuple(
                (float(begin), float(end), value)
                for (begin, end), value in (
                    (shard.spans[other - member.first], value) for other, value in rows[1:]
                )
            ),
            camera=member.camera,
            time=None if member.start is None else iso(member.start + start),
            anomaly=anomaly,
            concept=concept,
        )

    def _moments(
        self, terms: Sequence[Term], shard: Shard, start: float, end: float, score: float
    ) -> tuple[Moment, ...]:
        term = next((term for term in terms if term.sign == 1), terms[0])
        channel = self.facts.channels[term.channel]
        tracks = fine(channel, shard.tracks.get(term.channel, {}))
        if not tracks or term.sign < 0:
            return (Moment(start, end, score),)
        query = term.vector[None]
        absent = self._statistic(term.channel).absent(channel, query)
        times, rows = clip_rows(channel, tracks)
        scores = row_scores(channel, query, rows, absent)[0]
        return moments(times, scores, start, end)

    def _anomaly(self, shard: Shard, start: float, end: float) -> tuple[float | None, str | None]:
        curve = shard.curve
        if curve is None:
            return None, None
        centres = curve.times.mean(axis=1)
        inside = np.flatnonzero((centres >= start) & (centres <= end))
        if not len(inside):
            return None, None
        peak = int(inside[curve.scores[inside].argmax()])
        fired = int(curve.fired[peak])
        concept = self.facts.concepts[fired] if 0 <= fired < len(self.facts.concepts) else None
        return float(curve.scores[peak]), concept

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self._channel(name)
            self._engines[name] = open_engine(self.root, self.facts, name, self._plugins)
        return self._engines[name]

    def _statistic(self, name: str) -> Statistics:
        changes = self._gallery.changes()
        if name not in self._statistics or self._statistics[name][0] != changes:
            read = read_statistics(self.root, self.facts.channels[name], name)
            self._statistics[name] = changes, read
        return self._statistics[name][1]

    def _channel(self, name: str) -> None:
        if name not in self.facts.channels:
            near = did_you_mean(name, self.facts.channels)
            raise DataError(f"{self.root} has no channel {name!r}.{near}")


def open_index(path: str | Path) -> Index:
    """Open an index to search it; it may grow meanwhile.

    Args:
        path: its folder.

    Raises:
        DataError: it is missing, damaged, or of another version.
    """
    return Index(Path(path))


def seconds(text: str | None) -> float | None:
    """Return a time in seconds since 1970; without a zone, as if the clock were UTC's.

    Raises:
        DataError: it is not a time in ISO 8601.

    >>> seconds("1970-01-02"), seconds("1970-01-01T01:00+01:00")
    (86400.0, 0.0)
    """
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise DataError(
            f"{text!r} is not a time; write it like 2024-05-01 or 2024-05-01T13:45"
        ) from error
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()


def iso(time: float) -> str:
    """Return seconds since 1970 in ISO 8601, without a zone."""
    return datetime.fromtimestamp(time, UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def _constant(part: Array) -> bool:
    """Return whether a query says nothing to a block, unlike the queries that chances are from."""
    return len(part) > 1 and float(np.ptp(part)) == 0


def _place(like: str) -> tuple[str, float | None]:
    """Split ``a.mp4@12.5`` or ``a.mp4@1:02`` into a name and seconds."""
    name, mark, at = like.rpartition("@")
    if not mark:
        return like, None
    try:
        parts = [float(part) for part in at.split(":")]
    except ValueError:
        return like, None
    total = 0.0
    for part in parts:
        total = 60 * total + part
    return name, total


def _chosen(shard: Shard, channel: str, at: float | None) -> Array:
    """Return the row of the window at a time, or the mean of all."""
    rows: Mapping[str, Array] = shard.rows
    if at is None:
        return unit(rows[channel].mean(axis=0))
    distance = np.abs(shard.spans.mean(axis=1) - at)
    row: Array = rows[channel][int(distance.argmin())]
    return row


def _videos(found: Found, members: Sequence[Member]) -> int:
    firsts = np.array([member.first for member in members])
    return len(np.unique(np.searchsorted(firsts, found.ids, side="right")))
