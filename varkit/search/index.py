"""An index, opened to be searched."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from varkit.errors import DataError, did_you_mean
from varkit.interfaces.searching import Array, Reason, Space, Where
from varkit.plugins.loading import Plugins
from varkit.search.channels import block_scores, clip_rows, row_scores
from varkit.search.facts import read_facts
from varkit.search.gallery import Gallery, Member
from varkit.search.hits import Hit, Moment, fine, moments
from varkit.search.parts import open_space, plugins_of
from varkit.search.query import Filters, Term, iso, place_in, row_at, says_nothing, seconds
from varkit.search.ranking import Ranking
from varkit.search.shards import Shard, read_shard
from varkit.search.statistics import LIKELY

LONGEST = 10_000
"""Most letters of a sentence."""
MOST = 10_000
"""Most hits of a query."""


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
        self._ranking = Ranking(root, self.facts, self._gallery, self._plugins, self._similarity)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._ranking.close()
        self._gallery.close()

    @property
    def unfinished(self) -> bool:
        """Whether it is being written, or that was interrupted."""
        return (self.root / "unfinished").exists()

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
        self._ranking.expect(name)
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

    def _similarity(self, text: str, videos: Sequence[str]) -> Array:
        space: Any = self.space  # a run's
        scores: Array = space.similarity(text, videos)
        return scores

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
        name, at = place_in(like)
        member = self._gallery.member(name) or self._ends_with(name)
        if member is not None:
            shard = read_shard(self.root, member.shard)
            rows = {channel: row_at(shard, channel, at) for channel in names}
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
        for terms, found in zip(
            queries, self._ranking.rank(queries, where, k, members), strict=True
        ):
            owners = np.searchsorted(firsts, found.ids, side="right") - 1
            windows: dict[int, list[tuple[int, float]]] = {}
            for row, score, owner in zip(found.ids, found.scores, owners, strict=True):
                if owner >= 0 and row < members[owner].first + members[owner].windows:
                    windows.setdefault(int(owner), []).append((int(row), float(score)))
            hits: list[Hit] = []
            for owner, rows in windows.items():
                if len(hits) == k:
                    break
                try:
                    hits += self._hits(terms, members[owner], rows)
                except DataError:
                    if self._gallery.member(members[owner].name) == members[owner]:
                        raise
                    # it was deleted or replaced since the rows were ranked
            answers.append(hits)
        return answers

    def _hits(
        self, terms: Sequence[Term], member: Member, rows: Sequence[tuple[int, float]]
    ) -> list[Hit]:
        """Return a video as a hit, or nothing if it lacks all that the query asks."""
        asked = next((term for term in terms if term.sign == 1), terms[0])
        shard = read_shard(self.root, member.shard, (asked.channel,))
        row, score = rows[0]
        vector = shard.rows[asked.channel][row - member.first]
        parts = self.facts.channels[asked.channel].slices
        if not any(asked.vector[part].any() and vector[part].any() for part in parts):
            return []
        start, end = shard.spans[row - member.first].tolist()
        best = self._moments(asked, shard, start, end, score)
        anomaly, concept = self._anomaly(shard, start, end)
        hit = Hit(
            video=member.name,
            path=None if self.facts.media is None else Path(self.facts.media) / member.path,
            start=start,
            end=end,
            score=score,
            moments=best,
            more=tuple(
                Moment(float(begin), float(end), value)
                for (begin, end), value in (
                    (shard.spans[other - member.first], value) for other, value in rows[1:]
                )
            ),
            camera=member.camera,
            time=None if member.start is None else iso(member.start + best[0].start),
            anomaly=anomaly,
            concept=concept,
        )
        alone = len(terms) == 1 and asked.sign == 1 and not self._ranking.two_stages
        return [self._with_reasons(hit, asked, row, vector) if alone else hit]

    def _with_reasons(self, hit: Hit, term: Term, row: int, vector: Array) -> Hit:
        """Return a hit with how likely it is by chance, and what made its score."""
        channel, chance = self.facts.channels[term.channel], None
        if not any(says_nothing(term.vector[part]) for part in channel.slices):
            chance = self._ranking.statistics(term.channel).chance(row, hit.score)
        absent = self._ranking.absent(term)
        scores = block_scores(channel, term.vector, vector[None], absent)[0]
        names = [block.name for block in channel.blocks]
        reasons: Sequence[Reason] = ()
        if self.facts.space is not None:
            reasons = self.space.reasons(term.channel, term.vector, vector)
        return replace(
            hit,
            chance=chance,
            confident=chance is not None and chance <= LIKELY,
            parts=dict(zip(names, map(float, scores), strict=True)),
            reasons=tuple(reasons),
        )

    def _moments(
        self, term: Term, shard: Shard, start: float, end: float, score: float
    ) -> tuple[Moment, ...]:
        channel = self.facts.channels[term.channel]
        if term.text is None:  # a sound or an example may be much shorter than a window
            start, end = float(shard.spans[0, 0]), float(shard.spans[-1, 1])
        tracks = fine(channel, shard.tracks.get(term.channel, {}))
        if not tracks or term.sign < 0:
            return (Moment(start, end, score),)
        times, rows = clip_rows(channel, tracks)
        absent = self._ranking.absent(term)[None]
        scores = row_scores(channel, term.vector[None], rows, absent)[0]
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


def open_index(path: str | Path) -> Index:
    """Open an index to search it; it may grow meanwhile.

    Args:
        path: its folder.

    Raises:
        DataError: it is missing, damaged, or of another version.
    """
    return Index(Path(path))
