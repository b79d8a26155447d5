"""The files of a simulated benchmark: lists as its authors publish them, features, ground truth.

UCFCrime-AR is captions in two spreadsheets, intervals in UCF-Crime's own annotation file, and
features below ``rgb`` and ``flow``; XDViolence-AR is two lists, XD-Violence's annotation file, and
features below ``rgb``, ``flow`` and ``audio``. Unlike theirs, the annotations are of both splits.
Features like CLIP's are written as a folder of the data set ``folder`` instead: ``manifest.csv``
has a row for each video. Its columns ``clip`` and ``patches`` name the video's features; its column
``audio`` names those of the query, a sound or a caption with its words.

The ground truth is everything that made a video. ``ground_truth.json`` holds, by video::

    clips     T
    factors   of the captioned event, factor -> value
    events    class, segments [start, end) in clips, and whether the query is about it
    phrases   of the caption, in order: factor (empty = names nothing) and text

``ground_truth/VIDEO.npz`` holds, by clip::

    anomaly   (T,) bool, something anomalous happens
    events    (H, T) bool, which events happen
    phrases   (P, T) bool, the clips that show what a phrase names
"""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from varkit_datasets.layout import SIMULATED

from varkit.interfaces import Array
from varkit.system.inputs import open_user_file, read_user_file, reading
from varkit.system.npy import members, read_member
from varkit_simulator.events import Task
from varkit_simulator.features import (
    ALWAYS,
    PIECE,
    STREAMS,
    Embed,
    Joint,
    JointSpace,
    Knobs,
    cues,
    outcome_begins,
    render,
)
from varkit_simulator.population import Happening, SimulatedVideo
from varkit_simulator.timeline import FRAMES, SECONDS, joined

VERSION = 3
"""Raise it with every change to the generated data; it is part of the cache's name."""
JOINT_VERSION = 2
"""The same for features like CLIP's."""

ONE_MORE = 1 / 16
"""Share of videos whose flow is a clip shorter than their pictures: it has one frame less."""
FOLDERS = {"object": "rgb", "motion": "flow", "audio": "audio"}
MASKS = "ground_truth"


def write_benchmark(
    task: Task,
    videos: Sequence[SimulatedVideo],
    knobs: Knobs,
    root: Path,
    *,
    embed: Embed | None = None,
    piece: int = PIECE,
) -> None:
    """Write a benchmark into an existing empty folder.

    Args:
        task: captions or sounds.
        videos: all of them.
        knobs: how hard it is.
        root: the folder.
        embed: the appearance of words, if videos show real captions.
        piece: clips in memory at a time; it changes no number.
    """
    write_lists(task, videos, knobs.crops, root)
    write_ground_truth(videos, root)
    for video in videos:
        shown = cues(video, knobs.seed, task)
        longer = knobs.rng("longer", video.twin)
        for stream in STREAMS[task]:
            more = stream != "motion" and longer.random() < ONE_MORE
            for crop in range(1 if stream == "audio" else knobs.crops):
                clips = render(
                    shown,
                    knobs,
                    stream=stream,
                    video=video.twin,
                    length=video.clips + more,
                    crop=crop,
                    embed=embed,
                    piece=piece,
                )
                shape = video.clips + more, knobs.stream_width(stream)
                write_npy(root / _feature_file(video, stream, crop), shape, clips)


def write_folder(
    task: Task, videos: Sequence[SimulatedVideo], knobs: Knobs, joint: Joint, root: Path
) -> None:
    """Write a benchmark with features like CLIP's into an existing empty folder.

    Args:
        task: captions or sounds.
        videos: all of them.
        knobs: how hard it is.
        joint: patches, and how well the kinds of input agree.
        root: the folder.
    """
    write_ground_truth(videos, root)
    space = JointSpace(knobs, joint)
    rows = []
    for video in videos:
        shown = cues(video, knobs.seed, task)
        arrays = {"clip": space.frames(video, shown)}
        if joint.patches:
            arrays["patches"] = space.patches(video, shown)
        if task == "text":
            arrays["audio"] = space.caption(video)
        else:
            more = knobs.rng("longer", video.twin).random() < ONE_MORE
            arrays["audio"] = space.sound(video, shown, video.clips + more)
        rows.append(_row(task, video, arrays, root))
    with (root / "manifest.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


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
        "anomaly": "; ".join(f"{a * clip:.4f}-{b * clip:.4f}" for a, b in anomalous_frames(video)),
        "caption": video.caption,
        **files,
    }


def write_npy(path: Path, shape: tuple[int, int], pieces: Iterable[Array]) -> None:
    """Write a (T, D) float16 array from consecutive pieces."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        header = {"descr": "<f2", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        for piece in pieces:
            file.write(piece.astype("<f2").tobytes())


def _feature_file(video: SimulatedVideo, stream: str, crop: int) -> str:
    """Return the file of a stream and crop; a sound has one crop."""
    ending = "vggish" if stream == "audio" else str(crop)
    return f"{FOLDERS[stream]}/{video.path}__{ending}.npy"


def write_lists(task: Task, videos: Sequence[SimulatedVideo], crops: int, root: Path) -> None:
    """Write the lists, captions and annotations of a benchmark, as its authors publish them."""
    if task == "text":
        for split in ("train", "test"):
            chosen = [video for video in videos if video.split == split]
            _write_captions(chosen, root / f"ucf_crime_{split}.xlsx")
        lines = [_ucf_annotation(video) for video in videos]
        _write_lines(lines, root / "Temporal_Anomaly_Annotation.txt")
        return
    for split in ("train", "test"):
        lines = [
            f"{video.path}__{crop}.npy"
            for video in videos
            if video.split == split
            for crop in range(crops)
        ]
        _write_lines(lines, root / f"{split}.list")
    lines = [_xd_annotation(video) for video in videos if video.anomalous]
    _write_lines(lines, root / "annotations.txt")


def _write_captions(videos: Sequence[SimulatedVideo], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("sheet1")
    sheet.append(["Video Name", "Chinese Text", "English Text"])
    for video in videos:
        # Names end with a line break in the published files too.
        sheet.append([f"{video.path}.mp4\n", "", video.caption])
    book.save(path)


def _ucf_annotation(video: SimulatedVideo) -> str:
    numbers = [frame for span in anomalous_frames(video) for frame in span]
    numbers += [-1] * (4 - len(numbers))
    return "  ".join([f"{video.name}.mp4", *video.classes, *map(str, numbers)]) + "  "


def _xd_annotation(video: SimulatedVideo) -> str:
    numbers = [str(frame) for span in anomalous_frames(video) for frame in span]
    return " ".join([video.name, *numbers])


def _write_lines(lines: Sequence[str], path: Path) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def anomalous_frames(video: SimulatedVideo) -> list[tuple[int, int]]:
    """Return the first and last frame, exclusive, of every anomaly; overlapping ones are joined."""
    segments = [s for h in video.happenings if h.scenario.anomalous for s in h.segments]
    return [(start * FRAMES, end * FRAMES) for start, end in joined(segments)]


def write_ground_truth(videos: Sequence[SimulatedVideo], root: Path) -> None:
    """Write the ground truth of all videos into a benchmark's folder."""
    text = json.dumps({video.name: _facts(video) for video in videos}, indent=1)
    (root / SIMULATED).write_text(text, encoding="utf-8")
    (root / MASKS).mkdir()
    for video in videos:
        np.savez_compressed(root / MASKS / f"{video.name}.npz", **_masks(video))


def read_ground_truth(root: Path) -> dict[str, dict[str, Any]]:
    """Return video -> ground truth, except what is known by clip."""
    with reading(root / SIMULATED):
        facts: dict[str, dict[str, Any]] = json.loads(read_user_file(root / SIMULATED))
    return facts


def read_masks(root: Path, video: str) -> dict[str, NDArray[np.bool_]]:
    """Return the ground truth of a video by clip, under the names above."""
    path = root / MASKS / f"{video}.npz"
    with reading(path), open_user_file(path) as file, zipfile.ZipFile(file) as archive:
        return {name: read_member(archive, info) for name, info in members(archive).items()}


def _facts(video: SimulatedVideo) -> dict[str, Any]:
    return {
        "clips": video.clips,
        "factors": video.happenings[0].scenario.factors(),
        "events": [
            {
                "class": happening.scenario.event.name,
                "segments": happening.segments,
                "captioned": number == 0 or happening.scenario.anomalous,
            }
            for number, happening in enumerate(video.happenings)
        ],
        "phrases": [{"factor": p.factor, "text": p.text} for p in video.phrases],
    }


def _masks(video: SimulatedVideo) -> dict[str, Any]:
    during = np.zeros((len(video.happenings), video.clips), bool)
    for row, happening in zip(during, video.happenings, strict=True):
        for start, end in happening.segments:
            row[start:end] = True
    anomalous = [happening.scenario.anomalous for happening in video.happenings]
    phrases = np.zeros((len(video.phrases), video.clips), bool)
    for row, phrase in zip(phrases, video.phrases, strict=True):
        row[:] = _clips_of(phrase.factor, video.happenings[0], during[0])
    return {"anomaly": during[anomalous].any(axis=0), "events": during, "phrases": phrases}


def _clips_of(factor: str, event: Happening, during: NDArray[np.bool_]) -> NDArray[np.bool_]:
    clips = np.arange(len(during))
    if factor == "":
        return clips < 0
    if factor in ALWAYS:
        return clips >= 0
    return during & (clips >= outcome_begins(event)) if factor == "outcome" else during
