"""Videos with features in files, for the benchmarks and for folders of your own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError
from varkit.interfaces import Item
from varkit.media.reader import Origin, StoredVideo
from varkit_datasets.fingerprint import fingerprint
from varkit_datasets.layout import Layout, Video
from varkit_datasets.reader import FeatureReader
from varkit_datasets.shapes import common_width, shape_of
from varkit_datasets.sources import Source
from varkit_datasets.timing import anomalous_clips

SHOWN = 20
"""Most faults that an error lists."""
MOST_CROPS = 10
"""More crops than this are not usual: 1, 5 and 10 are."""
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
        self.made_by: Mapping[str, Origin] = {} if layout.store is None else layout.store.made_by
        self.query_kind: Literal["captions", "clips"] = (
            "captions" if layout.query == "text" else "clips"
        )
        self._queries = {
            f"{video}#{k}": query
            for video, row in self._videos.items()
            for k, query in enumerate(row.queries)
        }
        asked = _sampled([(video, row) for video, row in self._videos.items() if row.queries])
        streams = next(iter(self._videos.values())).streams
        self.widths: Mapping[str, int] = {stream: self._width(stream) for stream in streams}
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

    def open(self, video: str) -> FeatureReader | StoredVideo:
        """Open one video; nothing is read yet.

        Raises:
            DataError: there is no such video.
        """
        row, layout = self._row(video), self._layout
        if row.stored is not None and layout.store is not None:
            return StoredVideo(
                f"video {video!r}",
                layout.store.root,
                row.stored,
                layout.store.streams,
                self.widths,
                layout.clips_of,
            )
        return FeatureReader(
            f"video {video!r}",
            row.streams,
            self.widths,
            layout.seconds,
            row.duration,
            layout.may_lack,
            layout.clips_of,
        )

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
        spans = self.open(video).spans
        try:
            return anomalous_clips(anomalies, spans)
        except ValueError as error:
            raise DataError(f"video {video!r}: {error}") from error

    def fingerprint(self) -> str:
        """Return a hash of what is known of the videos, and of the feature files.

        See :func:`varkit_datasets.fingerprint.fingerprint`.
        """
        return self._fingerprint

    def split_fingerprint(self, name: str) -> str:
        """Return the same of one split alone."""
        return self._hash({v: row for v, row in self._videos.items() if row.split == name})

    def files(self) -> list[Path]:
        """Return all feature files, of sounds too, in order."""
        return _files(self._videos.values(), streams=True)

    @cached_property
    def remarks(self) -> tuple[str, ...]:
        """What users should know of the files, and of the shapes in their headers."""
        layout = self._layout
        return (*layout.remarks, *_resampled(self, layout), *_many_crops(layout))

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
        return self._hash(self._videos)

    def _hash(self, videos: Mapping[str, Video]) -> str:
        layout = self._layout
        known: list[object] = [(layout.seconds, layout.sound_seconds or layout.seconds)]
        if layout.may_lack or layout.clips_of is not None:
            known.append((sorted(layout.may_lack), layout.clips_of))
        known += [(n, v.duration) for n, v in videos.items() if v.duration is not None]
        known += [(stream, each["fingerprint"]) for stream, each in self.made_by.items()]
        for name, row in videos.items():
            streams = {s: self._places(row, s, crops) for s, crops in row.streams.items()}
            queries = [self._place(query) for query in row.queries]
            known.append((name, row.split, row.label, row.classes, row.anomalies, queries, streams))
        # A store knows the hashes of its streams, which do not change where others are added.
        files = _files(videos.values(), streams=layout.store is None)
        return fingerprint(known, files, layout.root)

    def _places(self, row: Video, stream: str, crops: Sequence[Source]) -> list[str]:
        if row.stored is None or self._layout.store is None:
            return [self._place(source) for source in crops]
        key = self._layout.store.streams[stream]
        return [f"{key} {row.stored.source.sha256} {row.stored.made[key.partition('.')[0]].sha256}"]

    def _place(self, query: str | Source) -> str:
        """Return a caption, or the place of an array below the root."""
        if isinstance(query, str):
            return query
        place = query.file.relative_to(self._layout.root).as_posix()
        place = place if query.key is None else f"{place}#{query.key}"
        return place if query.crops_axis == 0 else f"{place}, crops on axis {query.crops_axis}"

    def _width(self, stream: str) -> int:
        """Return the D of a stream."""
        owners = [(video, row) for video, row in self._videos.items() if row.streams[stream]]
        if not owners:
            raise DataError(f"stream {stream!r}: no video has a file of it")
        return common_width(
            (row.streams[stream][0], f"video {video!r}, stream {stream!r}")
            for video, row in _sampled(owners)
        )

    def _row(self, video: str) -> Video:
        if video not in self._videos:
            raise DataError(f"{self._layout.root} has no video {video!r}")
        return self._videos[video]


def _sampled(videos: list[tuple[str, Video]]) -> list[tuple[str, Video]]:
    return videos[:: -(-len(videos) // SAMPLED) or 1]


def _files(videos: Iterable[Video], *, streams: bool) -> list[Path]:
    files: set[Path] = set()
    for row in videos:
        if streams:
            files.update(source.file for crops in row.streams.values() for source in crops)
        files.update(query.file for query in row.queries if isinstance(query, Source))
    return sorted(files)


def survey(layout: Layout) -> Survey:
    """Open what can be read of a layout, and list what is wrong with the rest."""
    try:
        dataset = Stored(replace(layout, faults=())) if layout.videos else None
    except DataError as error:  # no file of a stream can be read
        faults = _unreadable(layout) or [error.line]
        return Survey(None, (*layout.faults, *faults), layout.remarks, _captions(layout))
    if dataset is None:
        return Survey(None, layout.faults, layout.remarks, _captions(layout))
    return Survey(dataset, layout.faults, dataset.remarks)


def _resampled(dataset: Stored, layout: Layout) -> Iterator[str]:
    """Say which streams are resampled, in how many videos, and from which rates."""
    rates: dict[str, list[float]] = {}
    for video, row in layout.videos.items() if layout.clips_of is not None else ():
        with suppress(DataError):  # a fault, which verify finds
            reader = dataset.open(video)
            absent = reader.absent
            for stream, sources in row.streams.items():
                every = 0 if stream in absent else shape_of(sources[0], None, video)[-2]
                if every not in (0, reader.length):
                    rates.setdefault(stream, []).append(every / reader.length)
    for stream, ratios in rates.items():
        extremes = dict.fromkeys(f"{ratio:.3g}" for ratio in (min(ratios), max(ratios)))
        yield (
            f"stream {stream!r}: {len(ratios):,} of {len(layout.videos):,} videos have "
            f"{' to '.join(extremes)} times as many clips as {layout.clips_of!r}, and are "
            "resampled by time"
        )


def _many_crops(layout: Layout) -> Iterator[str]:
    """Say where the number of crops is so unusual that the axis may be time."""
    for stream in next(iter(layout.videos.values())).streams:
        crops: Counter[tuple[int, ...]] = Counter()
        for row in layout.videos.values():
            for source in row.streams[stream][:1]:
                with suppress(DataError):
                    crops[shape_of(source, None, "")] += 1
        unusual = {dims: n for dims, n in crops.items() if len(dims) == 3 and dims[0] > MOST_CROPS}
        if unusual:
            dims = max(unusual, key=lambda dims: unusual[dims])
            yield (
                f"stream {stream!r}: {sum(unusual.values()):,} arrays of shapes such as {dims} are "
                f"read as {dims[0]} crops of {dims[1]} clips; if it is {dims[0]} clips of "
                f"{dims[1]} crops, set crops_axis={1 - source.crops_axis}"
            )


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


def _captions(layout: Layout) -> Stored | None:
    """Return the listed captions as a data set without streams; None if there are none."""
    listed = {
        name: replace(video, streams={})
        for name, video in layout.listed.items()
        if video.queries and layout.query == "text"
    }
    return Stored(replace(layout, videos=listed, faults=())) if listed else None


def _listed(layout: Layout) -> str:
    faults = layout.faults
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return "\n  ".join([f"{layout.root} has {count}:", *faults[:SHOWN], *more])
