"""The clips of one stored video, read as those of every data set.

Streams of a store have their own clocks. The clips of one stream count; for each of them, another
stream gives the clip that is seen, or heard, at its centre.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from typing_extensions import TypedDict

from varkit.data.collate import segment_means, with_absent
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Array, Sequences
from varkit.media.catalogue import Video
from varkit.media.extractors import Record
from varkit.media.store import TIMES, Store, stream_file
from varkit.system.files import sha256
from varkit.system.inputs import check_user_file, reading

PIECE = 4096
"""Most clips of a long video in memory at a time."""

Spans = NDArray[np.float64]
"""(T, 2) start and end of clips in seconds."""


class Origin(TypedDict):
    """How a stream was made.

    Attributes:
        stream: its name among its extractor's streams.
        fingerprint: of the extractor.
        record: of the extractor, with the number of classes in place of their names.
    """

    stream: str
    fingerprint: str
    record: dict[str, Any]


@dataclass(frozen=True)
class StoredVideo:
    """The clips of one video of a store (see :class:`varkit.interfaces.VideoReader`).

    A stream without crops is the same in every crop.

    Attributes:
        name: in messages, such as ``video 'a'``.
        root: the store's folder.
        video: what the store knows of it.
        streams: the reader's names -> those of the store, as in ``{"object": "image.features"}``.
        widths: of the same streams.
        clips_of: the stream whose clips count, or the first one where the video lacks it; None =
            the first one.
    """

    name: str
    root: Path
    video: Video
    streams: Mapping[str, str]
    widths: Mapping[str, int]
    clips_of: str | None = None

    @cached_property
    def absent(self) -> frozenset[str]:
        """The streams that the video lacks, such as those of a silent film's sound.

        Raises:
            DataError: it lacks all of them, or an extractor has not seen it.
        """
        whys = {stream: lack(self.video, key) for stream, key in self.streams.items()}
        if all(whys.values()):
            why = "; ".join(dict.fromkeys(filter(None, whys.values())))
            raise DataError(f"{self.name} lacks all of its streams: {why}")
        return frozenset(stream for stream, why in whys.items() if why is not None)

    @property
    def length(self) -> int:
        """T, from the catalogue."""
        return self.video.made[self._clock].clips

    @property
    def times(self) -> Array:
        """(T, 2) start and end of every clip in seconds."""
        return self.spans.astype(np.float32)

    @property
    def spans(self) -> Spans:
        """The same in float64."""
        with self._open(f"{self._clock}.{TIMES}") as file:
            return self._spans(file, self._clock)

    @property
    def crops(self) -> int:
        """How many crops there are.

        Raises:
            DataError: two streams have several, but not the same number.
        """
        with self._open("its streams") as file:
            counts = {stream: self._crops(file, stream) for stream in self._present}
        several = {stream: count for stream, count in counts.items() if count > 1}
        if len(set(several.values())) > 1:
            listed = ", ".join(f"{stream} has {count}" for stream, count in several.items())
            raise DataError(f"{self.name}: streams differ in crops: {listed}")
        return max(counts.values())

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Read one stream's clips, several thousand at a time.

        Raises:
            DataError: the file is missing or damaged, not as the catalogue says, or not finite.
        """
        if stream in self.absent:
            return iter([np.zeros((self.length, self.widths[stream]), np.float32)])
        with self._open(self.streams[stream]) as file:
            chosen = self._chosen(file, stream, self._spans(file, self._clock))
            self._expect_crop(file, stream, crop)
        return self._opened(stream, crop, chosen)

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Read all streams, averaged over ``count`` equal segments if there are more clips.

        Raises:
            DataError: as :meth:`pieces`.
        """
        with self._open("its streams") as file:
            spans = self._spans(file, self._clock)
            parts = {}
            for stream in self._present:
                self._expect_crop(file, stream, crop)
                parts[stream] = self._read(file, stream, crop, self._chosen(file, stream, spans))
            means = segment_means(parts, spans.astype(np.float32), count)
        return with_absent(means, self.widths)

    def intact(self) -> None:
        """Check that the file is the one that was stored.

        Raises:
            DataError: it is missing, or its SHA-256 differs.
        """
        path = self._file
        with reading(f"{self.name}: {path}"):
            if sha256(path) != self.video.sha256:
                raise DataError(f"{self.name}: {path} is not what was stored: its SHA-256 differs")

    @property
    def _file(self) -> Path:
        return stream_file(self.root, self.video)

    @property
    def _present(self) -> list[str]:
        return [stream for stream in self.streams if stream not in self.absent]

    @property
    def _clock(self) -> str:
        """The extractor whose clips count."""
        present = self._present
        return _extractor(self.streams[self.clips_of if self.clips_of in present else present[0]])

    @contextmanager
    def _open(self, what: str) -> Iterator[Any]:
        path = self._file
        with reading(f"{self.name}, {what}: {path}"):
            check_user_file(path)
            with safe_open(path, framework="np") as file:
                yield file

    def _opened(self, stream: str, crop: int, chosen: NDArray[np.int64]) -> Iterator[Array]:
        with self._open(self.streams[stream]) as file:
            yield from self._read(file, stream, crop, chosen)

    def _read(
        self, file: Any, stream: str, crop: int, chosen: NDArray[np.int64]
    ) -> Iterator[Array]:
        """Yield the chosen clips, which ascend, with at most a piece of the file in memory."""
        part = file.get_slice(self.streams[stream])
        crops, begin = self._crops(file, stream), 0
        while begin < len(chosen):
            first = int(chosen[begin])
            end = min(begin + PIECE, int(np.searchsorted(chosen, first + PIECE)))
            last = int(chosen[end - 1]) + 1
            clips: Array = part[first:last] if crops == 1 else part[crop : crop + 1, first:last][0]
            if not (finite := np.isfinite(clips).all(axis=1)).all():
                clip = first + int(np.argmin(finite))
                raise DataError(f"{self._where(stream)} clip {clip} holds NaN or infinity")
            yield clips[chosen[begin:end] - first]
            begin = end

    def _chosen(self, file: Any, stream: str, spans: Spans) -> NDArray[np.int64]:
        """Return which of a stream's clips are seen in the clips that count."""
        extractor = _extractor(self.streams[stream])
        if extractor == self._clock:
            return np.arange(len(spans))
        return seen_at_centres(self._spans(file, extractor), spans)

    def _spans(self, file: Any, extractor: str) -> Spans:
        spans: Spans = file.get_tensor(f"{extractor}.{TIMES}")
        expected = (self.video.made[extractor].clips, 2)
        ascending = spans.shape == expected and bool(
            np.isfinite(spans).all()
            and (spans[:, 0] < spans[:, 1]).all()
            and (np.diff(spans[:, 0]) > 0).all()
        )
        if not ascending:
            raise DataError(
                f"{self.name}: {self._file}#{extractor}.{TIMES} are not the ascending times of "
                f"{expected[0]} clips"
            )
        return spans

    def _crops(self, file: Any, stream: str) -> int:
        """Return the number of a stream's crops, after a look at its shape."""
        key, width = self.streams[stream], self.widths[stream]
        part = file.get_slice(key)
        shape, clips = tuple(part.get_shape()), self.video.made[_extractor(key)].clips
        if shape[-2:] != (clips, width) or len(shape) not in (2, 3) or 0 in shape:
            raise DataError(
                f"{self._where(stream)} has shape {shape}; expected ({clips}, {width}) or (crops, "
                f"{clips}, {width})"
            )
        if part.get_dtype() != "F32":
            raise DataError(f"{self._where(stream)} holds {part.get_dtype()}; expected F32")
        return shape[0] if len(shape) == 3 else 1

    def _expect_crop(self, file: Any, stream: str, crop: int) -> None:
        self._crops(file, stream)
        if crop and crop >= (count := self.crops):
            raise DataError(f"{self.name} has {count} crops; there is no crop {crop}")

    def _where(self, stream: str) -> str:
        return f"{self.name}, stream {stream!r}: {self._file}#{self.streams[stream]}"


def open_video(
    store: Store,
    name: str,
    streams: Mapping[str, str] | None = None,
    *,
    clips_of: str | None = None,
) -> StoredVideo:
    """Open a video of a store; the store may be closed before it is read.

    Args:
        store: the store.
        name: of the video.
        streams: the reader's names -> those of the store; None = all, by their names in the store.
        clips_of: the stream whose clips count; None = the first one.

    Raises:
        DataError: there is no such video or stream.
    """
    video = store.catalogue.video(name)
    if video is None:
        names = [each.name for each in store.catalogue.videos()]
        raise DataError(f"{store.root} has no video {name!r}.{did_you_mean(name, names)}")
    widths = stream_widths(store)
    if streams is None:
        streams = {key: key for key in widths if _extractor(key) in video.made}
    check_streams(store, streams)
    return StoredVideo(
        f"video {name!r}",
        store.root,
        video,
        dict(streams),
        {stream: widths[key] for stream, key in streams.items()},
        clips_of,
    )


def stream_widths(store: Store) -> dict[str, int]:
    """Return the width of each stream of a store, by names such as ``image.features``."""
    return {
        f"{name}.{stream}": facts["width"]
        for name, record in store.records().items()
        for stream, facts in record["streams"].items()
    }


def check_streams(store: Store, streams: Mapping[str, str]) -> None:
    """Check that a store has streams.

    Raises:
        DataError: it has not; those that it has are named.
    """
    known = stream_widths(store)
    for stream, key in streams.items():
        if key not in known:
            raise DataError(
                f"stream {stream!r}: {store.root} has no {key!r}.{did_you_mean(key, known)} "
                f"It has: {', '.join(known) or 'none'}."
            )


def origins(store: Store, streams: Mapping[str, str]) -> dict[str, Origin]:
    """Return how streams of a store were made: the reader's names, with their origins."""
    records, marks = store.records(), store.fingerprints()
    made = {}
    for stream, key in streams.items():
        extractor, _, own = key.partition(".")
        made[stream] = Origin(
            stream=own, fingerprint=marks[extractor], record=_brief(records[extractor])
        )
    return made


def lack(video: Video, key: str) -> str | None:
    """Return why a video has nothing of a stream such as ``yamnet.features``, or None.

    Raises:
        DataError: its extractor has not seen the video, which may have it.
    """
    extractor = _extractor(key)
    if extractor not in video.made:
        raise DataError(not_extracted(video, key))
    return video.made[extractor].absent


def not_extracted(video: Video, key: str) -> str:
    """Return that a stream was not extracted from a video, and why."""
    why = f": {video.reason}" if video.status == "failed" else ""
    return f"{_extractor(key)!r} was not extracted from {video.name!r}{why}"


def seen_at_centres(spans: Spans, others: Spans) -> NDArray[np.int64]:
    """Return which clip of one stream is seen at the centre of each clip of another.

    It is the last clip that has begun by then. In a gap, as damaged files have, it is the nearer
    one of those before and after it; so it is the first clip before all, and the last after all.

    Args:
        spans: (S, 2) of the clips to choose from; S >= 1, ascending.
        others: (T, 2), ascending. A clip that outlasts the start of the next one ends there.

    Returns:
        (T,) numbers of clips, ascending.

    >>> spans = np.array([[0, 1], [1, 2], [6, 7.0]])
    >>> seen_at_centres(spans, np.array([[0, 3], [3, 4], [4, 5], [8, 9.0]])).tolist()
    [1, 1, 2, 2]
    """
    ends = np.minimum(others[:, 1], np.append(others[1:, 0], np.inf))
    centres = (others[:, 0] + ends) / 2
    begun = np.maximum(np.searchsorted(spans[:, 0], centres, side="right") - 1, 0)
    after = np.minimum(begun + 1, len(spans) - 1)
    seen: NDArray[np.int64] = np.where(
        spans[after, 0] - centres < centres - spans[begun, 1], after, begun
    )
    return seen


def _extractor(key: str) -> str:
    return key.partition(".")[0]


def _brief(record: Record) -> dict[str, Any]:
    streams = {n: {**s, "classes": len(s["classes"])} for n, s in record["streams"].items()}
    return {**record, "streams": streams}
