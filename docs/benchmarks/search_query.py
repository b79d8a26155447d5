"""Times a whole text query on a simulated index, cold from the shell and in one process.

    python docs/benchmarks/search_query.py --windows 100000

The vectors are SIMULATED: class probabilities drawn at random. They say nothing about quality.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save
from varkit_extractors.yamnet import class_names

from varkit.interfaces.searching import Streamed, Track
from varkit.plugins.loading import load_plugins
from varkit.recipe.options import check_options, construct
from varkit.search.facts import Chosen, Facts, write_facts
from varkit.search.index import open_index
from varkit.search.index_folder import Sentences
from varkit.search.indexing import Described, IndexWriter
from varkit.search.parts import KEPT
from varkit.search.shards import Shard
from varkit.search.windows import rows_of
from varkit.system.files import write_bytes
from varkit.system.torchvision import mend_torchvision

SENTENCE = "two men smash the door of a shop at night"
WINDOWS_A_VIDEO = 200


def main() -> None:
    """Make the index unless it is there, and time queries."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--windows", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=21)
    parser.add_argument("--keep", type=Path, help="folder for the index, which is kept")
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp()) if arguments.keep is None else arguments.keep
    root = folder / f"simulated-{arguments.windows}"
    try:
        if not (root / "index.json").exists():
            rate = make(root, arguments.windows)
            print(f"indexed {arguments.windows:,} simulated windows at {rate:,.0f} a second")
        command = [sys.executable, "-m", "varkit", "search", SENTENCE, "--index", str(root)]
        cold = measured(
            lambda: subprocess.run(command, check=True, capture_output=True), arguments.repeats
        )
        show("whole process", cold)
        start = [sys.executable, "-c", "import numpy"]
        show(
            "python -c 'import numpy'",
            measured(lambda: subprocess.run(start, check=True), arguments.repeats),
        )
        for name, times in split(root, arguments.repeats).items():
            show(name, times)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder, ignore_errors=True)


def make(root: Path, windows: int) -> float:
    """Write a simulated index; return windows a second."""
    mend_torchvision()
    from timm.data import ImageNetInfo

    plugins, info = load_plugins(), ImageNetInfo()
    pictures = tuple(info.index_to_description(n) for n in range(info.num_classes()))
    streams = {
        "image.classes": Streamed("image.classes", 1000, pictures),
        "yamnet.classes": Streamed("yamnet.classes", 521, class_names()),
    }
    cls = plugins.get("space", "labels").load()
    options, _ = check_options(cls, {})
    space: Any = construct(cls, options, {"streams": streams, "kept": {}})
    facts = Facts(
        name="labels",
        precision="float16",
        engine=Chosen("exact", {"precision": "fp16"}),
        channels=dict(space.channels),
        space=Chosen("labels", options),
        streams=streams,
        windows={"seconds": 10.0, "hop": 5.0},
        origin=dict(space.origin),
        simulated=True,
    )
    write_bytes(
        root / KEPT, save({name: np.ascontiguousarray(x) for name, x in space.kept.items()})
    )
    write_facts(root, facts)
    chance, began = np.random.default_rng(0), time.perf_counter()
    spans = np.array([[5.0 * w, 5.0 * w + 10] for w in range(WINDOWS_A_VIDEO)])
    times = np.array([[5.0 * t, 5.0 * t + 5] for t in range(WINDOWS_A_VIDEO + 1)])
    with IndexWriter(root, facts, plugins) as writer:
        for number in range(windows // WINDOWS_A_VIDEO):
            tracks = {}
            for block in space.channels["words"].blocks:
                noise = chance.gamma(0.02, size=(len(times), block.width)) + 1e-12
                values = (noise / noise.sum(1, keepdims=True)).astype(np.float32)
                tracks[block.name] = Track(values, times)
            rows = rows_of(space.channels["words"], tracks, spans)
            name = f"camera{number % 20}/{number}.mp4"
            about = Described(name, Path(name), str(number), camera=f"camera{number % 20}")
            writer.put(about, Shard(spans, {"words": rows}, {"words": tracks}))
        took = time.perf_counter() - began
        writer.finish(Sentences(facts, space).encode)
    return windows / took


def split(root: Path, repeats: int) -> dict[str, list[float]]:
    """Time the parts of a query in one process that has answered one before."""
    from varkit.cli import search as verb

    with open_index(root) as index:
        index.search(SENTENCE)
        vector = index.space.encode_text([SENTENCE])[0]
        quiet = {"cut": None, "as_json": True, "paths": False}
        hits = index.search(SENTENCE)
        text = json.dumps([hit.to_dict() for hit in hits])
        assert text
        found = index._ranking.rank([[_term(vector)]], None, 10, index._gallery.members())
        parts: dict[str, Callable[[], Any]] = {
            "encode the sentence": lambda: index.space.encode_text([SENTENCE]),
            "score all rows": lambda: index._ranking.rank(
                [[_term(vector)]], None, 10, index._gallery.members()
            ),
            "whole answer, 10 hits with moments": lambda: index.search(SENTENCE),
        }
        assert found
        with open(os.devnull, "w") as nowhere:
            out, sys.stdout = sys.stdout, nowhere
            try:
                rendered = measured(
                    lambda: verb.show([SENTENCE], [hits], quiet, simulated=True), repeats
                )
            finally:
                sys.stdout = out
        return {name: measured(part, repeats) for name, part in parts.items()} | {
            "render": rendered
        }


def _term(vector: Any) -> Any:
    from varkit.search.query import Term

    return Term("words", vector)


def measured(what: Callable[[], Any], repeats: int) -> list[float]:
    """Return seconds of each repeat, after one that does not count."""
    what()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        what()
        times.append(time.perf_counter() - began)
    return times


def show(name: str, times: Sequence[float]) -> None:
    """Print the median and the 99th percentile in milliseconds."""
    p50, p99 = np.percentile(times, [50, 99]) * 1000
    print(f"{name:<36} p50 {p50:7.1f} ms   p99 {p99:7.1f} ms")


if __name__ == "__main__":
    main()
