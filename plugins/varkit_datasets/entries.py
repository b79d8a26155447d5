"""Videos as a benchmark lists them, before their feature files are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from varkit_datasets.findings import Findings
from varkit_datasets.layout import Video

NORMAL = "Normal"


@dataclass(frozen=True)
class Entry:
    """What a benchmark lists about one video.

    Attributes:
        split: ``train`` or ``test``.
        folder: where its files usually are: a class, or a split.
        classes: what happens, sorted; ``("Normal",)`` = nothing anomalous.
        captions: the one to use, and its translation or ""; None = the video has no caption.
    """

    split: str
    folder: str
    classes: tuple[str, ...]
    captions: tuple[str, str] | None = None

    def video(self) -> Video:
        """Return the video; streams, sounds and anomalies are not yet known."""
        label = int(self.classes != (NORMAL,))
        queries = [] if self.captions is None else [self.captions[0]]
        return Video(self.split, label, {}, None if label else (), [*queries], self.classes)


def join(
    splits: Mapping[str, Mapping[str, Entry]],
    counts: Mapping[str, int],
    classes: tuple[str, ...],
    findings: Findings,
) -> dict[str, Entry]:
    """Return the videos of all splits; a video in two splits is a fault, and stays in the first.

    Args:
        splits: split -> video -> entry.
        counts: split -> how many videos the benchmark has; a different number is a remark.
        classes: of the benchmark; a missing one is a remark.
        findings: collects faults and remarks.
    """
    joined: dict[str, Entry] = {}
    for split, entries in splits.items():
        twice = [repr(video) for video in entries if video in joined]
        if twice:
            findings.fault("videos in both train and test", *twice)
        for video, entry in entries.items():
            joined.setdefault(video, entry)
        if len(entries) not in (0, counts[split]):
            findings.remark(
                f"{split}: {len(entries):,} videos; the benchmark has {counts[split]:,}"
            )
        there = {name for entry in entries.values() for name in entry.classes}
        if entries and (lacking := [name for name in classes if name not in there]):
            findings.remark(f"{split}: no video of class", *lacking)
    return joined
