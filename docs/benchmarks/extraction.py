"""How fast varkit extracts: ``docs/benchmarks/extraction.py --use image,yamnet VIDEO...``.

Times each extractor alone and all together, decoding included, and decoding alone, over the same
files in turn, in one interleaved run, and prints medians. The last ratio is the time of the slowest
of them alone over that of all together: 1 means that the rest costs nothing, since it overlaps.
``--long HOURS`` makes a video of that length and ``--files N`` a folder of so many, and prints how
much memory the processes take while they are extracted into a store.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import torch
from decoding import make_long

from varkit.media.decode import Decoder
from varkit.media.extract_folder import Request, Watcher, extract_folder
from varkit.media.extraction import extract
from varkit.media.extractors import Named, build_extractors, read_wanted
from varkit.plugins.loading import load_plugins

CPU = torch.device("cpu")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--use", default="image,yamnet")
    parser.add_argument("--set", action="append", default=[], metavar="NAME.OPTION=VALUE")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--long", type=float, metavar="HOURS")
    parser.add_argument("--files", type=int, metavar="N")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    wanted = read_wanted([args.use], args.set)
    if args.videos and not args.files:
        compare(build_extractors(wanted, load_plugins()), args.videos, args.repeats)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "media").mkdir()
        if args.long:
            make_long(place / "media" / "long.mkv", args.long)
        for index in range(args.files or 0):
            source = args.videos[index % len(args.videos)]
            (place / "media" / f"{index:05}{source.suffix}").write_bytes(source.read_bytes())
        if args.long or args.files:
            watch(Request(place / "media", place / "store", wanted, threads=args.threads))


def compare(extractors: list[Named], videos: list[Path], repeats: int) -> None:
    with Decoder() as decoder:

        def run(chosen: list[Named]) -> float:
            total = 0.0
            for path in videos:
                total += extract(decoder, path, chosen, device=CPU).facts.duration or 0.0
            return total

        def decode() -> float:
            views = [each.view for each in extractors if each.view is not None]
            sound = any(each.view is None for each in extractors)
            total = 0.0
            for path in videos:
                decoding = decoder.decode(path, views=views, sound=sound)
                for _ in decoding:
                    pass
                total += decoding.facts.duration or 0.0
            return total

        ways: dict[str, Callable[[], float]] = {
            "decoding alone": decode,
            **{each.name: lambda each=each: run([each]) for each in extractors},  # type: ignore
            "together": lambda: run(extractors),
        }
        seconds = {name: way() for name, way in ways.items()}  # the warm-up
        taken: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(repeats):
            for name, way in ways.items():
                started = time.perf_counter()
                way()
                taken[name].append(time.perf_counter() - started)
    median = {name: statistics.median(times) for name, times in taken.items()}
    for name, took in median.items():
        print(f"{name:16} {seconds[name] / took:8.1f} x real time")
    slowest = max(took for name, took in median.items() if name != "together")
    print(f"slowest alone / together: {slowest / median['together']:.2f}")


class Memory(Watcher):
    """Prints the resident memory, MiB, of this process and those below it, now and then."""

    def __init__(self) -> None:
        self.me, self.most, self.spoken, self.done_files = psutil.Process(), 0.0, 0.0, 0

    def reached(self, path: Path, seconds: float, of: float | None) -> None:
        family = [self.me, *self.me.children(recursive=True)]
        memory = 0.0
        for process in family:
            try:
                memory += process.memory_info().rss / 2**20
            except psutil.NoSuchProcess:
                continue
        self.most = max(self.most, memory)
        if time.monotonic() - self.spoken > 20:
            self.spoken = time.monotonic()
            print(f"{self.done_files} files done, {path.name} at {seconds:.0f} s: {memory:.0f} MiB")

    def done(self, video: object) -> None:
        self.done_files += 1


def watch(request: Request) -> None:
    memory, started = Memory(), time.perf_counter()
    summary = extract_folder(request, watcher=memory)
    took = time.perf_counter() - started
    seconds = sum(video.duration or 0.0 for video in summary.videos.values())
    print(
        f"{len(summary.done)} files, {seconds:.0f} s of video in {took:.0f} s "
        f"({seconds / took:.1f} x real time); at most {memory.most:.0f} MiB"
    )


if __name__ == "__main__":
    main()
