"""The manifest of a folder of your own data: a table with one row per query.

docs/data.md has a table of the columns, and :mod:`varkit_datasets.cells` says what each accepts.
Other columns are ignored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

from varkit.errors import DataError, did_you_mean
from varkit_datasets import cells
from varkit_datasets.findings import Findings, few
from varkit_datasets.layout import Video
from varkit_datasets.sources import Source, locate
from varkit_datasets.tables import Delimiter, Row, read_rows
from varkit_datasets.timing import check_end, duration_of, same_duration

Query = Literal["text", "audio"]
MissingFiles = Literal["refuse", "leave_out"]

_OPTIONAL: Mapping[str, Callable[[Any], Any]] = {
    "label": cells.label,
    "class": cells.names,
    "anomaly": cells.intervals,
    "duration": cells.positive,
    "frames": cells.positive,
    "fps": cells.positive,
}
COLUMNS = ("video", "split", "caption", "audio", *_OPTIONAL)


@dataclass(frozen=True)
class _Column:
    """A column: its name in the manifest, what makes a value of a cell, and its stream, if any."""

    name: str
    parse: Callable[[Any], Any]
    stream: str | None = None


def read_manifest(
    path: Path,
    *,
    root: Path,
    streams: Mapping[str, str],
    query: Query,
    columns: Mapping[str, str | None] | None = None,
    delimiter: Delimiter | None = None,
    missing_files: MissingFiles = "refuse",
    may_lack: Collection[str] = (),
) -> tuple[dict[str, Video], dict[str, Video], Findings]:
    """Read and check a manifest.

    Args:
        path: the file.
        root: the folder that feature files are relative to.
        streams: stream -> column.
        query: whether queries are captions or sounds.
        columns: varkit's column -> the manifest's; None = not to be read.
        delimiter: as in :func:`varkit_datasets.tables.read_rows`.
        missing_files: whether missing feature files are faults, or leave out their videos.
        may_lack: the streams whose cells may be empty, and whose files may be missing.

    Returns:
        The videos by identifier, in the manifest's order, without those that have a fault; the
        same with those whose files are missing; and what is wrong with rows and files.

    Raises:
        DataError: the manifest cannot be read, or lacks a column.
    """
    rows, there = read_rows(path, delimiter)
    if not rows:
        raise DataError(f"{path} has no rows")
    named = _columns(path, there, root, streams, query, columns or {})
    reader = _Reader(path.name, named, may_lack)
    for number, row in rows:
        reader.add(number, row)
    reader.finish()
    listed = dict(reader.videos)
    _leave_out_missing(reader, missing_files)
    return reader.videos, listed, reader.findings


def _columns(
    path: Path,
    there: Sequence[str],
    root: Path,
    streams: Mapping[str, str],
    query: Query,
    given: Mapping[str, str | None],
) -> dict[str, _Column]:
    """Return the columns to read: ``video``, ``split``, ``query``, optional ones and streams."""
    asked = "caption" if query == "text" else "audio"
    if unknown := [key for key in given if key not in COLUMNS]:
        close = "".join(did_you_mean(key, COLUMNS) for key in unknown)
        raise DataError(
            f"option 'columns' has no key {_listed(unknown)}.{close} Its keys: {_listed(COLUMNS)}; "
            "option 'streams' names the columns of streams."
        )
    names = {column: given.get(column, column) for column in COLUMNS}
    needed = {key: names[key] or "null" for key in ("video", "split", asked)}
    named = {key: name for key in given if (name := given[key]) is not None}
    lacking = list(dict.fromkeys([*needed.values(), *named.values(), *streams.values()]))
    if lacking := [name for name in lacking if name not in there]:
        close = "".join(did_you_mean(name, there) for name in lacking)
        one_column = len(there) == 1 and path.suffix.lower() in (".csv", ".tsv")
        own = next((key for key, name in needed.items() if name in lacking), None)
        hint = f"option 'columns' names the manifest's own, as in {{{own}: NAME}}" if own else None
        raise DataError(
            f"{path} has no column {_listed(lacking)}.{close} It has: {_listed(there)}.",
            hint="separate the cells with commas, semicolons, tabs or |" if one_column else hint,
        )
    queries = cells.captions if query == "text" else partial(_sounds, root)
    optional = {key: name for key in _OPTIONAL if (name := names[key]) is not None}
    return {
        "video": _Column(needed["video"], cells.name),
        "split": _Column(needed["split"], cells.split),
        "query": _Column(needed[asked], queries),
        **{key: _Column(n, _OPTIONAL[key]) for key, n in optional.items() if n in there},
        **{f"stream {s}": _Column(n, partial(_source, root), s) for s, n in streams.items()},
    }


@dataclass
class _Reader:
    """Makes videos of rows.

    Attributes:
        file: the manifest's name in messages.
        columns: as :func:`_columns` returns them.
        may_lack: the streams that a video may lack.
        videos: identifier -> video, without those whose first row has a fault.
        first: identifier -> the number of its first row.
        findings: what is wrong.
    """

    file: str
    columns: Mapping[str, _Column]
    may_lack: Collection[str]
    videos: dict[str, Video] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    findings: Findings = field(default_factory=Findings)

    def add(self, number: int, row: Row) -> None:
        """Add a row to the videos, or what is wrong with it to the findings."""
        values, faults = self._values(row)
        name = values.get("video")
        if name in self.first and name not in self.videos:
            return  # its first row is wrong, so later rows cannot be compared
        known = self.videos.get(name) if name else None
        streams = {column.stream: key for key, column in self.columns.items() if column.stream}
        own = [key for stream, key in streams.items() if stream not in self.may_lack]
        needed = ("query",) if known is not None else ("split", *own)
        for key in needed if name else ("video",):
            if key in values and values[key] is None:
                faults.append(f"column {self.columns[key].name!r} is empty")
        if known is not None and not faults:
            faults += self._contradictions(known, values)
        for fault in faults:
            self.findings.fault(f"{self.file}, row {number}, {fault}")
        if name:
            self.first.setdefault(name, number)
        if faults or not name:
            return
        if known is None:
            anomalies = () if values.get("label") == 0 else values.get("anomaly")
            self.videos[name] = known = Video(
                values["split"],
                values.get("label"),
                {s: (values[key],) if values[key] else () for s, key in streams.items()},
                anomalies,
                classes=values.get("class") or (),
                duration=values.get("duration"),
            )
        for query in values["query"] or ():
            known.queries.append(query)
            if isinstance(query, str) and cells.INVISIBLE.search(query):
                what = f"{self.file}: invisible characters in captions of rows"
                self.findings.remark(what, str(number))

    def finish(self) -> None:
        """Check the videos as a whole; those with a fault are left out."""
        for name, video in list(self.videos.items()):
            at = f"{self.file}, row {self.first[name]}, video {name!r}"
            try:
                if video.split == "train" and not video.queries:
                    raise ValueError(
                        f"column {self.columns['query'].name!r} is empty; only videos of val and "
                        "test may lack queries, as candidates that no query names"
                    )
                check_end(video.anomalies or (), video.duration)
            except ValueError as error:
                self.findings.fault(f"{at}: {error}")
                del self.videos[name]

    def _values(self, row: Row) -> tuple[dict[str, Any], list[str]]:
        """Return the values of a row's cells, and what is wrong with them."""
        values: dict[str, Any] = {}
        faults: list[str] = []
        for key, column in self.columns.items():
            try:
                values[key] = column.parse(row.get(column.name))
            except ValueError as error:
                faults.append(f"column {column.name!r}: {error}")
        try:
            lengths = (values.pop(key, None) for key in ("duration", "frames", "fps"))
            values["duration"] = duration_of(*lengths) if not faults else None
            if values.get("label") == 0 and values.get("anomaly"):
                raise ValueError("an anomaly in a video whose label is 0 (normal)")
        except ValueError as error:
            faults.append(str(error))
        return values, faults

    def _contradictions(self, known: Video, values: Mapping[str, Any]) -> list[str]:
        before: dict[str, Any] = {
            "split": known.split,
            "label": known.label,
            "anomaly": known.anomalies,
            "class": known.classes,
            "duration": known.duration,
        } | {f"stream {stream}": next(iter(files), None) for stream, files in known.streams.items()}
        now = values["duration"]
        if known.duration is not None and now is not None and same_duration(known.duration, now):
            before["duration"] = now  # counted in frames before, and in seconds here
        return [
            f"video {values['video']!r} contradicts itself: column "
            f"{self.columns[key].name if key in self.columns else key!r} is {before[key]} before "
            f"and {values[key]} here"
            for key in before
            if values.get(key) is not None and values[key] != before[key]
        ]


def leave_out(
    videos: dict[str, Video],
    missing: Mapping[str, str],
    findings: Findings,
    missing_files: MissingFiles,
) -> bool:
    """Remove videos whose feature files are missing; return whether that is all there is to do.

    Args:
        videos: by name.
        missing: the names -> what a remark says of them.
        findings: gets the remark.
        missing_files: whether that is allowed; if no video remains, it is not.
    """
    count = len(videos)
    for name in missing:
        del videos[name]
    if missing and not (videos and missing_files == "leave_out"):
        return False
    if missing:
        findings.remark(
            f"left out {len(missing):,} of {count:,} videos, whose feature files are missing: "
            + ", ".join(missing.values())
        )
    return True


def _leave_out_missing(reader: _Reader, missing_files: MissingFiles) -> None:
    """Remove the videos whose files are missing; a fault for each column, or one remark."""
    is_there = cache(os.path.isfile)  # never raises
    absent: dict[str, dict[str, Path]] = {}
    for name, video in reader.videos.items():
        for stream in reader.may_lack:
            video.streams[stream] = tuple(x for x in video.streams[stream] if is_there(x.file))
        sources = [(f"stream {s}", crop) for s, crops in video.streams.items() for crop in crops]
        sources += [("query", query) for query in video.queries if isinstance(query, Source)]
        for key, source in sources:
            if not is_there(source.file):
                absent.setdefault(reader.columns[key].name, {})[name] = source.file
    count = len(reader.videos)
    left_out = {name: repr(name) for files in absent.values() for name in files}
    if leave_out(reader.videos, left_out, reader.findings, missing_files):
        return
    for column, files in absent.items():
        reader.findings.fault(
            f"column {column!r}: the feature files of {len(files):,} of {count:,} videos are "
            f"missing: {few([*map(repr, files)], most=20)} (the first is "
            f"{next(iter(files.values()))}; missing_files=leave_out leaves out these videos)"
        )


def _source(root: Path, cell: Any) -> Source | None:
    value = cells.text(cell)
    return None if value is None else locate(root, value)


def _sounds(root: Path, cell: Any) -> list[Source] | None:
    found = [_source(root, item) for item in (cell if isinstance(cell, list) else [cell])]
    return [sound for sound in found if sound is not None] or None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names))
