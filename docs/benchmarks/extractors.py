"""How fast extractors compute, decoding not included: ``docs/benchmarks/extractors.py``.

Prints the machine and, in one interleaved run, medians: I3D as its definition says (eager, fp32,
batch normalisation apart), varkit's, and varkit's with ``precision=bf16``, on a clip of 16 pictures
of 224 x 224; the methods of optical flow on pictures of 340 x 256; and every other extractor that
this machine can build, in seconds of video or sound a second.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from varkit_extractors.flow import classical_flow
from varkit_extractors.i3d import I3D, packaged

from varkit.errors import VarkitError
from varkit.interfaces import PictureClips
from varkit.media.chunks import SOUND_RATE
from varkit.media.extractors import Wanted, build_extractors
from varkit.plugins.loading import load_plugins
from varkit.system.machine import arithmetic
from varkit.system.unpickle import read_pickled
from varkit.testing.extractors import made_up_clips


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--use", default="image,yamnet,motion")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    version, _, processor, capability, threads = arithmetic(torch.device("cpu"))
    print(f"{processor} ({capability}), torch {version}, OpenCV {cv2.__version__}, ", end="")
    print(f"{threads} threads, medians of {args.repeats}")
    with torch.inference_mode():
        i3d(args.repeats)
        flows(args.repeats)
        for name in args.use.split(","):
            other(name, args.repeats)


def i3d(repeats: int) -> None:
    """Time I3D against the same network written out plainly, with the packaged weights."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.support.reference.i3d import reference

    path = packaged()
    if path is None:
        print("i3d: its weights are not installed")
        return
    plain = unfolded(read_pickled(path))
    clip = made_up_clips(full := I3D(), 1)
    half = I3D(precision="bf16")
    pictures = full.prepare(clip)
    ways: dict[str, Callable[[], Tensor]] = {
        "plain": lambda: reference(pictures, plain)[0],
        "varkit": lambda: full(clip)["features"],
        "bf16": lambda: half(clip)["features"],
    }
    made = {name: way() for name, way in ways.items()}
    median = timed(ways, repeats)
    largest = made["plain"].abs().max()
    for name, took in median.items():
        error = float((made[name] - made["plain"]).abs().max() / largest)
        print(
            f"i3d {name:7} {1000 * took:7.0f} ms a clip, {0.64 / took:5.2f} x real time, "
            f"{median['plain'] / took:4.2f} times as fast as plain, largest difference {error:.1e}"
        )


def unfolded(pickled: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return the packaged weights under the names of the reference."""
    from varkit_extractors.i3d_weights import renamed

    from varkit.system.weights import flat

    return renamed(dict(flat(pickled)))


def flows(repeats: int) -> None:
    """Time the methods of optical flow on two pictures."""
    chance = np.random.default_rng(0)
    rough = torch.from_numpy(chance.random((1, 3, 32, 43)))
    scene = torch.nn.functional.interpolate(rough, size=(256, 343), mode="bicubic").clamp(0, 1)
    views = [scene[0, :, :, k : k + 340] for k in (3, 0)]
    clip = torch.stack([(255 * view).byte().permute(1, 2, 0) for view in views])[None]
    for method, times in (("dis", repeats), ("tvl1", 3)):
        took = timed({method: lambda method=method: classical_flow(clip, method)}, times)[method]  # type: ignore
        made = classical_flow(clip, method)[0, :, 0]  # type: ignore[arg-type]
        error = float(((made[0] - 3) ** 2 + made[1] ** 2).sqrt()[16:-16, 16:-16].mean())
        print(f"flow {method:6} {1000 * took:7.1f} ms, end-point error {error:.3f} of 3 pixels")


def other(name: str, repeats: int) -> None:
    """Time an extractor on a full batch of made-up clips."""
    try:
        (named,) = build_extractors([Wanted(name, name)], load_plugins())
    except VarkitError as error:
        print(f"{name}: {error.what}")
        return
    reads, extractor = named.extractor.reads, named.extractor
    step = reads.stride / reads.fps if isinstance(reads, PictureClips) else reads.hop / SOUND_RATE
    clips = made_up_clips(extractor, extractor.batch)
    took = timed({name: lambda: extractor(clips)}, repeats)[name] / len(clips)
    print(f"{name:11} {1000 * took:7.2f} ms a clip, {step / took:7.1f} x real time")


def timed(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    for way in ways.values():
        way()
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, way in ways.items():
            started = time.perf_counter()
            way()
            taken[name].append(time.perf_counter() - started)
    return {name: statistics.median(times) for name, times in taken.items()}


if __name__ == "__main__":
    main()
