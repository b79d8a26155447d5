"""ActivityNet Captions (Krishna et al., ICCV 2017): an object of videos, each with its sentences.

``val_1.json`` and ``val_2.json`` are two people's descriptions of the same videos. Retrieval is
measured on ``val_1``, so both are the split test unless another one is given. Some moments are
written end first, and some end after their video. Videos are called ``v_ID``; files of features
often leave out ``v_``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from varkit.system.inputs import reading
from varkit_datasets import cells
from varkit_datasets.importing.captions import Captions, Interval, expect, read_json, split_of
from varkit_datasets.importing.moments import Queries, paragraph


def read(
    captions: Captions, path: Path, split: str | None, *, queries: Queries = "paragraph"
) -> None:
    """Add the videos of one file; without ``split``, its name says it.

    Raises:
        DataError: the file cannot be read, or has another layout.
    """
    if split is None:
        split = split_of(captions, path, "test" if path.stem in ("val_1", "val_2") else None)
    content = read_json(path)
    with reading(path):
        expect(content, dict, "the file")
    for name, video in content.items():
        where = f"{path.name}, video {name!r}"
        try:
            expect(video, dict, "a video")
            texts = [
                expect(t, str, "a sentence")
                for t in expect(video.get("sentences"), list, "'sentences'")
            ]
            duration = cells.positive(video.get("duration"))
            times = expect(video.get("timestamps", []), list, "'timestamps'")
            if times and len(times) != len(texts):
                raise ValueError(f"{len(texts)} sentences, but {len(times)} timestamps")
            moments: list[Sequence[Interval]]
            moments = [[_moment(captions, where, time, duration)] for time in times]
        except ValueError as error:
            captions.findings.fault(f"{where}: {error}")
            continue
        if queries == "paragraph":
            texts, moments = paragraph(texts, moments)
        captions.add(
            where,
            name,
            texts,
            split=split,
            moments=moments,
            duration=duration,
            aliases=[name.removeprefix("v_")],
        )


def _moment(captions: Captions, where: str, pair: Any, duration: float | None) -> Interval:
    """Return a moment in order and within its video, if its duration is known."""
    expect(pair, list, "a timestamp")
    times = [time for each in pair if (time := cells.number(each)) is not None]
    if not len(times) == len(pair) == 2 or min(times) < 0:
        raise ValueError(f"{cells.shown(pair)} is not the start and end of a moment")
    start, end = sorted(times)
    if times[0] != start:
        captions.findings.remark("moments that were written end first are turned", where)
    return (start, end if duration is None else max(start, min(end, duration)))
