"""Ranks the rows of an index: by its engines, and in full where these only find candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError, did_you_mean
from varkit.interfaces.searching import Array, Engine, Found, Where
from varkit.plugins.loading import Plugins
from varkit.search.channels import block_scores
from varkit.search.facts import Facts
from varkit.search.gallery import Gallery, Member
from varkit.search.parts import open_engine
from varkit.search.query import Term
from varkit.search.shards import read_shard
from varkit.search.statistics import Statistics, read_statistics

CANDIDATES = 200
"""Least rows that are scored in full, where an engine or a model finds candidates first."""
WIDER = 8
"""Rows that are asked for, for each video that is wanted."""


class Ranking:
    """Ranks rows.

    Args:
        root: of the index.
        facts: what it is made of.
        gallery: its catalogue.
        plugins: with its engine.
        similarity: scores a sentence and videos in full, for runs without factors.
    """

    def __init__(
        self,
        root: Path,
        facts: Facts,
        gallery: Gallery,
        plugins: Plugins,
        similarity: Callable[[str, Sequence[str]], Array],
    ) -> None:
        self._root, self._facts, self._gallery = root, facts, gallery
        self._plugins, self._similarity = plugins, similarity
        self._engines: dict[str, Engine] = {}
        self._statistics: dict[str, tuple[int, Statistics]] = {}
        self._absent: WeakKeyDictionary[Term, Array] = WeakKeyDictionary()

    def close(self) -> None:
        """Close the engines."""
        for engine in self._engines.values():
            engine.close()
        self._engines.clear()

    @property
    def two_stages(self) -> bool:
        """Whether rows only find candidates, which the run then scores in full."""
        return bool(self._facts.run and self._facts.run["two_stages"])

    def rank(
        self,
        queries: Sequence[Sequence[Term]],
        where: Where | None,
        k: int,
        members: Sequence[Member],
    ) -> list[Found]:
        """Return rows of at least k videos, as far as there are so many, for each query.

        Args:
            queries: the terms of each.
            where: which rows may be found.
            k: how many videos.
            members: the videos of the index.
        """
        alone = all(len(terms) == 1 and terms[0].sign == 1 for terms in queries)
        channels = {term.channel for terms in queries for term in terms}
        every = sum(member.windows for member in members)
        if alone and len(channels) == 1:
            (name,) = channels
            asked = [terms[0] for terms in queries]
            wanted = min(every, WIDER * k)
            while True:
                found = self._best(name, asked, wanted, where)
                if wanted >= every or all(_count(each, members) >= k for each in found):
                    return found
                wanted = min(every, WIDER * wanted)
        return [self._combined(terms, where) for terms in queries]

    def _best(self, name: str, terms: Sequence[Term], k: int, where: Where | None) -> list[Found]:
        """Return the best rows for each term, in the order of their full scores."""
        channel, engine = self._facts.channels[name], self._engine(name)
        vectors, absent = np.stack([term.vector for term in terms]), None
        if any(block.log for block in channel.blocks):
            absent = np.stack([self.absent(term) for term in terms])
        two_stages = self.two_stages and all(term.text is not None for term in terms)
        wanted = k if engine.exact and not two_stages else max(CANDIDATES, 4 * k)
        found = engine.search(vectors, wanted, where, absent)
        if two_stages:
            return [self._scored_in_full(*pair) for pair in zip(terms, found, strict=True)]
        if engine.exact and self._facts.precision == "float16":
            return found
        return [
            self._rescored(name, vector, each, None if absent is None else absent[q])
            for q, (vector, each) in enumerate(zip(vectors, found, strict=True))
        ]

    def _scored_in_full(self, term: Term, found: Found) -> Found:
        """Return candidates in the order of a run's similarity that is no inner product."""
        members = {member.first: member.name for member in self._gallery.members()}
        ids = np.array([row for row in found.ids.tolist() if row in members], np.int64)
        scores = self._similarity(term.text or "", [members[row] for row in ids.tolist()])
        order = np.lexsort((ids, -scores))
        return Found(ids[order], scores[order])

    def _rescored(self, name: str, vector: Array, found: Found, absent: Array | None) -> Found:
        """Return rows in the order of their full scores, in float64 rounded to float32."""
        ids, rows = self._rows(name, found.ids)
        channel = self._facts.channels[name]
        scores = block_scores(channel, vector, rows, absent).sum(axis=1).astype(np.float32)
        order = np.lexsort((ids, -scores))
        return Found(ids[order], scores[order])

    def _rows(self, name: str, ids: NDArray[np.int64]) -> tuple[NDArray[np.int64], Array]:
        """Return rows from their shards, but for those that are gone; and their ids."""
        members = self._gallery.members()
        firsts = np.array([member.first for member in members], np.int64)
        ends = firsts + np.array([member.windows for member in members], np.int64)
        owners = np.searchsorted(firsts, ids, side="right") - 1
        there = (owners >= 0) & (ids < ends[owners])
        ids, owners = ids[there], owners[there]
        rows = np.zeros((len(ids), self._facts.channels[name].width), np.float32)
        for owner in np.unique(owners).tolist():
            held, member = owners == owner, members[owner]
            rows[held] = read_shard(self._root, member.shard).rows[name][ids[held] - member.first]
        return ids, rows

    def _combined(self, terms: Sequence[Term], where: Where | None) -> Found:
        """Add the standardised scores of all rows over the terms of a query."""
        ids, total = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for number, term in enumerate(terms):
            channel, engine = self._facts.channels[term.channel], self._engine(term.channel)
            scoring: Any = getattr(engine, "scores", None)
            if scoring is None:
                raise DataError(
                    f"engine {self._facts.engine.use!r} cannot combine queries",
                    hint="use the engine exact",
                )
            known, vectors = self.statistics(term.channel), term.vector[None]
            own, scores = scoring(vectors, where, self.absent(term)[None])
            scores = term.sign * known.standard(channel, term.vector, scores[0])
            if number:  # the index may have grown between two channels
                own, left, right = np.intersect1d(own, ids, return_indices=True)
                scores = scores[left] + total[right]
            ids, total = own, scores
        order = np.lexsort((ids, -total))
        return Found(ids[order], total[order])

    def _engine(self, name: str) -> Engine:
        if name not in self._engines:
            self.expect(name)
            self._engines[name] = open_engine(self._root, self._facts, name, self._plugins)
        return self._engines[name]

    def absent(self, term: Term) -> Array:
        """Return (blocks,) what rows without a block count as for a term; computed once."""
        if term not in self._absent:
            channel = self._facts.channels[term.channel]
            known = self.statistics(term.channel)
            self._absent[term] = known.absent(channel, term.vector[None])[0]
        return self._absent[term]

    def statistics(self, name: str) -> Statistics:
        """Return what is usual in a channel, read again when the index has changed."""
        changes = self._gallery.changes()
        if name not in self._statistics or self._statistics[name][0] != changes:
            read = read_statistics(self._root, self._facts.channels[name], name)
            self._statistics[name] = changes, read
        return self._statistics[name][1]

    def expect(self, name: str) -> None:
        """Check that the index has a channel.

        Raises:
            DataError: it has not.
        """
        if name not in self._facts.channels:
            near = did_you_mean(name, self._facts.channels)
            raise DataError(f"{self._root} has no channel {name!r}.{near}")


def _count(found: Found, members: Sequence[Member]) -> int:
    """Return of how many videos rows are."""
    firsts = np.array([member.first for member in members])
    return len(np.unique(np.searchsorted(firsts, found.ids, side="right")))
