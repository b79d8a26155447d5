"""Times the engine ``exact`` and a flat index of FAISS in turn, on the same simulated vectors."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from varkit import __version__
from varkit.interfaces.searching import Array, Block, Channel, Rows, Where
from varkit.search.exact import Exact
from varkit.search.threads import usable_threads
from varkit_bench.machine import free_memory, model

SCHEMA = 1
"""The version of the JSON. Raise it when a figure is renamed or changes its meaning."""
K, BATCH, CAMERAS = 10, 32, 20
AT_ONCE = 20_000
"""Rows that are made and added at a time."""
WINDOWS = 100
"""Rows of a video; those of a camera lie side by side video by video."""
LEAST = 5
"""Repeats of a measurement."""
COLUMNS = ("rows", "K", "stored", "asked", "p50 ms", "p99 ms", "FAISS p50", "FAISS p99", "speed")

_Search = Callable[[int], list[NDArray[np.int64]]]
"""Answers for the n-th time and returns the ids of each query's best rows."""


def measure(
    sizes: Sequence[int],
    widths: Sequence[int],
    precisions: Sequence[str],
    seconds: float,
    tell: Callable[[str], None],
) -> dict[str, Any]:
    """Measure every case.

    Args:
        sizes: numbers of rows.
        widths: numbers of a row.
        precisions: ``fp16``, ``fp32``.
        seconds: approximate measuring time of a kind of query.
        tell: gets one line of progress per case.

    Returns:
        The content of the JSON.
    """
    results: list[dict[str, Any]] = []
    cases = [(r, k, name) for r in sizes for k in widths for name in precisions]
    for number, (rows, width, precision) in enumerate(cases, 1):
        tell(f"{number} of {len(cases)}: {rows:,} rows of {width:,} numbers, {precision}")
        case = {"rows": rows, "width": width, "precision": precision}
        folder = Path(tempfile.mkdtemp(prefix="varkit-bench-"))
        try:
            reason = _too_large(rows, width, precision, folder)
            if reason is None:
                results += [case | line for line in _case(rows, width, precision, seconds, folder)]
            else:
                results.append(case | {"asked": None, "reason": reason})
        finally:
            shutil.rmtree(folder)
    settings = {"rows": sizes, "widths": widths, "precisions": precisions}
    options = {name: ",".join(map(str, values)) for name, values in settings.items()}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    command = shlex.join(["varkit", "bench", "search", *words, "--seconds", str(seconds)])
    return {
        "schema": SCHEMA,
        "operator": "search",
        "varkit": __version__,
        "machine": {
            "model": model(),
            "system": platform.platform(),
            "threads": usable_threads(),
            "load": os.getloadavg()[0],
            "numpy": np.__version__,
            "faiss": getattr(_faiss(), "__version__", None),
        },
        "settings": {name: list(values) for name, values in settings.items()}
        | {"seconds": seconds, "k": K, "batch": BATCH, "cameras": CAMERAS},
        "command": f"OMP_NUM_THREADS={usable_threads()} {command}",
        "results": results,
    }


def _case(
    count: int, width: int, precision: Any, seconds: float, folder: Path
) -> Iterator[dict[str, Any]]:
    """Yield the figures of each kind of query."""
    channel = Channel((Block("simulated", width),), frozenset({"text"}))
    exact, faiss = Exact(folder, channel, precision=precision), _faiss()
    rival = None if faiss is None else _rival(faiss, width, precision)
    chance, added = np.random.default_rng(0), 0.0
    for first in range(0, count, AT_ONCE):
        rows = _rows(chance, first, min(AT_ONCE, count - first), width)
        begun = time.perf_counter()
        exact.upsert(rows)
        added += time.perf_counter() - begun
        if rival is not None:
            rival.add(rows.vectors)
    queries = _unit(chance.standard_normal((BATCH, width), np.float32))
    camera = frozenset({"camera 3"})
    places = np.arange(count)
    of_camera = places[places // WINDOWS % CAMERAS == 3]
    again = Where(cameras=camera)

    def ask(number: int, which: Callable[[int], Where | None]) -> _Search:
        def search(n: int) -> list[NDArray[np.int64]]:
            return [found.ids for found in exact.search(queries[:number], K, which(n))]

        return search

    def ask_rival(number: int, filtered: bool) -> _Search | None:
        if rival is None:
            return None
        chosen = faiss.IDSelectorBatch(of_camera) if filtered else None
        options = faiss.SearchParameters(sel=chosen) if filtered else None

        def search(_: int) -> list[NDArray[np.int64]]:
            _scores, places = rival.search(queries[:number], K, params=options)
            return [row[row >= 0] + 1 for row in places]

        return search

    # Unlike any before: the engine cannot have it in memory.
    new = [Where(cameras=camera, min_anomaly=0.4 / (n + 1)) for n in range(10_000)]
    kinds = {
        "a query": (ask(1, lambda n: None), ask_rival(1, False)),
        f"{BATCH} queries": (ask(BATCH, lambda n: None), ask_rival(BATCH, False)),
        "a camera, new filter": (ask(1, lambda n: new[n % len(new)]), ask_rival(1, True)),
        "a camera, again": (ask(1, lambda n: again), ask_rival(1, True)),
    }
    for asked, (own, other) in kinds.items():
        yield {
            "asked": asked,
            "reason": None,
            "added_a_second": count / added,
            **_timed(own, other, seconds),
        }
    exact.close()


def _timed(own: _Search, other: _Search | None, seconds: float) -> dict[str, Any]:
    """Return percentiles of both in milliseconds, and the share of best rows that they share."""
    pair = [own] if other is None else [own, other]
    answers = [search(0) for search in pair]
    times: list[list[float]] = [[] for _ in pair]
    end, n = time.perf_counter() + seconds, 0
    while n < LEAST or time.perf_counter() < end:
        n += 1
        for one, search in zip(times, pair, strict=True):
            begun = time.perf_counter()
            search(n)
            one.append(1000 * (time.perf_counter() - begun))
    figures = [
        {"p50_ms": float(np.median(one)), "p99_ms": float(np.percentile(one, 99))} for one in times
    ]
    if other is None:
        return {"repeats": n, "exact": figures[0], "faiss": None, "speed": None, "agree": None}
    common = [len(np.intersect1d(a, b)) / len(a) for a, b in zip(*answers, strict=True)]
    speed = figures[1]["p50_ms"] / figures[0]["p50_ms"]
    both = {"exact": figures[0], "faiss": figures[1]}
    return {"repeats": n, **both, "speed": speed, "agree": float(np.mean(common))}


def _rows(chance: np.random.Generator, first: int, count: int, width: int) -> Rows:
    """Return simulated rows of length 1."""
    ids = np.arange(first, first + count)
    unknown = np.full(count, np.nan)
    return Rows(
        ids=ids + 1,
        vectors=_unit(chance.standard_normal((count, width), np.float32)),
        video=ids // WINDOWS,
        begin=unknown,
        end=unknown,
        anomaly=np.full(count, 0.5, np.float32),
        camera=[f"camera {video % CAMERAS}" for video in (ids // WINDOWS).tolist()],
    )


def _unit(vectors: Array) -> Array:
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def _faiss() -> Any:
    """Return the package, or None if it is not installed."""
    return import_module("faiss") if find_spec("faiss") else None


def _rival(faiss: Any, width: int, precision: str) -> Any:
    """Return an empty flat index of FAISS with the same threads."""
    faiss.omp_set_num_threads(usable_threads())
    if precision == "fp32":
        return faiss.IndexFlatIP(width)
    kind = faiss.ScalarQuantizer.QT_fp16
    index = faiss.IndexScalarQuantizer(width, kind, faiss.METRIC_INNER_PRODUCT)
    index.is_trained = True
    return index


def _too_large(rows: int, width: int, precision: str, folder: Path) -> str | None:
    """Return why a case does not fit in memory or on disk, or None."""
    stored = rows * (width * (2 if precision == "fp16" else 4) + 16)
    places = {
        # The file, which stays in memory when it is fast, that of FAISS, and rows being added.
        "memory": (2 * stored + 3 * AT_ONCE * width * 4, free_memory(torch.device("cpu"))),
        "disk": (stored + rows * 200, shutil.disk_usage(folder).free),
    }
    for place, (needed, free) in places.items():
        if free is not None and needed > free:
            return f"needs {needed / 1e9:.1f} GB of {place}; {free / 1e9:.1f} GB are free"
    return None


def title(report: dict[str, Any]) -> str:
    """Return the title of the table."""
    machine = report["machine"]
    count = machine["threads"]
    rival = f"FAISS {machine['faiss']}" if machine["faiss"] else "FAISS is not installed"
    return (
        f"search, k = {K}, simulated vectors: {machine['model']}, "
        f"{count} thread{'s' * (count != 1)}, numpy {machine['numpy']}, {rival}"
    )


def cells(report: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """Yield the lines of the table."""
    for row in report["results"]:
        start = (f"{row['rows']:,}", f"{row['width']:,}", row["precision"])
        if row["reason"] is not None:
            yield (*start, "no room", *[""] * 5)
            continue
        times = [
            f"{row[engine][name]:.3g}" if row[engine] else ""
            for engine in ("exact", "faiss")
            for name in ("p50_ms", "p99_ms")
        ]
        speed = "" if row["speed"] is None else f"{row['speed']:.2f}"
        yield (*start, row["asked"], *times, speed)


def notes(report: dict[str, Any]) -> Iterator[str]:
    """Yield what the table needs to be understood."""
    yield "p50, p99: milliseconds of a call of the engine exact, and of a flat index of FAISS."
    yield "speed: times as fast as FAISS, by p50."
    measured = [row for row in report["results"] if row["reason"] is None]
    agree = [row["agree"] for row in measured if row["agree"] is not None]
    if agree:
        yield f"At least {100 * min(agree):.1f}% of the best {K} are the same rows."
    if measured:
        rates = [row["added_a_second"] for row in measured]
        yield f"exact adds {min(rates):,.0f} to {max(rates):,.0f} rows a second."
    if report["machine"]["faiss"] is None:
        yield "FAISS is not installed: pip install faiss-cpu adds its times."
    yield f"The machine's load at the end was {report['machine']['load']:.1f}."
    for row in report["results"]:
        if row["reason"] is not None:
            size = f"{row['rows']:,} rows of {row['width']:,} numbers, {row['precision']}"
            yield f"{size}: {row['reason']}"


def markdown(report: dict[str, Any]) -> str:
    """Return the table and the notes as Markdown."""
    head = [COLUMNS, tuple("---" if c in COLUMNS[2:4] else "---:" for c in COLUMNS)]
    table = "".join(f"| {' | '.join(line)} |\n" for line in [*head, *cells(report)])
    lines = "".join(f"- {note}\n" for note in notes(report))
    return f"# {title(report)}\n\n{table}\n{lines}\n```console\n$ {report['command']}\n```\n"
