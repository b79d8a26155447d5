"""MSR-VTT (Xu et al., CVPR 2016): a list of videos and a list of sentences.

The release has ``train_val_videodatainfo.json`` and ``test_videodatainfo.json``;
``MSRVTT_data.json`` is both in one. Sentences are in no order. A video lasts from ``start time`` to
``end time`` of the film that it is cut from. ``MSR_VTT.json``, which comes with features of other
projects, has ``annotations`` with ``image_id`` instead, and no splits: lists give them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from varkit.system.inputs import reading
from varkit_datasets import cells
from varkit_datasets.importing.captions import Captions, expect, read_json

CATEGORIES = (
    *("music", "people", "gaming", "sports/actions", "news/events/politics", "education"),
    *("tv shows", "movie/comedy", "animation", "vehicles/autos", "howto", "travel"),
    *("science/technology", "animals/pets", "kids/family", "documentary", "food/drink"),
    *("cooking", "beauty/fashion", "advertisement"),
)
"""Of ``category.txt``, by number."""


def read(captions: Captions, path: Path, split: str | None) -> None:
    """Add the videos of one file; without ``split``, each says its own.

    Raises:
        DataError: the file cannot be read, or has another layout.
    """
    content = read_json(path)
    with reading(path):
        expect(content, dict, "the file")
        coco = "annotations" in content
        key, owner = ("annotations", "image_id") if coco else ("sentences", "video_id")
        texts = _sentences(captions, path, expect(content.get(key), list, f"{key!r}"), owner)
        entries = content.get("videos", [{"video_id": name} for name in texts] if coco else None)
        videos = expect(entries, list, "'videos'")
    for number, video in enumerate(videos, 1):
        where = f"{path.name}, video {number}"
        try:
            name = expect(video, dict, "a video").get("video_id")
            spoken = texts.pop(name, []) if isinstance(name, str) else []
            own = split
            if own is None and "split" in video:
                own = captions.split(f"{where} {name!r}", video["split"])
            duration, facts = _duration(video), {"class": _category(video.get("category"))}
        except ValueError as error:
            captions.findings.fault(f"{where}: {error}")
            continue
        where = f"{path.name}, video {name!r}"
        captions.add(where, name, spoken, split=own, duration=duration, facts=facts)
    for name in texts:
        what = f"{path.name}: sentences of videos that are not among its videos"
        captions.findings.fault(what, repr(name))


def _sentences(captions: Captions, path: Path, rows: list[Any], owner: str) -> dict[str, list[Any]]:
    texts: dict[str, list[Any]] = {}
    for number, row in enumerate(rows, 1):
        try:
            expect(row, dict, "it")
            texts.setdefault(expect(row.get(owner), str, f"{owner!r}"), []).append(row["caption"])
        except (ValueError, KeyError) as error:
            lacks = "it has no 'caption'" if isinstance(error, KeyError) else error
            captions.findings.fault(f"{path.name}, sentence {number}: {lacks}")
    return texts


def _duration(video: dict[str, Any]) -> float | None:
    start, end = (cells.number(video.get(f"{side} time")) for side in ("start", "end"))
    return None if start is None or end is None else round(end - start, 3)


def _category(number: Any) -> tuple[str, ...]:
    if number is None:
        return ()
    if type(number) is not int or not 0 <= number < len(CATEGORIES):
        raise ValueError(f"category {cells.shown(number)} is not 0 to {len(CATEGORIES) - 1}")
    return (CATEGORIES[number],)
