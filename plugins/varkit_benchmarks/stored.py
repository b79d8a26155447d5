"""Videos whose features lie in files: what folders of one's own and the benchmarks share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.data.collate import segment_edges
from varkit.data.inspect.verification import Survey
from varkit.errors import DataError
from varkit.interfaces import Array, Item, Sequences
from varkit_benchmarks.features import read, read_means, read_pieces
from varkit_benchmarks.fingerprint import fingerprint
from varkit_benchmarks.layout import Layout, Video
from varkit_benchmarks.shapes import common_width, named, shape_of
from varkit_benchmarks.sources import Source
from varkit_benchmarks.timing import anomalous_clips, clip_times

SHOWN = 20
"""How many faults an error lists."""
ASKED = 64
"""So many videos, from all parts of the list, decide by majority how wide a stream is."""


class Stored:
    """A data set over the files of a layout; nothing but their names stays in memory.

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre.
    Streams of one video may differ by one clip, since optical flow has one frame less; the longer
    ones are cut.

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
        every = list(self._videos.items())
        some = every[:: -(-len(every) // ASKED)]
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
            for video, row in some
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

    def length(self, video: str) -> int:
        """Return T, from the headers of the feature files.

        Raises:
            DataError: a header is unreadable, or streams differ by more than one clip.
        """
        return self._length(video)

    def times(self, video: str) -> Array:
        """Return (T, 2) start and end of every clip in seconds, from the headers."""
        return clip_times(self.length(video), self._layout.seconds)

    def query_length(self, query: str) -> int:
        """Return the number of clips of a sound."""
        source = self._queries[query]
        if not isinstance(source, Source):
            raise DataError(f"query {query!r} is a caption, not a sound")
        return shape_of(source, self.query_widths[self._sound_stream], f"sound {query!r}")[-2]

    def video(self, video: str, crop: int = 0) -> Sequences:
        """Read one video's clips.

        Raises:
            DataError: a feature file is missing, unreadable, empty, not finite or of another
                shape than the others, or streams differ by more than one clip.
        """
        streams = {stream: self._read(video, stream, crop) for stream in self.widths}
        length = _common_length(video, {name: len(clips) for name, clips in streams.items()})
        cut = {stream: clips[:length] for stream, clips in streams.items()}
        return Sequences(cut, clip_times(length, self._layout.seconds))

    def video_means(self, video: str, crop: int, count: int) -> Sequences:
        """Read one video's clips, averaged over ``count`` equal segments if there are more.

        It is :func:`varkit.data.collate.segment_means` of :meth:`video`, but a video of hours is
        never in memory as a whole.

        Raises:
            DataError: as :meth:`video`.
        """
        length = self._length(video, crop)
        if length <= count:
            return self.video(video, crop)
        streams = {
            stream: self._read(video, stream, crop, (length, count)) for stream in self.widths
        }
        edges = segment_edges(length, count)
        times = clip_times(length, self._layout.seconds)
        ends = np.stack([times[edges[:-1], 0], times[edges[1:] - 1, 1]], axis=1)
        return Sequences(streams, ends)

    def pieces(self, video: str, stream: str, crop: int = 0) -> Iterator[Array]:
        """Read one stream's clips some thousand at a time, as many as its own file has.

        The header is looked at in this call, numbers as the pieces are asked for.

        Yields:
            (t, D) float32, one after another.

        Raises:
            DataError: a feature file is missing, unreadable, empty, not finite or of another
                shape than the others.
        """
        source, crop = self._source(video, stream, crop)
        where = f"video {video!r}, stream {stream!r}: {source}"
        with named(where):
            pieces = read_pieces(source, width=self.widths[stream], crop=crop)
        return _each(pieces, where)

    def crops(self, video: str) -> int:
        """Return how many crops the video's features have.

        Raises:
            DataError: the streams do not have the same number.
        """
        counts = {}
        for stream, sources in self._row(video).streams.items():
            found = self._shape(video, stream)
            inside = found[0] if len(found) == 3 else 1
            if len(sources) > 1 and inside > 1:
                raise DataError(
                    f"video {video!r}, stream {stream!r}: {sources[0]} is one of {len(sources)} "
                    f"crops, but has shape {found}; expected (T, {found[-1]})"
                )
            counts[stream] = inside * len(sources)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{stream} has {count}" for stream, count in counts.items())
            raise DataError(f"video {video!r}: streams differ in crops: {listed}")
        return next(iter(counts.values()))

    def query(self, query: str) -> str | Sequences:
        """Return a caption, or read the clips of a sound.

        Raises:
            DataError: the sound's feature file is missing, unreadable, empty, not finite or of
                another width than the others.
        """
        found = self._queries[query]
        if isinstance(found, str):
            return found
        with named(f"sound {query!r}: {found}"):
            clips = read(found, width=self.query_widths[self._sound_stream])
        return Sequences(
            {self._sound_stream: clips}, clip_times(len(clips), self._layout.sound_seconds)
        )

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None where nobody said.

        Raises:
            DataError: most of an anomaly lies behind the video's end.
        """
        anomalies = self._row(video).anomalies
        if anomalies is None:
            return None
        length = self.length(video)
        try:
            return anomalous_clips(anomalies, length, self._layout.seconds)
        except ValueError as error:
            raise DataError(f"video {video!r}: {error}") from error

    def fingerprint(self) -> str:
        """Return a hash of what is known of the videos, and of the feature files.

        See :func:`varkit_benchmarks.fingerprint.fingerprint`.
        """
        return self._fingerprint

    def questions(self) -> str:
        """Return a hash of the test split's videos and what is asked of each.

        That is captions to the letter; of queries that are features, such as sounds, the files,
        since nobody knows whether other numbers mean the same.
        """
        tested = sorted((name, row) for name, row in self._videos.items() if row.split == "test")
        asked = [(name, [self._place(query) for query in row.queries]) for name, row in tested]
        sounds = {q.file for _, row in tested for q in row.queries if isinstance(q, Source)}
        return fingerprint(asked, sounds, self._layout.root)

    @cached_property
    def _fingerprint(self) -> str:
        layout = self._layout
        known: list[object] = [(layout.seconds, layout.sound_seconds)]
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

    def _length(self, video: str, crop: int = 0) -> int:
        return _common_length(video, {s: self._shape(video, s, crop)[-2] for s in self.widths})

    def _shape(self, video: str, stream: str, crop: int = 0) -> tuple[int, ...]:
        source, _ = self._source(video, stream, crop)
        return shape_of(source, self.widths[stream], f"video {video!r}, stream {stream!r}")

    def _read(
        self, video: str, stream: str, crop: int, means: tuple[int, int] | None = None
    ) -> Array:
        """Read the clips of a stream, or of its first ``means[0]`` clips ``means[1]`` means."""
        source, crop = self._source(video, stream, crop)
        width = self.widths[stream]
        with named(f"video {video!r}, stream {stream!r}: {source}"):
            if means is None:
                return read(source, width=width, crop=crop)
            return read_means(source, *means, width=width, crop=crop)

    def _source(self, video: str, stream: str, crop: int) -> tuple[Source, int]:
        """Return the file that holds a crop, and the crop's number in it.

        Raises:
            DataError: there is no such crop, or its length differs from the centre's by more than
                one clip.
        """
        sources = self._row(video).streams[stream]
        if len(sources) == 1:
            return sources[0], crop
        where = f"video {video!r}, stream {stream!r}"
        if crop >= len(sources):
            raise DataError(f"{where} has {len(sources)} crops; number {crop} was asked for")
        if crop:
            centre, length = (shape_of(sources[k], None, where)[-2] for k in (0, crop))
            if abs(length - centre) > 1:
                raise DataError(
                    f"{where}: {sources[crop]} has {length} clips; the centre crop has {centre}"
                )
        return sources[crop], 0


def _each(pieces: Iterator[Array], where: str) -> Iterator[Array]:
    with named(where):
        yield from pieces


def survey(layout: Layout) -> Survey:
    """Open what can be opened of a layout, and say what is wrong with the rest."""
    try:
        dataset = Stored(replace(layout, faults=())) if layout.videos else None
    except DataError as error:  # no file of a stream can be read
        return Survey(None, (*layout.faults, str(error)), layout.remarks)
    return Survey(dataset, layout.faults, layout.remarks)


def _common_length(video: str, lengths: Mapping[str, int]) -> int:
    shortest = min(lengths.values())
    if max(lengths.values()) > shortest + 1:
        raise DataError(
            f"video {video!r}: streams differ by more than one clip: "
            + ", ".join(f"{stream} has {length}" for stream, length in lengths.items())
        )
    return shortest


def _listed(layout: Layout) -> str:
    faults = layout.faults
    more = [f"... and {len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
    count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
    return "\n  ".join([f"{layout.root} has {count}:", *faults[:SHOWN], *more])
