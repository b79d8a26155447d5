"""Times exact search and a flat FAISS index on the same simulated vectors, in turns."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.searching import Array, Block, Channel, Rows, Where
from varkit.runs.report.tables import Table
from varkit.search.exact import Exact

KINDS = {"fp16": 2, "fp32": 4}
"""Bytes of a number."""
CAMERAS = 20
"""A filter chooses the rows of one of so many cameras."""
BATCH, BEST, LEAST = 32, 10, 5
"""Queries of a batch, rows of an answer, and repeats at least."""
AT_ONCE = 10_000
"""Rows that are made at a time."""


@dataclass(frozen=True)
class Gallery:
    """Simulated unit vectors: rows, numbers of a row, and their precision."""

    rows: int
    width: int
    precision: str

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.rows:,} rows of {self.width:,} {self.precision}"

    @property
    def bytes(self) -> int:
        """How much its numbers take."""
        return self.rows * self.width * KINDS[self.precision]

    def pieces(self) -> Any:
        """Yield ids and vectors of some rows."""
        chance = np.random.default_rng(0)
        for begin in range(0, self.rows, AT_ONCE):
            count = min(AT_ONCE, self.rows - begin)
            vectors = chance.standard_normal((count, self.width), np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            yield np.arange(begin + 1, begin + count + 1), vectors


def check_room(gallery: Gallery, folder: Path | None) -> str | None:
    """Return why a gallery does not fit into memory or on the disk, or None."""
    needed = 2 * gallery.bytes
    disk = shutil.disk_usage(folder or tempfile.gettempdir()).free
    memory = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    for what, free in (("memory", memory), ("disk", disk)):
        if needed > 0.8 * free:
            return f"it needs {needed / 1e9:.0f} GB of {what}, of which {free / 1e9:.0f} are free"
    return None


def measure(
    gallery: Gallery, folder: Path | None, *, threads: int, seconds: float
) -> list[dict[str, Any]]:
    """Return a row of figures for single queries, batches, and filtered queries."""
    place = Path(tempfile.mkdtemp(dir=folder))
    try:
        with _threads(threads):
            return _measure(gallery, place, threads, seconds)
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _measure(gallery: Gallery, place: Path, threads: int, seconds: float) -> list[dict[str, Any]]:
    channel = Channel((Block("vector", gallery.width),), frozenset({"text"}))
    precision: Literal["fp16", "fp32"] = "fp16" if gallery.precision == "fp16" else "fp32"
    exact, faiss = Exact(place, channel, precision=precision), _faiss(gallery, threads)
    began = time.perf_counter()
    for ids, vectors in gallery.pieces():
        exact.upsert(_rows(ids, vectors))
    rate = gallery.rows / (time.perf_counter() - began)
    chance = np.random.default_rng(1)
    queries = chance.standard_normal((BATCH, gallery.width)).astype(np.float32)
    where = Where(cameras=frozenset({"camera 7"}))
    cases: dict[str, dict[str, Callable[[], Any]]] = {
        "1 query": {"exact": lambda: exact.search(queries[:1], BEST)},
        f"{BATCH} queries": {"exact": lambda: exact.search(queries, BEST)},
        "1 query, filtered": {"exact": lambda: exact.search(queries[:1], BEST, where)},
    }
    if faiss is not None:
        search, filtered = faiss
        cases["1 query"]["faiss"] = lambda: search(queries[:1])
        cases[f"{BATCH} queries"]["faiss"] = lambda: search(queries)
        cases["1 query, filtered"]["faiss"] = lambda: filtered(queries[:1])
        for name, case in cases.items():
            first, other = case["exact"]()[0].ids, case["faiss"]()[0]
            if len(set(first.tolist()) & set(other.tolist())) < 0.8 * len(first):
                raise RuntimeError(f"{gallery}, {name}: the answers differ: {first}, {other}")
    return [_figures(gallery, name, _in_turns(case, seconds), rate) for name, case in cases.items()]


def _rows(ids: NDArray[np.int64], vectors: Array) -> Rows:
    unknown = np.full(len(ids), np.nan)
    cameras = [f"camera {i * CAMERAS // 10_000 % CAMERAS}" for i in ids.tolist()]
    return Rows(ids, vectors, ids, unknown, unknown, unknown.astype(np.float32), cameras)


def _faiss(gallery: Gallery, threads: int) -> tuple[Callable[..., Any], Callable[..., Any]] | None:
    """Return functions that search a flat index, and the rows of one camera in it."""
    if find_spec("faiss") is None:
        return None
    import faiss  # type: ignore[import-not-found,unused-ignore]

    faiss.omp_set_num_threads(threads)
    if gallery.precision == "fp32":
        index = faiss.IndexFlatIP(gallery.width)
    else:
        kind = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(gallery.width, kind, faiss.METRIC_INNER_PRODUCT)
        index.train(next(gallery.pieces())[1])
    chosen = []
    for ids, vectors in gallery.pieces():
        index.add(vectors)
        cameras = _rows(ids, vectors).camera
        chosen += [
            i - 1 for i, camera in zip(ids.tolist(), cameras, strict=True) if camera == "camera 7"
        ]
    selector = faiss.IDSelectorBatch(np.array(chosen, np.int64))
    only = faiss.SearchParameters(sel=selector)

    def search(queries: Array) -> Any:
        return index.search(queries, BEST)[1] + 1

    def filtered(queries: Array) -> Any:
        return index.search(queries, BEST, params=only)[1] + 1

    return search, filtered


def _in_turns(case: Mapping[str, Callable[[], Any]], seconds: float) -> dict[str, list[float]]:
    """Return seconds of each repeat of each rival; one repeat of each does not count."""
    times: dict[str, list[float]] = {name: [] for name in case}
    for run in case.values():
        run()
    began = time.perf_counter()
    while len(times["exact"]) < LEAST or time.perf_counter() - began < seconds:
        for name, run in case.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def _figures(
    gallery: Gallery, name: str, times: Mapping[str, Sequence[float]], rate: float
) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "rows": gallery.rows,
        "width": gallery.width,
        "precision": gallery.precision,
        "what": name,
        "rows_added_a_second": round(rate),
        "repeats": len(times["exact"]),
    }
    for rival, own in times.items():
        p50, p99 = np.percentile(own, [50, 99]) * 1000
        figures |= {
            f"{rival}_p50_ms": round(float(p50), 3),
            f"{rival}_p99_ms": round(float(p99), 3),
        }
    if "faiss" in times:
        pairs = zip(times["faiss"], times["exact"], strict=True)
        figures["ratio"] = round(float(np.median([f / e for f, e in pairs])), 2)
    return figures


@contextmanager
def _threads(count: int) -> Any:
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = str(count)
    try:
        yield
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before


def table(results: Sequence[Mapping[str, Any]], threads: int) -> Table:
    """Return the figures for the terminal."""
    rows = tuple(
        (
            f"{r['rows']:,}",
            f"{r['width']:,}",
            r["precision"],
            r["what"],
            f"{r['exact_p50_ms']:.2f}",
            f"{r['exact_p99_ms']:.2f}",
            f"{r['faiss_p50_ms']:.2f}" if "ratio" in r else "-",
            f"{r['ratio']:.2f}" if "ratio" in r else "-",
            f"{r['rows_added_a_second']:,}",
        )
        for r in results
    )
    columns = ("rows", "K", "stored", "what", "p50 ms", "p99 ms", "FAISS p50", "ratio", "added/s")
    plural = "s" * (threads != 1)
    return Table(
        columns,
        rows,
        title=f"exact search, SIMULATED vectors, {threads} thread{plural}",
        caption="ratio: times as fast as a flat FAISS index of the same vectors, in turns with it; "
        f"- = FAISS is not installed. Filtered: one of {CAMERAS} cameras. Each answer has {BEST} "
        "rows.",
    )
