"""Where a simulated benchmark's files lie: names and lists as its authors publish them.

UCFCrime-AR is captions in two spreadsheets, intervals in UCF-Crime's own annotation file, and
features below ``rgb`` and ``flow``; XDViolence-AR is two lists, XD-Violence's annotation file, and
features below ``rgb``, ``flow`` and ``audio``. Unlike theirs, the annotations are of both splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from varkit_benchmarks.simulator.population import SimulatedVideo
from varkit_benchmarks.simulator.world import Task

FRAMES = 16
"""Of a clip."""
FOLDERS = {"object": "rgb", "motion": "flow", "audio": "audio"}


def feature_file(video: SimulatedVideo, stream: str, crop: int) -> str:
    """Return the file of a stream and crop; of a sound there is one."""
    ending = "vggish" if stream == "audio" else str(crop)
    return f"{FOLDERS[stream]}/{video.path}__{ending}.npy"


def write_lists(task: Task, videos: Sequence[SimulatedVideo], crops: int, root: Path) -> None:
    """Write everything but the features."""
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


def frames(video: SimulatedVideo) -> list[tuple[int, int]]:
    """Return the first and last frame, exclusive, of every anomaly; overlapping ones are joined."""
    spans: list[tuple[int, int]] = []
    segments = [s for h in video.happenings if h.scenario.anomalous for s in h.segments]
    for start, end in sorted(segments):
        if spans and start <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(spans[-1][1], end)
        else:
            spans.append((start, end))
    return [(start * FRAMES, end * FRAMES) for start, end in spans]


def _write_captions(videos: Sequence[SimulatedVideo], path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    sheet = book.create_sheet("sheet1")
    sheet.append(["Video Name", "Chinese Text", "English Text"])
    for video in videos:
        # The line's end belongs to the name in the published files too.
        sheet.append([f"{video.path}.mp4\n", "", video.caption])
    book.save(path)


def _ucf_annotation(video: SimulatedVideo) -> str:
    numbers = [frame for span in frames(video) for frame in span]
    numbers += [-1] * (4 - len(numbers))
    return "  ".join([f"{video.name}.mp4", *video.classes, *map(str, numbers)]) + "  "


def _xd_annotation(video: SimulatedVideo) -> str:
    return " ".join([video.name, *(str(frame) for span in frames(video) for frame in span)])


def _write_lines(lines: Sequence[str], path: Path) -> None:
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
