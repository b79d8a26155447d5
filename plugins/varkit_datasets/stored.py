"""Videos with features in files, for the benchmarks and for folders of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError
from varkit.interfaces import Item
from varkit_datasets.fingerprint import fingerprint
from varkit_datasets.layout import Layout, Video
from varkit_datasets.reader import FeatureReader
from varkit_datasets.shapes import common_width, shape_of
from varkit_datasets.sources import Source
from varkit_datasets.timing import anomalous_clips

SHOWN = 20
"""Most faults that an error lists."""
SAMPLED = 64
"""Videos, from all parts of the list, whose majority decides how wide a stream is."""


class Stored:
    """A data set over the files of a layout; only their names stay in memory.

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre.

    Raises:
        DataError: the layout has faults; they are listed.
    """

    _sound_stream: ClassVar[str] = "audio"

    def __init__(self, layout: Layout) -> None:
        if layout.faults:
            raise DataError(_listed(layout))
        self._layout, self._videos = layout, layout.videos
        self.name = layout.name
        self.simulated = layout.simulated
        self.query_kind: Literal["captions", "clips"] = (
            "captions" if layout.query == "text" else "clips"
        )
        self._queries = {
            f"{video}#{k}": query
            for video, row in self._videos.items()
            for k, query in enumerate(row.queries)
        }
        some = _sampled(list(self._videos.items()))
        asked = _sampled([(video, row) for video, row in self._videos.items() if row.queries])
        streams = next(iter(self._videos.values())).streams
        self.widths: Mapping[str, int] = {
            stream: common_width(
                (row.streams[stream][0], f"video {video!r}, stream {stream!r}")
                for video, row in some
            )
            for stream in streams
        }
        sounds = [
            (query, f"sound of {video!r}")
            for video, row in asked
            for query in row.queries
            if isinstance(query, Source)
        ]
        self.query_widths: Mapping[str, int] = (
            {self._sound_stream: common_width(sounds)} if sounds else {}
        )

    def split(self, name: str) -> Sequence[Item]:
        """Return the items of a split, in the folder's own order.

        Raises:
            DataError: there is no such split.
        """
        items = [
            Item(
                video,
                tuple(f"{video}#{k}" for k in range(len(row.queries))),
                row.label,
                row.classes,
            )
            for video, row in self._videos.items()
            if row.split == name
        ]
        if not items:
            there = ", ".join(sorted({row.split for row in self._videos.values()}))
            raise DataError(f"{self._layout.root} has no split {name!r}; it has {there}")
        return items

    def open(self, video: str) -> FeatureReader:
        """Open one video; nothing is read yet.

        Raises:
            DataError: there is no such video.
        """
        row, seconds = self._row(video), self._layout.seconds
        return FeatureReader(f"video {video!r}", row.streams, self.widths, seconds, row.duration)

    def query(self, query: str) -> str | FeatureReader:
        """Return a caption, or open a sound."""
        value = self._queries[query]
        if isinstance(value, str):
            return value
        layout, duration = self._layout, None
        if layout.sound_seconds is None:
            duration = self._videos[query.rpartition("#")[0]].duration
        streams, seconds = {self._sound_stream: (value,)}, layout.sound_seconds or layout.seconds
        return FeatureReader(f"sound {query!r}", streams, self.query_widths, seconds, duration)

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None if unknown.

        Raises:
            DataError: most of an anomaly lies after the video's end.
        """
        anomalies = self._row(video).anomalies
        if anomalies is None:
            return None
        edges = self.open(video).edges
        try:
            return anomalous_clips(anomalies, edges)
        except ValueError as error:
            raise DataError(f"video {video!r}: {error}") from error

    def fingerprint(self) -> str:
        """Return a hash of what is known of the videos, and of the feature files.

        See :func:`varkit_datasets.fingerprint.fingerprint`.
        """
        return self._fingerprint

    def questions(self) -> str:
        """Return a hash of the test split's videos and their queries.

        Captions count by their text. Queries that are features, such as sounds, count by their
        files, since other numbers may mean something else.
        """
        tested = sorted((name, row) for name, row in self._videos.items() if row.split == "test")
        questions = [(name, [self._place(query) for query in row.queries]) for name, row in tested]
        sounds = {q.file for _, row in tested for q in row.queries if isinstance(q, Source)}
        return fingerprint(questions, sounds, self._layout.root)

    @cached_property
    def _fingerprint(self) -> str:
        layout = self._layout
        known: list[object] = [(layout.seconds, layout.sound_seconds or layout.seconds)]
        known += [(n, v.duration) for n, v in self._videos.items() if v.duration is not None]
        files: set[Path] = set()
        for name, row in self._videos.items():
            sounds = [query for query in row.queries if isinstance(query, Source)]
            files.update(source.file for crops in row.streams.values() for source in crops)
            files.update(source.file for source in sounds)
            streams = {s: [self._place(x) for x in crops] for s, crops in row.streams.items()}
            queries = [self._place(query) for query in row.queries]
            known.append((name, row.split, row.label, row.classes, row.anomalies, queries, streams))
        return fingerprint(known, files, layout.root)

    def _place(self, query: str | Source) -> str:
        """Return a caption, or the place of an array below the root."""
        if isinstance(query, str):
            return query
        place = query.file.relative_to(self._layout.root).as_posix()
        return place if query.key is None else f"{place}#{query.key}"

    def _row(self, video: str) -> Video:
        if video not in self._videos:
            raise DataError(f"{self._layout.root} has no video {video!r}")
        return self._videos[video]


def _sampled(videos: list[tuple[str, Video]]) -> list[tuple[str, Video]]:
    return videos[:: -(-len(videos) // SAMPLED) or 1]


def survey(layout: Layout) -> Survey:
    """Open what can be read of a layout, and list what is wrong with the rest."""
    try:
        dataset = Stored(replace(layout, faults=())) if layout.videos else None
    except DataError as error:  # no file of a stream can be read
        faults = _unreadable(layout) or [error.line]
        return Survey(None, (*layout.faults, *faults), layout.remarks)
    return Survey(dataset, layout.faults, layout.remarks)


def _unreadable(layout: Layout) -> list[str]:
    """Return what is wrong with every file whose header cannot be read."""
    faults = []
    for video, row in layout.videos.items():
        for stream, sources in row.streams.items():
            for source in sources:
                try:
                    shape_of(source, None, f"video {video!r}, stream {stream!r}")
                except DataError as error:
                    faults.append(error.line)
    return faults


def _listed(layout: Layout) -> str:
    faults = layout.faults
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return "\n  ".join([f"{layout.root} has {count}:", *faults[:SHOWN], *more])
