"""The kit passes honest engines, and its check names every planted fault."""

from dataclasses import replace

import numpy as np
import pytest

from varkit.errors import DataError
from varkit.interfaces.searching import Block, Channel, Found, Rows
from varkit.testing import ConformanceError, check
from varkit.testing.templates.engine import MyPart


class Honest(MyPart):
    """The template."""


class Nearest(MyPart):
    """An engine of another sort: it knows only the plain inner product."""

    exact = False

    def __init__(self, folder, channel):
        super().__init__(folder, Channel((Block("all", channel.width),), frozenset({"text"})))

    def search(self, queries, k, where=None, absent=None):
        return super().search(queries, k, where)


def answers(change):
    """Return a fault that changes what the honest engine finds for each query."""

    def search(self, queries, k, where=None, absent=None):
        return [change(found) for found in MyPart.search(self, queries, k, where, absent)]

    return {"search": search}


def asks(change):
    """Return a fault that changes what the honest engine is asked."""
    return {"search": lambda self, *asked: MyPart.search(self, *change(*asked))}


def takes(change):
    """Return a fault that changes the rows that the honest engine is given."""
    return {"upsert": lambda self, rows: MyPart.upsert(self, change(rows))}


def without(field):
    """Return a fault: one filter is ignored."""
    return asks(
        lambda q, k, where=None, a=None: (q, k, where and replace(where, **{field: None}), a)
    )


def backwards(found):
    order = np.lexsort((-found.ids, -found.scores))
    return Found(found.ids[order], found.scores[order])


def known(rows):
    return replace(rows, begin=np.nan_to_num(rows.begin), anomaly=np.nan_to_num(rows.anomaly))


def only_new(self, rows):
    new = ~np.isin(rows.ids, self.ids())
    parts = {n: part[new] for n, part in vars(rows).items() if n != "camera"}
    MyPart.upsert(self, Rows(**parts, camera=[rows.camera[n] for n in np.flatnonzero(new)]))


def unchecked(self, rows):
    try:
        MyPart.upsert(self, rows)
    except DataError:
        MyPart.upsert(self, replace(rows, vectors=np.ones((len(rows), self.channel.width), "f4")))


def half(self, rows):
    """Refuse bad rows, but after the first of them is written."""
    first = {n: part[:1] for n, part in vars(rows).items()}
    if len(rows) and rows.vectors.shape[1] == self.channel.width:
        MyPart.upsert(self, Rows(**first))
    MyPart.upsert(self, rows)


def doubling(self, rows):
    """Add rows whose ids are there beside the old ones."""
    kept, new = self._read(), vars(rows) | {"camera": np.array(rows.camera, str)}
    MyPart.upsert(self, rows)
    if np.isin(rows.ids, kept["ids"]).any():
        self._write({name: np.concatenate([kept[name], new[name]]) for name in kept})


def in_place(rows):
    rows.vectors[0] = 0
    return rows


def keeping_a_copy(self, rows):
    MyPart.upsert(self, rows)
    with (self.file.parent / "log").open("ab") as file:
        file.write(rows.vectors.tobytes())


def reading_once(self):
    if not hasattr(self, "rows"):
        self.rows = MyPart._read(self)
    return self.rows


def writing_what_was_read(self, rows):
    MyPart._write(self, rows)
    self.rows = MyPart._read(self)


FAULTS = {
    "best_rows_are_found": [
        answers(lambda f: Found(f.ids[::-1], f.scores[::-1])),
        answers(lambda f: Found(f.ids, f.scores.astype(float))),
        answers(lambda f: Found(f.ids.astype(np.int32), f.scores)),
        answers(lambda f: Found(f.ids, f.scores + 0.01)),
        asks(lambda q, *rest: (q.round(1), *rest)),
        asks(lambda q, *rest: (q + len(q) * np.arange(q.shape[1], dtype="f4"), *rest)),
        {"search": lambda self, *asked: MyPart.search(self, *asked)[:3]},
        takes(lambda rows: replace(rows, vectors=rows.vectors.astype("f2").round(1).astype("f4"))),
    ],
    "equal_rows_are_in_the_order_of_their_ids": [answers(backwards)],
    "missing_blocks_count_as_told": [asks(lambda q, k, where=None, absent=None: (q, k, where))],
    "filters_are_obeyed": [
        *map(without, ("videos", "cameras", "after", "before", "min_anomaly")),
        takes(known),
        takes(lambda rows: replace(rows, end=rows.end + 9)),
        takes(lambda rows: replace(rows, camera=[name or "gate" for name in rows.camera])),
    ],
    "any_k_is_fine": [asks(lambda q, k, *rest: (q, min(k, 50), *rest))],
    "a_repeated_upsert_changes_nothing": [{"upsert": doubling}],
    "an_upsert_replaces": [{"upsert": only_new}],
    "deleted_rows_are_gone": [{"delete": lambda self, ids: MyPart.delete(self, ids[1:])}],
    "deleted_bytes_are_gone": [{"upsert": keeping_a_copy}],
    "ids_ascend": [
        {"ids": lambda self: MyPart.ids(self)[::-1]},
        {"ids": lambda self: MyPart.ids(self).astype(np.int32)},
    ],
    "bad_rows_change_nothing": [{"upsert": unchecked}, {"upsert": half}],
    "bad_queries_are_refused": [
        asks(lambda q, *rest: (np.nan_to_num(np.resize(q, (len(q), 24))), *rest))
    ],
    "nothing_is_fine": [asks(lambda q, k, *rest: (q, k, *rest) if len(q) else 1 / 0)],
    "another_instance_sees_it": [{"_read": reading_once, "_write": writing_what_was_read}],
    "inputs_stay": [takes(in_place)],
}


@pytest.mark.parametrize("engine", [Honest, Nearest])
def test_an_honest_engine_passes(engine):
    assert {result.check for result in check("engine", engine)} == set(FAULTS)


@pytest.mark.parametrize(
    ("name", "members"), [(name, fault) for name, faults in FAULTS.items() for fault in faults]
)
def test_a_planted_fault_is_named(name, members):
    with pytest.raises(ConformanceError) as caught:
        check("engine", type("Faulty", (Honest,), members))
    assert name in {result.check for result in caught.value.results if result.fault}


def test_an_engine_that_misses_some_of_the_best_is_named():
    rough = takes(lambda rows: replace(rows, vectors=rows.vectors.round(1)))
    with pytest.raises(ConformanceError, match=r"of the 240 best rows are found"):
        check("engine", type("Faulty", (Nearest,), rough))
