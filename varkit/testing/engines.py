"""What every engine promises (:class:`varkit.interfaces.Engine`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Engine
from varkit.interfaces.searching import FLOOR, Array, Channel, Found, Rows, Where
from varkit.system.inputs import read_user_file
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import expect_unchanged

COUNT, QUERIES, K = 300, 24, 10
"""Rows and queries of the checks, and how many rows are asked for."""
RECALL = 0.99
"""Least share of the best rows that an engine finds that is not exact."""
TOLERANCE = 1e-4
"""Largest error of a score, and difference of scores whose order does not matter."""
FILTERS: Sequence[Where] = (
    Where(videos=frozenset({3, 4, 5, 999})),
    Where(cameras=frozenset({"gate", "hall, north"})),
    Where(cameras=frozenset()),
    Where(after=1000.0),
    Where(before=1000.0),
    Where(after=500.0, before=1500.0),
    Where(min_anomaly=0.5),
    Where(videos=frozenset(range(12)), cameras=frozenset({"gate"}), after=300.0, min_anomaly=0.25),
)


@dataclass(frozen=True)
class _Case:
    engine: Engine
    fresh: Engine
    channel: Channel
    folder: Path
    rows: Rows
    queries: Array

    def fill(self) -> Rows:
        """Leave the engine with the rows and nothing else, whatever was in it; return them."""
        self.empty()
        self.engine.upsert(self.rows)
        return self.rows

    def empty(self) -> None:
        self.engine.delete(self.engine.ids())


def check_engine(
    engine: Engine, *, fresh: Engine, channel: Channel, folder: Path, subject: str = "engine"
) -> tuple[Result, ...]:
    """Check an engine on made-up rows.

    Args:
        engine: the component, which has no rows.
        fresh: another instance with the same options and folder: it reads while ``engine`` writes.
        channel: that both were built for.
        folder: theirs.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        queries = made_up_vectors(channel, QUERIES, 1)
        return _Case(engine, fresh, channel, folder, made_up_rows(channel), queries)

    return run(subject, engine, _CHECKS, make_case, unchanged=_unchanged)


def made_up_vectors(channel: Channel, count: int, seed: int) -> Array:
    """Return vectors without a rounding error: float16 holds them, and float32 their products.

    Blocks with ``log`` are not negative.
    """
    vectors = np.random.default_rng(seed).integers(-64, 65, (count, channel.width)) / 64
    for block, part in zip(channel.blocks, channel.slices, strict=True):
        if block.log:
            vectors[:, part] = np.abs(vectors[:, part])
    return vectors.astype(np.float32)


def made_up_rows(channel: Channel, count: int = COUNT) -> Rows:
    """Return rows in no order; every seventh lacks its camera, its times or its anomaly."""
    random = np.random.default_rng(2)
    begin = np.linspace(0, 2000, count)
    anomaly = (np.arange(count) % 9 / 8).astype(np.float32)
    begin[1::7] = anomaly[2::7] = np.nan
    cameras = ("gate", "hall, north", "entr\u00e9e d'or", "-")
    return Rows(
        ids=1 + 3 * random.permutation(count).astype(np.int64),
        vectors=made_up_vectors(channel, count, 3),
        video=1 + np.arange(count) // 20,
        begin=begin,
        end=begin + 10,
        anomaly=anomaly,
        camera=[None if n % 7 == 0 else cameras[n % 4] for n in range(count)],
    )


def best_rows_are_found(case: _Case) -> None:
    """The best rows are found, the best first: by the channel's score if the engine is exact."""
    rows = case.fill()
    _expect_best(case, rows)
    alone = [case.engine.search(query[None], K)[0] for query in case.queries]
    together = case.engine.search(case.queries, K)
    for q, (one, other) in enumerate(zip(alone, together, strict=True)):
        same = one.ids.tolist() == other.ids.tolist()
        expect(same, f"query {q} alone finds {one.ids.tolist()}, in a batch {other.ids.tolist()}")


def equal_rows_are_in_the_order_of_their_ids(case: _Case) -> None:
    """Rows of one score are in the order of their ids, if the engine is exact."""
    rows = case.fill()
    if case.engine.exact:
        _expect_best(case, replace(rows, vectors=rows.vectors[np.arange(COUNT) // 6]))


def missing_blocks_count_as_told(case: _Case) -> None:
    """A block of zeros is a missing one: it counts as ``absent`` says, if the engine is exact."""
    rows = case.fill()
    vectors = rows.vectors.copy()
    for n, part in enumerate(case.channel.slices):
        vectors[n :: len(case.channel.blocks) + 2, part] = 0
    vectors[::17] = 0
    shape = (len(case.queries), len(case.channel.blocks))
    absent = np.random.default_rng(4).uniform(-8, 2, shape).astype(np.float32)
    _expect_best(case, replace(rows, vectors=vectors))
    _expect_best(case, replace(rows, vectors=vectors), absent=absent)


def filters_are_obeyed(case: _Case) -> None:
    """A filter finds what a search among the rows that pass it finds; unknown fields do not."""
    rows = case.fill()
    for where in (*FILTERS, Where()):
        _expect_found(case, rows, where)


def any_k_is_fine(case: _Case) -> None:
    """All rows are found if k is larger than their number; and k may be 1."""
    rows = case.fill()
    _expect_found(case, rows, k=1)
    for where in (None, FILTERS[0]):
        _expect_found(case, rows, where, k=10**12)


def a_repeated_upsert_changes_nothing(case: _Case) -> None:
    """An upsert that is repeated, as after a failure, changes nothing."""
    rows = case.fill()
    case.engine.upsert(rows)
    case.engine.upsert(_part(rows, np.arange(0, COUNT, 3)))
    _expect_state(case, rows)


def an_upsert_replaces(case: _Case) -> None:
    """A row with an id that is there replaces it, with its fields; others stay."""
    rows = case.fill()
    changed = np.arange(0, COUNT, 4)
    vectors, video, camera = rows.vectors.copy(), rows.video.copy(), list(rows.camera)
    vectors[changed], video[changed] = vectors[changed[::-1]].copy(), 4
    for n in changed:
        camera[n] = "gate"
    rows = replace(rows, vectors=vectors, video=video, camera=camera)
    case.engine.upsert(_part(rows, changed))
    _expect_state(case, rows)


def deleted_rows_are_gone(case: _Case) -> None:
    """Deleted rows are not found, and can be added again; unknown ids are passed over."""
    rows = case.fill()
    best = np.unique(np.concatenate([found.ids[:3] for found in _search(case, K)]))
    case.engine.delete(np.append(best, 10**15))
    _expect_state(case, _part(rows, ~np.isin(rows.ids, best)))
    case.engine.upsert(_part(rows, np.isin(rows.ids, best)))
    _expect_state(case, rows)


def deleted_bytes_are_gone(case: _Case) -> None:
    """Neither the camera nor the numbers of a deleted or replaced row are in any file."""
    rows = case.fill()
    secret, first = "camera to be forgotten", rows.vectors[:1].copy()
    first[:] = np.linspace(0.111, 0.999, case.channel.width)
    for again in (False, True):
        hidden = replace(_part(rows, np.arange(1)), vectors=first, camera=[secret])
        case.engine.upsert(hidden)
        if again:
            case.engine.upsert(_part(rows, np.arange(1)))
        else:
            case.engine.delete(hidden.ids)
        for file in sorted(path for path in case.folder.rglob("*") if path.is_file()):
            content = read_user_file(file)
            traces = [secret.encode(how) for how in ("utf-8", "utf-16-le", "utf-32-le")]
            traces += [first.astype(kind).tobytes() for kind in (np.float32, np.float16)]
            left = any(trace in content for trace in traces)
            done = "replaced" if again else "deleted"
            expect(not left, f"{file.relative_to(case.folder)} has traces of a {done} row")


def ids_ascend(case: _Case) -> None:
    """``ids()`` is all ids, as int64, ascending."""
    rows = case.fill()
    ids = case.engine.ids()
    expect(ids.dtype == np.int64 and ids.ndim == 1, f"ids are {ids.dtype} of shape {ids.shape}")
    expect(bool((np.diff(ids) > 0).all()), "ids do not ascend")
    expect(set(ids.tolist()) == set(rows.ids.tolist()), "ids are not those of the rows")


def bad_rows_change_nothing(case: _Case) -> None:
    """NaN, infinity, another width, ids below 1 and repeated ids are refused; nothing changes."""
    rows = case.fill()
    few = replace(_part(rows, np.arange(4)), ids=np.arange(4) + 10**6)
    faults = {"another width": replace(few, vectors=few.vectors[:, 1:])}
    for value in (np.nan, np.inf, -np.inf):
        vectors = few.vectors.copy()
        vectors[3, -1] = value
        faults[str(value)] = replace(few, vectors=vectors)
    for name, one in (("an id of 0", 0), ("a negative id", -5), ("a repeated id", 10**6)):
        faults[name] = replace(few, ids=np.array([10**6, 10**6 + 1, 10**6 + 2, one]))
    for name, bad in faults.items():
        try:
            case.engine.upsert(bad)
        except DataError:
            continue
        expect(False, f"{name} is accepted")
    _expect_state(case, rows)


def bad_queries_are_refused(case: _Case) -> None:
    """NaN, infinity, another width and another shape of a query raise a DataError."""
    case.fill()
    queries = [case.queries[:, 1:], case.queries[0]]
    for value in (np.nan, np.inf):
        queries.append(case.queries.copy())
        queries[-1][1, 2] = value
    for bad in queries:
        try:
            case.engine.search(bad, K)
        except DataError:
            continue
        expect(False, f"queries of shape {bad.shape}, the last of them not finite, are accepted")


def nothing_is_fine(case: _Case) -> None:
    """An engine without rows finds nothing; no rows, no ids and no queries are fine."""
    case.empty()
    none = np.zeros(0, np.int64)
    expect(case.engine.ids().tolist() == [], "an empty engine has ids")
    for where in (None, FILTERS[0]):
        found = case.engine.search(case.queries, K, where)
        empty = len(found) == QUERIES and all(len(each.ids) == 0 for each in found)
        expect(empty, f"an empty engine finds {found[:2]}")
    case.engine.delete(np.array([7]))
    rows = case.fill()
    case.engine.upsert(_part(rows, none))
    case.engine.delete(none)
    expect(case.engine.search(case.queries[:0], K) == [], "no queries have an answer")
    _expect_state(case, rows)


def another_instance_sees_it(case: _Case) -> None:
    """What a call has done, another instance in the same folder sees, however old it is."""
    rows = case.fill()
    _expect_found(replace(case, engine=case.fresh), rows)
    case.engine.delete(rows.ids[:50])
    rest = _part(rows, np.arange(50, COUNT))
    _expect_state(replace(case, engine=case.fresh), rest)
    case.fresh.close()


def inputs_stay(case: _Case) -> None:
    """Rows and queries are not changed."""
    with _unchanged(case):
        case.fill()
        case.engine.search(case.queries, K)


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    arrays = {n: part for n, part in vars(case.rows).items() if isinstance(part, np.ndarray)}
    arrays["queries"] = case.queries
    return expect_unchanged(**{name: torch.from_numpy(part) for name, part in arrays.items()})


def _expect_best(case: _Case, rows: Rows, absent: Array | None = None) -> None:
    """Put rows in the place of those with their ids, and expect the best of them to be found."""
    case.engine.upsert(rows)
    _expect_found(case, rows, absent=absent)


def _expect_state(case: _Case, rows: Rows) -> None:
    """Expect the engine to have these rows and no more."""
    ids, wanted = case.engine.ids().tolist(), sorted(rows.ids.tolist())
    expect(ids == wanted, f"it has {len(ids)} ids {ids[:5]}... for {len(wanted)} {wanted[:5]}...")
    _expect_found(case, rows)
    _expect_found(case, rows, FILTERS[1])


def _expect_found(
    case: _Case, rows: Rows, where: Where | None = None, k: int = K, absent: Array | None = None
) -> None:
    """Expect what a plain loop over the rows finds."""
    passing = [n for n in np.argsort(rows.ids) if _passes(rows, n, where)]
    rows = _part(rows, np.array(passing, np.int64))
    best, right, what = min(k, len(rows)), 0, f" with {where}" if where else ""
    for q, found in enumerate(_search(case, k, where, absent)):
        strangers = np.setdiff1d(found.ids, rows.ids)
        expect(not len(strangers), f"query {q}{what} finds {strangers[:5]}, which may not be found")
        expect(len(found.ids) == best, f"query {q}{what} finds {len(found.ids)} rows, not {best}")
        scores = _scores(case, case.queries[q], rows.vectors, None if absent is None else absent[q])
        wanted, actual = (
            np.argsort(-scores, kind="stable")[:best],
            np.searchsorted(rows.ids, found.ids),
        )
        right += len(np.intersect1d(actual, wanted))
        if case.engine.exact:
            gaps = np.abs(scores[actual] - scores[wanted])
            wrong = (actual != wanted) & ((gaps == 0) | (gaps > TOLERANCE))
            expected = rows.ids[wanted]
            expect(not wrong.any(), f"query {q}{what} finds {found.ids}; a plain loop {expected}")
            error = np.abs(found.scores - scores[actual]).max(initial=0)
            expect(bool(error < TOLERANCE), f"query {q}{what} has scores that are off by {error}")
    all_of_them = best * len(case.queries)
    expect(right >= RECALL * all_of_them, f"{right} of the {all_of_them} best rows are found{what}")


def _search(
    case: _Case, k: int, where: Where | None = None, absent: Array | None = None
) -> list[Found]:
    """Search, and expect answers of the right form."""
    answers = case.engine.search(case.queries, k, where, absent)
    expect(len(answers) == QUERIES, f"{len(answers)} answers to {QUERIES} queries")
    for found in answers:
        ids, scores = found.ids, found.scores
        form = ids.dtype == np.int64 and scores.dtype == np.float32 and ids.shape == scores.shape
        expect(form, f"found: {ids.dtype} {ids.shape} and {scores.dtype} {scores.shape}")
        expect(bool(np.isfinite(scores).all()), "a score is not finite")
        expect(bool((np.diff(scores) <= 0).all()), f"scores do not descend: {scores[:5]}")
        expect(len(np.unique(ids)) == len(ids), f"a row is found twice: {ids[:9]}")
    return answers


def _scores(case: _Case, query: Array, vectors: Array, absent: Array | None) -> NDArray[np.float64]:
    """Return rows' scores for one query; of an engine that is not exact, the inner products."""
    products, scores = vectors.astype(np.float64) * query, np.zeros(len(vectors))
    if not case.engine.exact:
        products.sum(axis=1, out=scores)
        return scores
    for b, (block, part) in enumerate(zip(case.channel.blocks, case.channel.slices, strict=True)):
        own = products[:, part].sum(axis=1)
        if block.log:
            logs = np.log(own + FLOOR)
            own = logs if absent is None else np.where(own == 0, absent[b], logs)
        scores += block.weight * own
    return scores


def _passes(rows: Rows, n: int, where: Where | None) -> bool:
    if where is None:
        return True
    return (
        (where.videos is None or int(rows.video[n]) in where.videos)
        and (where.cameras is None or rows.camera[n] in where.cameras)
        and (where.after is None or bool(rows.end[n] > where.after))
        and (where.before is None or bool(rows.begin[n] < where.before))
        and (where.min_anomaly is None or bool(rows.anomaly[n] >= where.min_anomaly))
    )


def _part(rows: Rows, which: NDArray[np.int64] | NDArray[np.bool_]) -> Rows:
    parts = {n: part[which] for n, part in vars(rows).items() if isinstance(part, np.ndarray)}
    return Rows(**parts, camera=[rows.camera[n] for n in np.arange(len(rows))[which]])


_CHECKS = (
    best_rows_are_found,
    equal_rows_are_in_the_order_of_their_ids,
    missing_blocks_count_as_told,
    filters_are_obeyed,
    any_k_is_fine,
    a_repeated_upsert_changes_nothing,
    an_upsert_replaces,
    deleted_rows_are_gone,
    deleted_bytes_are_gone,
    ids_ascend,
    bad_rows_change_nothing,
    bad_queries_are_refused,
    nothing_is_fine,
    another_instance_sees_it,
    inputs_stay,
)
