"""Writes a simulated benchmark: features, its authors' lists, and the truth that made them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from varkit.interfaces import Array
from varkit_benchmarks.simulator.ground_truth import write_ground_truth
from varkit_benchmarks.simulator.layouts import feature_file, write_lists
from varkit_benchmarks.simulator.parts import parts
from varkit_benchmarks.simulator.population import SimulatedVideo
from varkit_benchmarks.simulator.signals import PIECE, STREAMS, Knobs, Look, render
from varkit_benchmarks.simulator.world import Task

VERSION = 3
"""Raise it with every change of what is generated; it is part of the cache's name."""

ONE_MORE = 1 / 16
"""Share of videos whose flow is a clip shorter than their pictures: it has one frame less."""


def generate(
    task: Task,
    videos: Sequence[SimulatedVideo],
    knobs: Knobs,
    root: Path,
    *,
    look: Look | None = None,
    piece: int = PIECE,
) -> None:
    """Write a benchmark into a folder that is there and empty.

    Args:
        task: captions or sounds.
        videos: who is in it.
        knobs: how hard it is.
        root: the folder.
        look: how words look, where captions that were written elsewhere say what videos show.
        piece: how many clips are in memory at a time; it changes no number.
    """
    write_lists(task, videos, knobs.crops, root)
    write_ground_truth(videos, root)
    for video in videos:
        found = parts(video, knobs.seed, task)
        longer = knobs.rng("longer", video.twin)
        for stream in STREAMS[task]:
            more = stream != "motion" and longer.random() < ONE_MORE
            for crop in range(1 if stream == "audio" else knobs.crops):
                clips = render(
                    found,
                    knobs,
                    stream=stream,
                    video=video.twin,
                    length=video.clips + more,
                    crop=crop,
                    look=look,
                    piece=piece,
                )
                shape = video.clips + more, knobs.stream_width(stream)
                write_npy(root / feature_file(video, stream, crop), shape, clips)


def write_npy(path: Path, shape: tuple[int, int], pieces: Iterable[Array]) -> None:
    """Write a (T, D) float16 array whose pieces come one after the other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(piece.astype("<f2").tobytes())
