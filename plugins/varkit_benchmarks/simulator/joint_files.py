"""Writes a simulated benchmark with features like CLIP's, in the layout of a folder of one's own.

``manifest.csv`` has a row for each video, whose columns ``clip`` and ``patches`` name its features
and whose column ``audio`` names its query's: those of a sound, or of a caption and its words.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from varkit.interfaces import Array
from varkit_benchmarks.layout import Layout
from varkit_benchmarks.manifest import read_manifest
from varkit_benchmarks.simulator.generate import ONE_MORE, write_npy
from varkit_benchmarks.simulator.ground_truth import write_ground_truth
from varkit_benchmarks.simulator.joint_space import Joint, JointSpace
from varkit_benchmarks.simulator.layouts import FRAMES, frames
from varkit_benchmarks.simulator.parts import parts
from varkit_benchmarks.simulator.population import SimulatedVideo
from varkit_benchmarks.simulator.signals import Knobs
from varkit_benchmarks.simulator.world import Task

VERSION = 2
"""Raise it with every change of what is generated; it is part of the cache's name."""

MANIFEST = "manifest.csv"
SECONDS: Mapping[Task, float] = {"text": FRAMES / 30, "audio": FRAMES / 24}
"""Length of a clip."""


def generate_joint(
    task: Task, videos: Sequence[SimulatedVideo], knobs: Knobs, joint: Joint, root: Path
) -> None:
    """Write a benchmark into a folder that is there and empty.

    Args:
        task: captions or sounds.
        videos: who is in it.
        knobs: how hard it is.
        joint: what such features have beside.
        root: the folder.
    """
    write_ground_truth(videos, root)
    space = JointSpace(knobs, joint)
    rows = []
    for video in videos:
        found = parts(video, knobs.seed, task)
        arrays = {"clip": space.frames(video, found)}
        if joint.patches:
            arrays["patches"] = space.patches(video, found)
        if task == "text":
            arrays["audio"] = space.caption(video)
        else:
            more = knobs.rng("longer", video.twin).random() < ONE_MORE
            arrays["audio"] = space.sound(video, found, video.clips + more)
        rows.append(_row(task, video, arrays, root))
    with (root / MANIFEST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def joint_layout(task: Task, folder: Path, joint: Joint, name: str) -> Layout:
    """Return what :class:`~varkit_benchmarks.folder.Folder` would find in the folder."""
    streams = {"clip": "clip"} | ({"patches": "patches"} if joint.patches else {})
    videos, faults = read_manifest(folder / MANIFEST, root=folder, streams=streams, query="audio")
    return Layout(
        root=folder,
        name=name,
        videos=videos,
        query="audio",
        seconds=SECONDS[task],
        sound_seconds=SECONDS[task],
        simulated=True,
        faults=tuple(faults),
    )


def _row(
    task: Task, video: SimulatedVideo, arrays: Mapping[str, Array], root: Path
) -> dict[str, str]:
    files = {}
    for column, array in arrays.items():
        folder = "caption" if column == "audio" and task == "text" else column
        files[column] = f"{folder}/{video.number:05d}.npy"
        write_npy(root / files[column], (len(array), array.shape[1]), [array])
    clip = SECONDS[task] / FRAMES
    return {
        "video": video.name,
        "split": video.split,
        "label": str(int(video.anomalous)),
        "class": "; ".join(video.classes),
        "anomaly": "; ".join(f"{a * clip:.4f}-{b * clip:.4f}" for a, b in frames(video)),
        "caption": video.caption,
        **files,
    }
