"""The manifest of a folder of one's own data: a table with one row a query.

Columns, in any order; others are ignored:

``video``
    The video's identifier.
``split``
    ``train``, ``val`` or ``test``.
``caption`` or ``audio``
    The query: a caption, or the feature file of a sound. Further rows of the same video add
    further queries; their other cells may be empty, or must agree with the first row.
``label``
    1 = anomalous, 0 = normal, empty = unknown. Optional.
``class``
    What happens, ``Fighting; Riot``; results are also given by class. Optional.
``anomaly``
    Where the anomalies are, in seconds: ``12.0-15.5; 80-92``. Optional; only pictures and checks
    of the sampling use it, never training.
one column a stream, named in the recipe
    The feature file, relative to the folder; ``file.npz#name`` for one array of several.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from varkit.errors import DataError, did_you_mean
from varkit_benchmarks.features import Source, locate
from varkit_benchmarks.stored import Video

SPLITS = ("train", "val", "test")


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
    rows, columns = _rows(path)
    wanted = ["video", "split", "caption" if query == "text" else "audio", *streams.values()]
    lacking = [name for name in dict.fromkeys(wanted) if name not in columns]
    if not rows:
        raise DataError(f"{path} has no rows")
    if lacking:
        close = "".join(did_you_mean(name, columns) for name in lacking)
        raise DataError(
            f"{path} has no column {', '.join(map(repr, lacking))}.{close} "
            f"It has: {', '.join(columns)}."
        )
    faults: list[str] = []
    videos: dict[str, Video] = {}
    for number, row in rows:
        try:
            _add(videos, row, root, streams, query)
        except ValueError as error:
            faults.append(f"row {number}: {error}")
    for name, absent in _missing_files(videos):
        faults.append(f"video {name!r}: there is no file {absent}")
        videos.pop(name, None)
    return videos, faults


def _add(
    videos: dict[str, Video],
    row: Mapping[str, str],
    root: Path,
    streams: Mapping[str, str],
    query: Literal["text", "audio"],
) -> None:
    name = row["video"]
    if not name:
        raise ValueError("column 'video' is empty")
    known = videos.get(name)
    text = row["caption" if query == "text" else "audio"]
    if not text:
        raise ValueError(f"video {name!r} has no {'caption' if query == 'text' else 'audio'}")
    found = text if query == "text" else locate(root, text)
    if known is None:
        known = videos[name] = Video(
            split=_split(row["split"]),
            label=_label(row.get("label", "")),
            streams={s: (_source(root, row[column], column),) for s, column in streams.items()},
            anomalies=_anomalies(row.get("anomaly", ""), row.get("label", "")),
            classes=_classes(row.get("class", "")),
        )
    else:
        _agree(name, known, row, root, streams)
    known.queries.append(found)


def _agree(
    name: str, known: Video, row: Mapping[str, str], root: Path, streams: Mapping[str, str]
) -> None:
    cells: dict[str, tuple[object, object]] = {}
    if row["split"]:
        cells["split"] = known.split, _split(row["split"])
    if label := row.get("label", ""):
        cells["label"] = known.label, _label(label)
    if classes := row.get("class", ""):
        cells["class"] = known.classes, _classes(classes)
    if anomaly := row.get("anomaly", ""):
        cells["anomaly"] = known.anomalies, _anomalies(anomaly, row.get("label", ""))
    for stream, column in streams.items():
        if row[column]:
            cells[column] = known.streams[stream][0], _source(root, row[column], column)
    for column, (first, now) in cells.items():
        if first != now:
            was = f"{first} before and {now} here"
            raise ValueError(f"video {name!r} contradicts itself: column {column!r} is {was}")


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


def _source(root: Path, cell: str, column: str) -> Source:
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
    present: dict[Path, bool] = {}
    absent = []
    for name, video in videos.items():
        sources = [source for crops in video.streams.values() for source in crops]
        sources += [query for query in video.queries if isinstance(query, Source)]
        for source in sources:
            if source.file not in present:
                present[source.file] = source.file.is_file()
            if not present[source.file]:
                absent.append((name, source.file))
    return absent


Rows = tuple[Sequence[tuple[int, dict[str, str]]], Sequence[str]]


def _rows(path: Path) -> Rows:
    """Return (row number, cells) pairs, every cell a stripped string, and the columns."""
    readers = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
    if path.suffix not in readers:
        raise DataError(f"manifest {path} is no .csv, .jsonl or .parquet file")
    if not path.is_file():
        raise DataError(f"there is no manifest {path}")
    try:
        found = list(readers[path.suffix](path))
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"manifest {path} cannot be read: {error}") from error
    columns = list(dict.fromkeys(column for _, row in found for column in row))
    return [(n, {c: _text(row.get(c)) for c in columns}) for n, row in found], columns


def _csv(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, strict=True)
        for row in reader:
            if None in row:
                raise ValueError(f"line {reader.line_num} has more cells than the header")
            yield reader.line_num, row


def _jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"line {number}: {error}") from error
            if not isinstance(row, dict):
                raise ValueError(f"line {number} is no JSON object")
            yield number, row


def _parquet(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        import pyarrow.parquet  # here, since it is an extra and slow to import
    except ImportError as error:
        raise DataError(
            f"reading {path} needs pyarrow", hint="pip install 'varkit[parquet]'"
        ) from error
    yield from enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1)


def _text(cell: Any) -> str:
    if cell is None or cell != cell:  # NaN is how pandas writes an empty cell
        return ""
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)  # pandas turns a column of 0, 1 and empty cells into floats
    return str(int(cell) if isinstance(cell, bool) else cell).strip()
