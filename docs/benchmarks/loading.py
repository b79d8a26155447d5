"""How fast an epoch is read: ``python docs/benchmarks/loading.py RECIPE [KEY=VALUE]...``.

Reads the batches of one training epoch, without a model, in a fresh process for every number of
reading processes: seconds a batch (median and slowest), MB of feature files a second, and the peak
of resident memory, in which the longest video of the data shows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from varkit.data.batches import training_batches
from varkit.interfaces import Captions
from varkit.model.build import build_dataset
from varkit.recipe.load import load_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--batches", type=int, help="so many batches; default: the epoch's")
    parser.add_argument("--cold", action="store_true", help="drop cached feature files first")
    args = parser.parse_args()
    read = 0
    for workers in sorted({0, *args.workers}):  # 0 first: it counts what is read
        # A process of its own, since the peak of memory never falls.
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            method = multiprocessing.get_start_method()
            found = pool.submit(measure, args, workers, method).result()
        if not workers:
            read = found["read"]
            print(found["title"])
            print(f"{found['longest']:,} clips in the longest video; {read / 1e6:,.0f} MB read")
        seconds = found["seconds"]
        print(
            f"workers {workers}: {sum(seconds):7.2f} s, {read / 1e6 / sum(seconds):6,.0f} MB/s; "
            f"a batch {1e3 * statistics.median(seconds):6.0f} ms, "
            f"slowest {1e3 * max(seconds):6.0f} ms; "
            f"memory {found['before']:,.0f} MB before, {found['peak']:,.0f} MB at most"
            + (f", {found['reader']:,.0f} MB in a reader" if workers else "")
        )


def measure(args: argparse.Namespace, workers: int, method: str) -> dict:
    """Read the batches of an epoch and return what was measured."""
    multiprocessing.set_start_method(method, force=True)  # readers start as they do in training
    torch.set_num_threads(1)
    recipe, plugins = load_recipe(args.recipe, args.overrides)
    dataset = build_dataset(recipe, plugins)
    items = dataset.split("train")
    size, longest = recipe.train.batch_size, max(dataset.open(item.video).length for item in items)
    if args.cold:
        drop_cache(Path(dataset.folder if dataset.simulated else recipe.data.options["root"]))
    before, start = peak(resource.RUSAGE_SELF), read_so_far()
    seconds = []
    batches = training_batches(
        dataset,
        items,
        tokenize=no_tokens if dataset.query_kind == "captions" else None,
        batch_size=size,
        max_clips=recipe.train.max_clips,
        seed=0,
        epoch=0,
        workers=workers,
    )
    began = time.perf_counter()
    for number, batch in enumerate(batches, 1):
        for clips in batch.video.streams.values():
            clips.sum()  # as training does, it touches every number, so that all memory is there
        now = time.perf_counter()
        seconds.append(now - began)
        if number == args.batches:
            break
        began = now
    batches.close()
    simulated = " (simulated data)" if dataset.simulated else ""
    widths = ", ".join(f"{stream} {width}" for stream, width in dataset.widths.items())
    return {
        "title": f"{recipe.name} on {dataset.name}{simulated}, {widths}: {len(seconds)} batches "
        f"of {size}, at most {recipe.train.max_clips} clips",
        "longest": longest,
        "read": read_so_far() - start,
        "seconds": seconds,
        "before": before,
        "peak": peak(resource.RUSAGE_SELF),
        "reader": peak(resource.RUSAGE_CHILDREN),
    }


def no_tokens(texts: tuple[str, ...]) -> Captions:
    """Stand in for a text model's tokenizer."""
    shape = len(texts), 1
    mask = torch.ones(shape, dtype=torch.bool)
    return Captions(tuple(texts), mask.long(), mask, mask, torch.zeros(*shape, 2).long())


def peak(who: int) -> float:
    """Return the peak of resident memory in MB."""
    return resource.getrusage(who).ru_maxrss * 1024 / 1e6


def read_so_far() -> int:
    """Return how many bytes this process has read from files, cached ones included."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(lines[0].removeprefix("rchar:"))


def drop_cache(root: Path) -> None:
    """Have the system forget what it has cached of the feature files."""
    for path in root.rglob("*.npy"):
        handle = os.open(path, os.O_RDONLY)
        os.fsync(handle)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


if __name__ == "__main__":
    main()
