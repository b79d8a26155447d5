"""Any table of captions: the columns of a folder's manifest, under names of its own.

A .txt file is a list: each line has a video and a caption, between them a tab, ``|`` or a space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from varkit.errors import DataError, did_you_mean
from varkit_datasets import cells
from varkit_datasets.importing.captions import Captions, split_of
from varkit_datasets.tables import Row, read_rows
from varkit_datasets.text_lists import read_lines
from varkit_datasets.timing import duration_of

NO_COLUMNS: Mapping[str, str] = {}
CELLS: Mapping[str, Callable[[Any], Any]] = {
    "video": cells.name,
    "split": lambda cell: cell,
    "caption": lambda cell: cell if isinstance(cell, list) else [cell],
    "label": cells.label,
    "class": cells.names,
    "anomaly": cells.intervals,
    "duration": cells.positive,
    "frames": cells.positive,
    "fps": cells.positive,
}


def read(
    captions: Captions, path: Path, split: str | None, *, columns: Mapping[str, str] = NO_COLUMNS
) -> None:
    """Add the videos of one file.

    Args:
        captions: collects them.
        path: of the table.
        split: None = its column ``split`` says it, else its name.
        columns: a manifest's column -> the table's, such as ``{"video": "video_id"}``.

    Raises:
        DataError: the file cannot be read, or lacks a column.
    """
    rows, there = _lines(path) if path.suffix.lower() == ".txt" else read_rows(path)
    names = {key: columns.get(key, key) for key in CELLS}
    for key in columns:
        if key not in CELLS:
            raise DataError(
                f"--columns has no {key!r}.{did_you_mean(key, CELLS)} It has: {', '.join(CELLS)}"
            )
    lacking = [names[key] for key in ("video", *columns) if names[key] not in there]
    if lacking:
        close = "".join(did_you_mean(name, there) for name in lacking)
        raise DataError(
            f"{path} has no column {', '.join(map(repr, lacking))}.{close} "
            f"It has: {', '.join(map(repr, there))}",
            hint="--columns video=NAME,caption=NAME names the table's own",
        )
    named = split_of(captions, path, split)
    for number, row in rows:
        where = f"{path.name}, row {number}"
        try:
            cell = {key: CELLS[key](row.get(names[key])) for key in names if names[key] in there}
            duration = duration_of(cell.get("duration"), cell.get("frames"), cell.get("fps"))
        except ValueError as error:
            captions.findings.fault(f"{where}: {error}")
            continue
        own = named
        if split is None and cell.get("split"):
            own = captions.split(where, cell["split"])
        texts = [text for text in cell.get("caption", []) if text not in (None, "")]
        facts = {key: cell.get(key) for key in ("label", "class", "anomaly")}
        captions.add(where, cell["video"], texts, split=own, duration=duration, facts=facts)


def _lines(path: Path) -> tuple[list[tuple[int, Row]], list[str]]:
    return list(_split(path)), ["video", "caption"]


def _split(path: Path) -> Iterator[tuple[int, Row]]:
    lines = read_lines(path)
    first = lines[0][1] if lines else ""
    sign = next((sign for sign in "\t|" if sign in first), None)
    for number, line in lines:
        video, *caption = line.split(sign, 1)
        yield number, {"video": video.strip(), "caption": (caption or [""])[0].strip()}
