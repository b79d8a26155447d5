"""Annotation files of the benchmarks: where the anomalies of test videos are, in frames."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from varkit.errors import DataError
from varkit_datasets.findings import Findings, absence
from varkit_datasets.layout import Video
from varkit_datasets.text_lists import read_lines
from varkit_datasets.timing import check_end

UCF_CRIME = re.compile(
    r"(?P<video>\S+)(?:\s+(?P<frames>\d+))?\s+(?P<name>[A-Za-z]+)"
    r"(?P<numbers>(?:\s+-?\d{1,9}\s+-?\d{1,9})+)"
)
"""``Abuse028_x264.mp4  Abuse  165  240  -1  -1``, or with the folder and the number of frames:
``Abuse/Abuse028_x264.mp4 1412 Abuse 165 240 -1 -1``; -1 = none."""
XD_VIOLENCE = re.compile(r"(?P<video>\S+)(?P<numbers>(?:\s+\d{1,9}\s+\d{1,9})+)")
"""``NAME 624 912 950 1441``, NAME with or without ``.mp4``; normal videos have no line."""
_FRAMES = re.compile(r"(?P<video>\S+)\s+(?P<frames>[1-9]\d{0,8})", re.ASCII)


@dataclass(frozen=True)
class Annotation:
    """One line of an annotation file.

    Attributes:
        segments: (start, end) in frames, in order of time.
        name: the class it names, if any.
    """

    segments: tuple[tuple[int, int], ...]
    name: str | None = None


def read_annotations(
    path: Path, line_format: re.Pattern[str], findings: Findings
) -> dict[str, Annotation]:
    """Read an annotation file.

    Args:
        path: of the file.
        line_format: :data:`UCF_CRIME` or :data:`XD_VIOLENCE`.
        findings: collects lines that cannot be read as faults, with their numbers.

    Returns:
        Annotations by the video's file name, without folder and ``.mp4``.
    """
    annotations: dict[str, Annotation] = {}
    try:
        lines = read_lines(path)
    except DataError as error:
        findings.refuse(error)
        return annotations
    for number, line in lines:
        where = f"line {number}"
        match = line_format.fullmatch(line)
        if match is None:
            findings.fault(f"{path.name}: not in the expected format", where)
            continue
        numbers = [int(text) for text in match["numbers"].split()]
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        segments = tuple(sorted(pair for pair in pairs if pair != (-1, -1)))
        video = base_name(match["video"])
        if any(not 0 <= start < end for start, end in segments):
            findings.fault(
                f"{path.name}: an anomaly ends before it starts, or starts below 0", where
            )
        elif video in annotations:
            findings.fault(f"{path.name}: repeated video", f"{where} ({video!r})")
        else:
            annotations[video] = Annotation(segments, match.groupdict().get("name"))
    return annotations


def annotate(
    videos: Mapping[str, Video],
    path: Path,
    line_format: re.Pattern[str],
    frame_rate: float,
    findings: Findings,
) -> None:
    """Write an annotation file's anomalies into the videos, in seconds.

    Args:
        videos: of all splits; those of label 0 have no anomalies, even if the file has some.
        path: of the annotation file; its absence is a remark.
        line_format: :data:`UCF_CRIME` or :data:`XD_VIOLENCE`.
        frame_rate: frames per second, the same as for the videos' clips.
        findings: collects contradictions with the videos' labels and classes as faults.
    """
    if (why := absence(path)) is not None:
        findings.remark(f"the anomalies' times are unknown: {why}")
        return
    annotations = read_annotations(path, line_format, findings)
    unknown = [repr(name) for name in annotations if name not in videos]
    if unknown and findings.complete:
        findings.remark(f"{path.name}: lines of videos that are in no split", *unknown)
    for name, annotation in annotations.items():
        video = videos.get(name)
        if video is None:
            continue
        if annotation.name is not None and (annotation.name,) != video.classes:
            findings.fault(f"{path.name}: class differs from the video's folder", repr(name))
        elif bool(annotation.segments) != bool(video.label):
            problem = "an anomalous video without" if video.label else "a normal video with"
            findings.fault(f"{path.name}: {problem} an anomaly", repr(name))
        else:
            video.anomalies = tuple(
                (start / frame_rate, end / frame_rate) for start, end in annotation.segments
            )
    test = {name: video for name, video in videos.items() if video.split == "test"}
    bare = [repr(name) for name, video in test.items() if video.anomalies is None]
    if bare:
        findings.remark(
            f"{path.name}: the anomalies' times are unknown for {len(bare):,} of "
            f"{len(test):,} test videos",
            *bare,
        )


def share_frames(
    videos: Mapping[str, Video], path: Path, frame_rate: float, findings: Findings
) -> None:
    """Let the clips of each video share its frames equally: features of a fixed number of segments.

    Args:
        videos: of all splits, with their anomalies.
        path: a file with a line ``NAME FRAMES`` for each video.
        frame_rate: frames per second, the same as for anomalies.
        findings: collects faulty lines, videos without a line, and anomalies after the end.
    """
    frames: dict[str, int] = {}
    try:
        listed = read_lines(path)
    except DataError as error:
        findings.refuse(error)
        return
    for number, line in listed:
        if (match := _FRAMES.fullmatch(line)) is None:
            findings.fault(f"{path.name}: not a name and a number of frames", f"line {number}")
            continue
        video, count = base_name(match["video"]), int(match["frames"])
        if frames.setdefault(video, count) != count:
            findings.fault(f"{path.name}: repeated video", f"line {number} ({video!r})")
    for name, row in videos.items():
        if name not in frames:
            findings.fault(f"{path.name}: videos without a line", repr(name))
            continue
        row.duration = frames[name] / frame_rate
        try:
            check_end(row.anomalies or (), row.duration)
        except ValueError as error:
            findings.fault(f"{path.name}: video {name!r}: {error}")


def base_name(text: str) -> str:
    """Return a path's last part, without ``.mp4`` or ``.npy``; other dots belong to the name.

    >>> base_name("test/Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6__0.npy")
    'Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6__0'
    """
    name = text.replace("\\", "/").rpartition("/")[2]
    return name.removesuffix(".mp4").removesuffix(".npy")
