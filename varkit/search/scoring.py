"""Scores of all rows of a file of vectors, by matrix products over pieces that fit the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.searching import FLOOR, Array, Channel, Found
from varkit.search.threads import usable_threads

PIECE = 2**17
"""Numbers that a thread turns into float32 at a time: they stay in its cache."""
STRETCH = 2**20
"""Numbers of float32 rows that a thread multiplies at a time."""
SMALL = 2**21
"""Fewer numbers are not worth a second thread."""
LIFT = 112
"""Exponent that float16 numbers lack whose bits are moved to where float32 has them: 127 - 15."""

_Piece = tuple[slice, slice | NDArray[np.int64]]


@dataclass(frozen=True)
class _Term:
    """Columns of a row that are multiplied with a query: a block, or plain blocks side by side.

    ``absent``, of a block with ``log``, is what the logarithm is where the product is 0, (Q, 1).
    """

    columns: slice
    queries: Array
    weight: float = 1.0
    absent: Array | None = None


class Scorer:
    """Scores rows of a channel. Its threads live as long as it does."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._threads = usable_threads()
        self._pool: ThreadPoolExecutor | None = None
        self._buffers: dict[int, tuple[NDArray[np.int16], NDArray[np.int32]]] = {}

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def scores(
        self,
        records: NDArray[Any],
        places: NDArray[np.int64] | None,
        queries: Array,
        absent: Array | None,
    ) -> Array:
        """Return the (Q, n) scores of the records at ascending places; None = all records."""
        values = records["values"]
        half = values.dtype == np.float16
        count = len(records) if places is None else len(places)
        # An inner product is linear: large queries must not overflow where float16 is widened.
        exponents = np.frexp(np.abs(queries).max(axis=1, initial=0))[1]
        terms = _terms(self._channel, np.ldexp(queries, LIFT * half - exponents[:, None]), absent)
        backs = np.ldexp(np.float32(1), exponents)[:, None]
        # A matrix product of many queries has threads of its own.
        threads = self._threads if half or len(queries) == 1 else 1
        size = (PIECE if half else STRETCH) // values.shape[1]
        pieces = list(_pieces(places, count, max(1, size)))
        scores = np.empty((len(queries), count), np.float32)

        def score(first: int, step: int) -> None:
            for where, chosen in pieces[first::step]:
                rows = values[chosen]
                if half:
                    rows = _widened(rows.view(np.int16), *self._buffers[first])
                factors = records["factor"][chosen] if half else None
                _score(rows, factors, backs, terms, scores[:, where])

        if half and not self._buffers:
            shape = max(1, size), values.shape[1]
            for thread in range(self._threads):
                self._buffers[thread] = np.empty(shape, np.int16), np.empty(shape, np.int32)

        if threads == 1 or count * values.shape[1] < SMALL:
            score(0, 1)
        else:
            self._pool = self._pool or ThreadPoolExecutor(threads)
            list(self._pool.map(score, range(threads), [threads] * threads))
        return scores


def best(scores: Array, k: int, ids: Callable[[NDArray[np.int64]], NDArray[np.int64]]) -> Found:
    """Return the k best of (n,) scores, equal ones in the order of their ids.

    Args:
        scores: of the rows.
        k: at least 1.
        ids: returns the ids of the rows with some numbers.
    """
    rows = np.arange(len(scores))
    if k < len(scores):  # all that tie with the last of the best are candidates
        rows = np.flatnonzero(scores >= np.partition(scores, len(scores) - k)[len(scores) - k])
    own = ids(rows)
    order = np.lexsort((own, -scores[rows]))[:k]
    return Found(own[order], scores[rows[order]])


def _score(
    rows: Array, factors: Array | None, backs: Array, terms: list[_Term], out: Array
) -> None:
    """Write the (Q, n) scores of (n, K) rows."""
    for number, term in enumerate(terms):
        part = rows[:, term.columns]
        products = out if not number else np.empty_like(out)
        if len(term.queries) == 1:
            _dot(part, term.queries[0], out=products[0])
        else:
            np.matmul(term.queries, part.T, out=products)
        if factors is not None:
            products *= factors
        products *= backs
        if term.absent is not None:
            lacking = products == 0
            np.maximum(products, 0, out=products)
            np.log(products + np.float32(FLOOR), out=products)
            np.copyto(products, term.absent, where=lacking)
            products *= np.float32(term.weight)
        if number:
            out += products


_dot = getattr(np, "vecdot", np.matmul)  # NumPy 1 has no vecdot, which shares no threads
"""Inner products of (n, K) rows and a (K,) query."""


def _terms(channel: Channel, queries: Array, absent: Array | None) -> list[_Term]:
    """Return what to multiply: neighbouring plain blocks together, with their weights inside."""
    terms: list[_Term] = []
    for b, (block, columns) in enumerate(zip(channel.blocks, channel.slices, strict=True)):
        own = np.ascontiguousarray(queries[:, columns])
        if block.log:
            empty = np.full((len(queries), len(channel.blocks)), np.log(FLOOR))
            stand_in = (empty if absent is None else absent)[:, b : b + 1].astype(np.float32)
            terms.append(_Term(columns, own, block.weight, stand_in))
            continue
        own = own * np.float32(block.weight)
        if terms and terms[-1].absent is None:
            last = terms.pop()
            columns = slice(last.columns.start, columns.stop)
            own = np.concatenate([last.queries, own], axis=1)
        terms.append(_Term(columns, own))
    return terms


def _pieces(places: NDArray[np.int64] | None, count: int, size: int) -> Iterator[_Piece]:
    """Return where the scores of each piece go, and which records it has.

    Records side by side are read where they lie; scattered ones are gathered.
    """
    if places is None:
        runs = [(0, count, 0)]
    else:
        starts = np.flatnonzero(np.diff(places, prepend=-2) != 1)
        if len(starts) * 8 > count:
            for begin in range(0, count, size):
                yield slice(begin, begin + size), places[begin : begin + size]
            return
        ends = [*starts[1:].tolist(), count][: len(starts)]
        runs = list(zip(starts.tolist(), ends, places[starts].tolist(), strict=True))
    for start, end, first in runs:
        for begin in range(start, end, size):
            length = min(size, end - begin)
            at = first + begin - start
            yield slice(begin, begin + length), slice(at, at + length)


def _widened(bits: NDArray[np.int16], narrow: NDArray[np.int16], wide: NDArray[np.int32]) -> Array:
    """Return the bits of float16 numbers, none subnormal, as float32 numbers divided by 2**112.

    It is five times as fast as NumPy's own conversion: bits are shifted to where float32 has its
    exponent and fraction, and the sign, which the shift repeats, is cut to one bit. Then only the
    exponent's bias differs. The numbers are copied into the cache first, because a copy reads
    memory faster than a conversion does.
    """
    copy, target = narrow[: len(bits)], wide[: len(bits)]
    np.copyto(copy, bits)
    np.copyto(target, copy)
    np.left_shift(target, np.int32(13), out=target)
    np.bitwise_and(target, np.int32(-0x70000001), out=target)  # 0x8fffffff
    return target.view(np.float32)
