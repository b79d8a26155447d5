"""Videos whose features lie in files: what folders of one's own and the benchmarks share."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.collate import segment_edges
from varkit.errors import DataError
from varkit.interfaces import Array, Item, Sequences
from varkit.verification import Survey
from varkit_benchmarks.features import (
    FeatureError,
    Source,
    check_shape,
    read,
    read_means,
    read_pieces,
    shape,
)

HASHED_BYTES = 2**16
SHOWN = 20
"""How many faults an error lists."""
ASKED = 64
"""So many videos decide by majority how wide a stream is."""


@dataclass
class Video:
    """What is known of one video before a feature is read.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        label: 1, 0, or None where unknown.
        streams: stream -> its feature files: one a crop, the centre first, or one with all crops.
        anomalies: (start, end) in seconds; None where unknown.
        queries: captions, or feature files of sounds.
        classes: what happens, sorted; empty where unknown.
    """

    split: str
    label: int | None
    streams: dict[str, tuple[Source, ...]]
    anomalies: tuple[tuple[float, float], ...] | None
    queries: list[str | Source] = field(default_factory=list)
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A folder as it was found, feature files not yet read.

    Attributes:
        root: the folder.
        name: what tables call the data.
        videos: identifier -> video, in order; those with a fault are left out.
        query: whether a query is a caption or a sound.
        seconds: length of a video's clip.
        sound_seconds: length of a sound's clip.
        faults: what must be put right before anybody trains on it.
        remarks: what one should know.
    """

    root: Path
    name: str
    videos: Mapping[str, Video]
    query: Literal["text", "audio"]
    seconds: float
    sound_seconds: float
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Stored:
    """A data set over the files of a layout; nothing but their names stays in memory.

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre.
    Streams of one video may differ by one clip, since optical flow has one frame less; the longer
    ones are cut.

    Raises:
        DataError: the layout has faults; they are listed.
    """

    simulated = False
    _sound_stream: ClassVar[str] = "audio"

    def __init__(self, layout: Layout) -> None:
        if layout.faults:
            raise DataError(_listed(layout))
        self._layout, self._videos = layout, layout.videos
        self.name = layout.name
        self.query_kind: Literal["captions", "clips"] = (
            "captions" if layout.query == "text" else "clips"
        )
        self._queries = {
            f"{video}#{k}": query
            for video, row in self._videos.items()
            for k, query in enumerate(row.queries)
        }
        some = list(self._videos.items())[:ASKED]
        streams = next(iter(self._videos.values())).streams
        self.widths: Mapping[str, int] = {
            stream: _width(
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
            {self._sound_stream: _width(sounds)} if sounds else {}
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
        return _common_length(video, self._lengths(video))

    def times(self, video: str) -> Array:
        """Return (T, 2) start and end of every clip in seconds, from the headers."""
        return _times(self.length(video), self._layout.seconds)

    def query_length(self, query: str) -> int:
        """Return the number of clips of a sound."""
        source = self._queries[query]
        if not isinstance(source, Source):
            raise DataError(f"query {query!r} is a caption, not a sound")
        return _shape(source, self.query_widths[self._sound_stream], f"sound {query!r}")[-2]

    def video(self, video: str, crop: int = 0) -> Sequences:
        """Read one video's clips.

        Raises:
            DataError: a feature file is missing, unreadable, empty, not finite or of another
                shape than the others, or streams differ by more than one clip.
        """
        streams = {stream: self._read(video, stream, crop) for stream in self.widths}
        length = _common_length(video, {name: len(clips) for name, clips in streams.items()})
        cut = {stream: clips[:length] for stream, clips in streams.items()}
        return Sequences(cut, _times(length, self._layout.seconds))

    def video_means(self, video: str, crop: int, count: int) -> Sequences:
        """Read one video's clips, averaged over ``count`` equal segments if there are more.

        It is :func:`varkit.collate.segment_means` of :meth:`video`, but a video of hours is never
        in memory as a whole.

        Raises:
            DataError: as :meth:`video`.
        """
        length = self.length(video)
        if length <= count:
            return self.video(video, crop)
        streams = {
            stream: self._read(video, stream, crop, (length, count)) for stream in self.widths
        }
        edges = segment_edges(length, count)
        times = _times(length, self._layout.seconds)
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
        with _named(where):
            pieces = read_pieces(source, width=self.widths[stream], crop=crop)
        return _each(pieces, where)

    def crops(self, video: str) -> int:
        """Return how many crops the video's features have.

        Raises:
            DataError: the streams do not have the same number.
        """
        counts = {}
        for stream, sources in self._row(video).streams.items():
            found = self._stream_shape(video, stream)
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
        with _named(f"sound {query!r}: {found}"):
            clips = read(found, width=self.query_widths[self._sound_stream])
        return Sequences(
            {self._sound_stream: clips}, _times(len(clips), self._layout.sound_seconds)
        )

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None where nobody said.

        A clip is anomalous if at least half of it lies in an anomaly, or half of an anomaly in it.

        Raises:
            DataError: an anomaly lies behind the video's end.
        """
        anomalies = self._row(video).anomalies
        if anomalies is None:
            return None
        seconds = self._layout.seconds
        edges = _edges(self.length(video), seconds)
        mask = np.zeros(len(edges) - 1, dtype=bool)
        for start, end in anomalies:
            overlap = np.minimum(edges[1:], end) - np.maximum(edges[:-1], start)
            inside = overlap * 2 >= min(seconds, end - start) - 1e-6
            if not inside.any():
                raise DataError(
                    f"video {video!r}: the anomaly at {start:.1f}-{end:.1f} s lies behind the end "
                    f"of its clips at {edges[-1]:.1f} s"
                )
            mask |= inside
        return mask

    def fingerprint(self) -> str:
        """Return a hash of what is known of the videos, and of the feature files.

        Of a feature file it covers the path, the size, and the first and last 64 KiB: new features
        change it, a few numbers altered in the middle of a larger file do not. Reading every
        byte of a benchmark would take longer than a short run.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        layout = self._layout
        digest = hashlib.sha256(repr((layout.seconds, layout.sound_seconds)).encode())
        files: set[Path] = set()
        for name, row in self._videos.items():
            sounds = [query for query in row.queries if isinstance(query, Source)]
            files.update(source.file for crops in row.streams.values() for source in crops)
            files.update(source.file for source in sounds)
            streams = {s: [self._place(x) for x in crops] for s, crops in row.streams.items()}
            queries = [self._place(query) for query in row.queries]
            known = (name, row.split, row.label, row.classes, row.anomalies, queries, streams)
            digest.update(repr(known).encode())
        for path in sorted(files):
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    digest.update(f"{path.relative_to(layout.root).as_posix()} {size}\n".encode())
                    digest.update(file.read(HASHED_BYTES))
                    if size > HASHED_BYTES:
                        file.seek(-HASHED_BYTES, os.SEEK_END)
                        digest.update(file.read())
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()

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

    def _stream_shape(self, video: str, stream: str) -> tuple[int, ...]:
        source = self._row(video).streams[stream][0]
        return _shape(source, self.widths[stream], f"video {video!r}, stream {stream!r}")

    def _lengths(self, video: str) -> dict[str, int]:
        return {stream: self._stream_shape(video, stream)[-2] for stream in self.widths}

    def _read(
        self, video: str, stream: str, crop: int, means: tuple[int, int] | None = None
    ) -> Array:
        """Read the clips of a stream, or of its first ``means[0]`` clips ``means[1]`` means."""
        source, crop = self._source(video, stream, crop)
        width = self.widths[stream]
        with _named(f"video {video!r}, stream {stream!r}: {source}"):
            if means is None:
                return read(source, width=width, crop=crop)
            return read_means(source, *means, width=width, crop=crop)

    def _source(self, video: str, stream: str, crop: int) -> tuple[Source, int]:
        """Return the file that holds a crop, and the crop's number in it."""
        sources = self._row(video).streams[stream]
        if len(sources) > 1 and crop < len(sources):
            return sources[crop], 0
        return sources[0], crop


@contextmanager
def _named(where: str) -> Iterator[None]:
    """Turn a fault of a feature file into one that says which video needed it."""
    try:
        yield
    except FeatureError as error:
        raise DataError(f"{where} {error}") from error


def _each(pieces: Iterator[Array], where: str) -> Iterator[Array]:
    with _named(where):
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


def _width(sources: Iterable[tuple[Source, str]]) -> int:
    """Return the D that most of the readable files have.

    Raises:
        DataError: none can be read, or all have as many "clips" but each another number of
            "crops": what has these axes the other way round must not be read like that.
    """
    found: list[tuple[int, ...]] = []
    unreadable: DataError | None = None
    for source, where in sources:
        try:
            found.append(_shape(source, None, where))
        except DataError as error:
            unreadable = unreadable or error
    if not found:
        assert unreadable is not None  # a layout has at least one video
        raise unreadable
    crops, clips = ({dims[axis] for dims in found if len(dims) == 3} for axis in (0, 1))
    if len(clips) == 1 < len(crops):
        raise DataError(
            f"{where}: {source} and others seem to hold (T, crops, D): expected (crops, T, D)",
            hint="write them again after numpy's array.swapaxes(0, 1)",
        )
    return Counter(dims[-1] for dims in found).most_common(1)[0][0]


def _shape(source: Source, width: int | None, where: str) -> tuple[int, ...]:
    with _named(f"{where}: {source}"):
        found = shape(source)
        check_shape(found, width)
    return found


def _edges(length: int, seconds: float) -> NDArray[np.float64]:
    return np.arange(length + 1, dtype=np.float64) * seconds


def _times(length: int, seconds: float) -> Array:
    edges = _edges(length, seconds)
    times: Array = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32)
    return times
