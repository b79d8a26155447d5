"""Reads the clips of videos and sounds from feature files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from varkit.data.collate import segment_means, with_absent
from varkit.errors import DataError
from varkit.interfaces import Array, Sequences
from varkit_datasets.features import is_absent, read_pieces
from varkit_datasets.shapes import named, shape_of
from varkit_datasets.sources import Source
from varkit_datasets.timing import Spans, clip_spans


@dataclass(frozen=True)
class FeatureReader:
    """The clips of one video or sound (see :class:`varkit.interfaces.VideoReader`).

    A file is opened whenever its header or its numbers are needed, and closed again. Streams may
    differ by one clip, since optical flow has one frame less; the longer ones are cut. With
    ``clips_of``, all are resampled by time to the clips of one stream.

    Attributes:
        name: of the video or sound, such as ``video 'a'``.
        streams: stream -> its feature files: one per crop, the centre first, or one with all
            crops; none where the video lacks the stream.
        widths: stream -> D.
        seconds: length of a clip.
        duration: seconds that the clips share equally instead; None = unknown.
        may_lack: the streams that the video may lack.
        clips_of: the stream whose clips count, or the first one where the video lacks it; None =
            all streams have the same clips.
    """

    name: str
    streams: Mapping[str, tuple[Source, ...]]
    widths: Mapping[str, int]
    seconds: float
    duration: float | None = None
    may_lack: frozenset[str] = frozenset()
    clips_of: str | None = None

    @property
    def absent(self) -> frozenset[str]:
        """The streams that the video lacks: without a file, without a clip, or all NaN.

        Raises:
            DataError: a file cannot be read, or all streams are absent.
        """
        return self._absent(0)

    @property
    def length(self) -> int:
        """T of the centre crop.

        Raises:
            DataError: a header is unreadable, or streams differ by more than one clip.
        """
        return self._length(0)

    @property
    def times(self) -> Array:
        """(T, 2) start and end of every clip in seconds."""
        return self.spans.astype(np.float32)

    @property
    def spans(self) -> Spans:
        """The same in float64."""
        return clip_spans(self.length, self.seconds, self.duration)

    @property
    def crops(self) -> int:
        """How many crops there are.

        Raises:
            DataError: the streams do not have the same number.
        """
        counts = {}
        for stream in self._present(0):
            sources, shape = self.streams[stream], self._shape(stream, 0)
            inside = shape[0] if len(shape) == 3 else 1
            if len(sources) > 1 and inside > 1:
                raise DataError(
                    f"{self._where(stream)}: {sources[0]} is one of {len(sources)} crops, but has "
                    f"shape {shape}; expected (T, {shape[-1]})"
                )
            counts[stream] = inside * len(sources)
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{stream} has {count}" for stream, count in counts.items())
            raise DataError(f"{self.name}: streams differ in crops: {listed}")
        return next(iter(counts.values()))

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Read one stream's clips, several thousand at a time.

        Raises:
            DataError: its feature file is missing, unreadable, empty or not finite, or its shape
                differs from that of the other streams.
        """
        if self._lacks(stream, crop):
            return iter([np.zeros((self._length(crop), self.widths[stream]), np.float32)])
        try:
            length = self._length(crop)
        except DataError:  # perhaps another stream's fault: read this one to its end
            length = None
        return self._pieces(stream, crop, length)

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Read all streams, averaged over ``count`` equal segments if there are more clips.

        Raises:
            DataError: as :attr:`length` and :meth:`pieces`.
        """
        length = self._length(crop)
        present = {s: self._pieces(s, crop, length) for s in self._present(crop)}
        spans = clip_spans(length, self.seconds, self.duration)
        return with_absent(segment_means(present, spans.astype(np.float32), count), self.widths)

    def _pieces(self, stream: str, crop: int, length: int | None) -> Iterator[Array]:
        source, inside = self._source(stream, crop)
        where = f"{self._where(stream)}: {source}"
        with named(where):
            pieces = read_pieces(
                source,
                length,
                width=self.widths[stream],
                crop=inside,
                resample=self.clips_of is not None,
            )
        return _each(pieces, where)

    def _lacks(self, stream: str, crop: int) -> bool:
        if stream not in self.may_lack:
            return False
        if not self.streams[stream]:
            return True
        source, inside = self._source(stream, crop)
        with named(f"{self._where(stream)}: {source}"):
            return is_absent(source, inside)

    def _absent(self, crop: int) -> frozenset[str]:
        absent = frozenset(stream for stream in self.widths if self._lacks(stream, crop))
        if len(absent) == len(self.widths):
            raise DataError(f"{self.name} lacks all of its streams: {', '.join(self.widths)}")
        return absent

    def _present(self, crop: int) -> list[str]:
        absent = self._absent(crop)
        return [stream for stream in self.widths if stream not in absent]

    def _length(self, crop: int) -> int:
        lengths = {stream: self._shape(stream, crop)[-2] for stream in self._present(crop)}
        if self.clips_of is not None:
            return lengths.get(self.clips_of, next(iter(lengths.values())))
        shortest = min(lengths.values())
        if max(lengths.values()) > shortest + 1:
            listed = ", ".join(f"{stream} has {length}" for stream, length in lengths.items())
            raise DataError(
                f"{self.name}: streams differ by more than one clip: {listed}",
                hint="if they have other rates, a folder's option clips_of=STREAM resamples them",
            )
        return shortest

    def _shape(self, stream: str, crop: int) -> tuple[int, ...]:
        source, _ = self._source(stream, crop)
        return shape_of(source, self.widths[stream], self._where(stream))

    def _source(self, stream: str, crop: int) -> tuple[Source, int]:
        """Return the file that holds a crop, and the crop's number in it.

        Raises:
            DataError: there is no such crop, or its length differs from the centre's by more than
                one clip.
        """
        sources = self.streams[stream]
        if len(sources) == 1:
            return sources[0], crop
        where = self._where(stream)
        if crop >= len(sources):
            raise DataError(f"{where} has {len(sources)} crops; there is no crop {crop}")
        if crop:
            centre, length = (shape_of(sources[k], None, where)[-2] for k in (0, crop))
            if abs(length - centre) > 1:
                raise DataError(
                    f"{where}: {sources[crop]} has {length} clips; the centre crop has {centre}"
                )
        return sources[crop], 0

    def _where(self, stream: str) -> str:
        return f"{self.name}, stream {stream!r}"


def _each(pieces: Iterator[Array], where: str) -> Iterator[Array]:
    with named(where):
        yield from pieces
