"""How fast varkit decodes: ``python docs/benchmarks/decoding.py VIDEO...``.

Times three ways over each file in turn, in one interleaved run, and prints medians: a plain loop of
PyAV that makes RGB arrays, varkit with the same pictures, and varkit as features need them (25 a
second, short side 256). The ratio of processor time, of all processes together, says more than that
of time on a busy machine. ``--long HOURS`` makes a video of that length and prints how much memory
the processes take while it is decoded.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import psutil

from varkit.media.chunks import Pictures, View
from varkit.media.decode import Decoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("videos", nargs="*", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--long", type=float, metavar="HOURS")
    args = parser.parse_args()
    with Decoder() as decoder:
        for path in args.videos:
            compare(decoder, path, args.repeats)
        if args.long:
            with tempfile.TemporaryDirectory() as folder:
                watch(decoder, make_long(Path(folder) / "long.mkv", args.long))


def compare(decoder: Decoder, path: Path, repeats: int) -> None:
    _, height, width, _ = next(iter(decoder.decode(path, views=[View()]))).frames.shape
    ways: dict[str, Callable[[], int]] = {
        "plain": lambda: plain(path, height, width),
        "varkit": lambda: decoded(decoder, path, View()),
        "25 fps, 256": lambda: decoded(decoder, path, View(fps=25, short_side=256)),
    }
    pictures = {name: way() for name, way in ways.items()}  # the warm-up
    taken: dict[str, list[float]] = {name: [] for name in ways}
    worked: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started, before = time.perf_counter(), processor_time()
            way()
            taken[name].append(time.perf_counter() - started)
            worked[name].append(processor_time() - before)
    median = {name: statistics.median(times) for name, times in taken.items()}
    work = {name: statistics.median(times) for name, times in worked.items()}
    rates = ", ".join(f"{name} {pictures[name] / median[name]:.0f}/s" for name in ways)
    ratios = [median["plain"] / median["varkit"], work["plain"] / work["varkit"]]
    print(f"{path.name}: {rates}; varkit / plain {ratios[0]:.2f}, by work {ratios[1]:.2f}")


def processor_time() -> float:
    """Return the seconds that this process, the decoder's and its children have computed."""
    time.sleep(0.05)  # until the child of the last file is counted
    others = [process.cpu_times() for process in psutil.Process().children()]
    return time.process_time() + sum(sum(times[:4]) for times in others)


def plain(path: Path, height: int, width: int) -> int:
    with av.open(str(path)) as file:
        frames = file.decode(file.streams.best("video"))
        size = {"height": height, "width": width}
        return sum(len(frame.to_ndarray(format="rgb24", **size)) > 0 for frame in frames)


def decoded(decoder: Decoder, path: Path, view: View) -> int:
    pieces = decoder.decode(path, views=[view])
    return sum(len(piece.times) for piece in pieces if isinstance(piece, Pictures))


def make_long(path: Path, hours: float) -> Path:
    with av.open(str(path), "w") as file:
        shown = file.add_stream("libx264", rate=10, options={"preset": "ultrafast"})
        shown.width, shown.height, shown.pix_fmt = 320, 240, "yuv420p"
        heard = file.add_stream("libopus", rate=48_000, layout="mono")
        noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
        sound = np.zeros((1, 48_000), np.float32)
        for second in range(round(3600 * hours)):
            for tenth in range(10):
                image = np.roll(noise, second + tenth, axis=1)
                frame = av.VideoFrame.from_ndarray(image // 8, format="rgb24")
                frame.pts = 10 * second + tenth
                file.mux(shown.encode(frame))
            part = av.AudioFrame.from_ndarray(sound, format="flt", layout="mono")
            part.sample_rate, part.pts = 48_000, 48_000 * second
            file.mux(heard.encode(part))
        file.mux(shown.encode())
        file.mux(heard.encode())
    return path


def watch(decoder: Decoder, path: Path) -> None:
    """Print the resident memory, MiB, of this process and those below it at each quarter."""
    decoding = decoder.decode(path, views=[View(fps=1, short_side=256)], sound=True)
    me, quarter, started = psutil.Process(), 0, time.perf_counter()
    print(f"{path.stat().st_size / 2**20:.0f} MiB, {decoding.facts.duration:.0f} s")
    for piece in decoding:
        if isinstance(piece, Pictures) and piece.times[-1] > quarter * decoding.facts.duration / 4:
            family = [me, *me.children(recursive=True)]
            memory = sum(process.memory_info().rss for process in family) / 2**20
            print(f"at {piece.times[-1]:6.0f} s: {memory:.0f} MiB in {len(family)} processes")
            quarter += 1
    pace = decoding.facts.duration / (time.perf_counter() - started)
    print(f"{pace:.0f} times real time, coverage {decoding.outcome.coverage:.3f}")


if __name__ == "__main__":
    main()
