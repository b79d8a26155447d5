"""Scores of all rows of a file of vectors, piece by piece as fits the cache."""

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
"""Numbers of rows that a thread works on at a time: they stay in its cache."""
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
        scores = np.empty((len(queries), count), np.float32)
        size = max(1, PIECE // values.shape[1])
        pieces = list(_pieces(places, count, size))

        def score(thread: int, threads: int) -> None:
            shape = (min(size, count) if half else 0, values.shape[1])
            buffers = np.empty(shape, np.int16), np.empty(shape, np.int32)
            for where, chosen in pieces[thread::threads]:
                rows = values[chosen]
                factors = records["factor"][chosen] if half else None
                wide = _widened(rows, *buffers) if half else rows
                _score(wide, factors, backs, terms, scores[:, where])

        self._share(score, count * values.shape[1])
        return scores

    def _share(self, task: Callable[[int, int], None], numbers: int) -> None:
        """Run a task in every thread, with the thread's number and how many there are."""
        if self._threads == 1 or numbers < SMALL:
            task(0, 1)
            return
        self._pool = self._pool or ThreadPoolExecutor(self._threads)
        list(self._pool.map(task, range(self._threads), [self._threads] * self._threads))


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
        _multiply(part, term.queries, products)
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


def _multiply(rows: Array, queries: Array, out: Array) -> None:
    """Write the (Q, n) inner products.

    They are computed one by one. A matrix product computes no faster here: its operands are in the
    cache already. And it has threads of its own, which wait for each other at every piece.
    """
    if hasattr(np, "vecdot"):
        np.vecdot(rows, queries[:, None], out=out)
    else:  # NumPy 1
        np.matmul(queries, rows.T, out=out)


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


def _widened(
    halves: NDArray[np.float16], narrow: NDArray[np.int16], wide: NDArray[np.int32]
) -> Array:
    """Return (n, K) float16 numbers, none subnormal, as float32 numbers divided by 2**112.

    It is five times as fast as NumPy's own conversion: bits are shifted to where float32 has its
    exponent and fraction, and the sign, which the shift repeats, is cut to one bit. Then only the
    exponent's bias differs. The numbers are copied into the cache first, because a copy reads
    memory faster than a conversion does.

    Args:
        halves: the numbers.
        narrow: a buffer of at least as many rows.
        wide: another one, which will be the result.
    """
    narrow, wide = narrow[: len(halves)], wide[: len(halves)]
    np.copyto(narrow, halves.view(np.int16))
    np.copyto(wide, narrow)
    np.left_shift(wide, np.int32(13), out=wide)
    np.bitwise_and(wide, np.int32(-0x70000001), out=wide)  # 0x8fffffff
    return wide.view(np.float32)
