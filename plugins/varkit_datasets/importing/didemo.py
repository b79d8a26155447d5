"""DiDeMo (Hendricks et al., ICCV 2017): a list of descriptions, several for each video.

At least four people say in which of a video's chunks of 5 s a description begins and ends. A video
has five or six chunks: longer ones were cut at 30 s, so its duration is not known. Names of videos
end with that of their file, ``.mov`` and the like, which files of features often leave out.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from varkit.system.inputs import reading
from varkit_datasets import cells
from varkit_datasets.importing.captions import Captions, Interval, expect, read_json, split_of
from varkit_datasets.importing.moments import Queries, paragraph

CHUNK, CHUNKS = 5.0, 6
"""Seconds of a chunk, and most chunks of a video."""


def read(
    captions: Captions, path: Path, split: str | None, *, queries: Queries = "paragraph"
) -> None:
    """Add the videos of one file; without ``split``, its name says it.

    Raises:
        DataError: the file cannot be read, or has another layout.
    """
    split = split_of(captions, path, split)
    content = read_json(path)
    with reading(path):
        rows = expect(content, list, "the file")
    videos: dict[str, tuple[list[str], list[list[Interval]]]] = {}
    for number, row in enumerate(rows, 1):
        try:
            name = expect(expect(row, dict, "a description").get("video"), str, "'video'")
            text = expect(row.get("description"), str, "'description'")
            times = expect(row.get("times", []), list, "'times'")
            moments = [_moment(pair) for pair in times]
        except ValueError as error:
            captions.findings.fault(f"{path.name}, item {number}: {error}")
            continue
        texts, given = videos.setdefault(name, ([], []))
        texts.append(text)
        given.append(moments)
    for name, (texts, given) in videos.items():
        spoken, seen = paragraph(texts, given) if queries == "paragraph" else (texts, given)
        captions.add(f"{path.name}, video {name!r}", name, spoken, split=split, moments=seen)


def _moment(pair: Any) -> Interval:
    """Return the seconds from a first chunk to a last one."""
    whole = isinstance(pair, list) and len(pair) == 2 and all(type(c) is int for c in pair)
    if not whole or not 0 <= pair[0] <= pair[1] < CHUNKS:
        raise ValueError(
            f"{cells.shown(pair)} must be the first and last chunk of a moment, 0 to {CHUNKS - 1}"
        )
    return CHUNK * pair[0], CHUNK * (pair[1] + 1)
