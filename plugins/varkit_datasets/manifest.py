"""The manifest of a folder of your own data: a table with one row per query.

Columns, in any order; unknown ones are ignored:

``video``
    The video's identifier.
``split``
    ``train``, ``val`` or ``test``.
``caption`` or ``audio``
    The query: a caption, or the feature file of a sound. More rows of the same video add more
    queries; their other cells may be empty, or must agree with the first row.
``label``
    1 = anomalous, 0 = normal, empty = unknown. Optional.
``class``
    What happens, ``Fighting; Riot``; results are also given by class. Optional.
``anomaly``
    Where the anomalies are, in seconds: ``12.0-15.5; 80-92``. Optional; only pictures and checks
    of the sampling use it, never training.
one column per stream, named in the recipe
    The feature file, relative to the folder; ``file.npz#name`` for one array of several.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

from varkit.errors import DataError, did_you_mean
from varkit_datasets.layout import Video
from varkit_datasets.sources import Source, locate
from varkit_datasets.tables import read_rows

SPLITS = ("train", "val", "test")

T = TypeVar("T")


def read_manifest(
    path: Path, *, root: Path, streams: Mapping[str, str], query: Literal["text", "audio"]
) -> tuple[dict[str, Video], list[str]]:
    """Read and check a manifest.

    Args:
        path: a .csv, .jsonl or .parquet file.
        root: the folder that feature files are relative to.
        streams: stream -> column.
        query: whether queries are captions or sounds.

    Returns:
        The videos by identifier, in the manifest's order, and what is wrong with rows and files;
        a video without its files is left out.

    Raises:
        DataError: the manifest cannot be read, or lacks a column.
    """
    rows, columns = read_rows(path)
    wanted = ["video", "split", "caption" if query == "text" else "audio", *streams.values()]
    lacking = [name for name in dict.fromkeys(wanted) if name not in columns]
    if not rows:
        raise DataError(f"{path} has no rows")
    if lacking:
        close = "".join(did_you_mean(name, columns) for name in lacking)
        one_column = len(columns) == 1 and path.suffix == ".csv"
        raise DataError(
            f"{path} has no column {', '.join(map(repr, lacking))}.{close} "
            f"It has: {', '.join(map(repr, columns))}.",
            hint="separate the cells with commas" if one_column else None,
        )
    faults: list[str] = []
    videos: dict[str, Video] = {}
    broken: set[str] = set()  # videos whose first row is wrong, so later rows cannot be compared
    for number, row in rows:
        name = row["video"]
        if name in broken:
            continue
        wrong = _add(videos, row, root, streams, query)
        faults += [f"row {number}: {fault}" for fault in wrong]
        if wrong and name and name not in videos:
            broken.add(name)
    for name, file in _missing_files(videos):
        faults.append(f"video {name!r}: there is no file {file}")
        videos.pop(name, None)
    return videos, faults


def _add(
    videos: dict[str, Video],
    row: Mapping[str, str],
    root: Path,
    streams: Mapping[str, str],
    query: Literal["text", "audio"],
) -> list[str]:
    """Add a row to the videos, or return what is wrong with it."""
    name = row["video"]
    if not name:
        return ["column 'video' is empty"]
    faults: list[str] = []

    def read(parse: Callable[..., T], *cells: str) -> T | None:
        try:
            return parse(*cells)
        except ValueError as error:
            faults.append(str(error))
            return None

    column = "caption" if query == "text" else "audio"
    value = read(partial(_query, root, name, column), row[column])
    label, anomaly = row.get("label", ""), row.get("anomaly", "")
    first = name not in videos
    cells: dict[str, Any] = {}
    if first or row["split"]:
        cells["split"] = read(_split, row["split"])
    if first or label:
        cells["label"] = read(_label, label)
    if first or anomaly:
        cells["anomaly"] = read(_anomalies, anomaly, label)
    if first or row.get("class"):
        cells["class"] = _classes(row.get("class", ""))
    for stream in streams.values():
        if first or row[stream]:
            cells[stream] = read(partial(_source, root, stream), row[stream])
    if not faults and not first:
        faults += _contradictions(videos[name], name, cells, streams)
    if faults or value is None:
        return faults
    if first:
        files: dict[str, tuple[Source, ...]] = {
            stream: (cells[place],) for stream, place in streams.items()
        }
        videos[name] = Video(
            cells["split"], cells["label"], files, cells["anomaly"], [], cells["class"]
        )
    videos[name].queries.append(value)
    return []


def _contradictions(
    known: Video, name: str, cells: Mapping[str, Any], streams: Mapping[str, str]
) -> list[str]:
    before: dict[str, Any] = {
        "split": known.split,
        "label": known.label,
        "anomaly": known.anomalies,
        "class": known.classes,
    } | {column: known.streams[stream][0] for stream, column in streams.items()}
    return [
        f"video {name!r} contradicts itself: column {column!r} is {before[column]} before and "
        f"{now} here"
        for column, now in cells.items()
        if now != before[column]
    ]


def _query(root: Path, video: str, column: str, cell: str) -> str | Source:
    if not cell:
        raise ValueError(f"video {video!r} has no {column}")
    return cell if column == "caption" else locate(root, cell)


def _split(cell: str) -> str:
    if cell not in SPLITS:
        allowed = ", ".join(SPLITS)
        raise ValueError(f"split {cell!r} is none of {allowed}.{did_you_mean(cell, SPLITS)}")
    return cell


def _label(cell: str) -> int | None:
    if cell in ("", "0", "1"):
        return int(cell) if cell else None
    raise ValueError(f"label {cell!r} is none of 0 (normal), 1 (anomalous) and empty (unknown)")


def _classes(cell: str) -> tuple[str, ...]:
    return tuple(sorted({name for part in cell.split(";") if (name := part.strip())}))


def _source(root: Path, column: str, cell: str) -> Source:
    if not cell:
        raise ValueError(f"column {column!r} is empty")
    return locate(root, cell)


def _anomalies(cell: str, label: str) -> tuple[tuple[float, float], ...] | None:
    if not cell:
        return () if label == "0" else None
    if label == "0":
        raise ValueError(f"anomaly {cell!r} in a video whose label is 0 (normal)")
    intervals = []
    for part in cell.split(";"):
        try:
            start, end = (float(number) for number in part.split("-"))
        except ValueError:
            start, end = 0.0, 0.0
        if not 0 <= start < end < float("inf"):
            raise ValueError(f"anomaly {cell!r} must be seconds, as in '12.0-15.5; 80-92'")
        intervals.append((start, end))
    return tuple(sorted(intervals))


def _missing_files(videos: Mapping[str, Video]) -> list[tuple[str, Path]]:
    there: dict[Path, bool] = {}
    absent = []
    for name, video in videos.items():
        sources = [source for crops in video.streams.values() for source in crops]
        sources += [query for query in video.queries if isinstance(query, Source)]
        for source in sources:
            if source.file not in there:
                there[source.file] = os.path.isfile(source.file)  # never raises
            if not there[source.file]:
                absent.append((name, source.file))
    return absent
