"""Checks of one video of a data set and its queries, which are read completely."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from varkit.data.batches import caption_of, sound_of
from varkit.errors import DataError, VarkitError
from varkit.interfaces import Array, Dataset, Item, VideoReader

FROZEN = 8
"""A stream that is constant over more clips than this is a fault."""

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One fault, or one remark.

    Attributes:
        group: its subject: ``files``, ``features``, ``streams``, ``ground truth``, ``queries``,
            ``splits`` or ``leaks``.
        text: the message.
        videos: the videos concerned; videos that belong together are one tuple.
    """

    group: str
    text: str
    videos: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Extent:
    """The range of one stream's values.

    Attributes:
        low: (D,) the smallest value in each dimension.
        high: (D,) the largest.
        clips: the number of clips.
    """

    low: Array
    high: Array
    clips: int

    def add(self, other: Extent) -> Extent:
        """Return the extent of both together."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Extent(low, high, self.clips + other.clips)

    @property
    def same(self) -> NDArray[np.bool_]:
        """(D,) True where all clips have the same value."""
        same: NDArray[np.bool_] = self.low == self.high
        return same

    @property
    def frozen(self) -> bool:
        """Whether there are more than :data:`FROZEN` clips and all of them are the same."""
        return self.clips > FROZEN and bool(self.same.all())


Streams = dict[str, tuple[Extent, bytes]]
"""Stream -> its extent, and a hash of its values."""


@dataclass
class VideoCheck:
    """The results for one video and its queries.

    Attributes:
        item: the video.
        clips: T; None if it could not be read.
        seconds: the end of the last clip; None likewise.
        crops: the number of crops; None if it could not be read.
        truth: whether it has ground truth.
        absent: the streams that it lacks.
        faults: each text once.
        extents: stream -> the extent of crop 0, if all of it could be read.
        content: hash of all streams of crop 0; None if they could not be read.
        queries: query -> the caption, or the hash of the sound.
        still: the streams that were extracted, and are constant from beginning to end.
        silent: the sounds that are constant from beginning to end.
        size: bytes of the numbers read, as float32.
    """

    item: Item
    clips: int | None = None
    seconds: float | None = None
    crops: int | None = None
    truth: bool = False
    absent: frozenset[str] = frozenset()
    faults: list[Finding] = field(default_factory=list)
    extents: dict[str, Extent] = field(default_factory=dict)
    content: bytes | None = None
    queries: dict[str, str | bytes] = field(default_factory=dict)
    still: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    size: int = 0

    def fault(self, group: str, text: str) -> None:
        """Add a fault, unless it was added already."""
        if text not in [known.text for known in self.faults]:
            self.faults.append(Finding(group, text, ((self.item.video,),)))

    def attempt(self, group: str, read: Callable[[], T]) -> T | None:
        """Return what ``read`` returns; if it raises, add a fault and return None."""
        try:
            return read()
        except VarkitError as error:
            self.fault(group, error.line)
        except Exception as error:  # a plugin may raise anything; the rest must still be checked
            self.fault(group, f"video {self.item.video!r}: {type(error).__name__}: {error}")
        return None


def check_video(dataset: Dataset, item: Item, *, quick: bool) -> VideoCheck:
    """Read every crop of every stream of a video, and all its queries, in bounded memory.

    Args:
        dataset: the video's data set.
        item: the video.
        quick: read headers only.

    Returns:
        All faults. An error that the data set raises keeps its message, which is the one that
        training would show.
    """
    check = VideoCheck(item)
    video = f"video {item.video!r}"
    reader = check.attempt("features", partial(dataset.open, item.video))
    if reader is not None:
        if not quick and hasattr(reader, "intact"):
            check.attempt("files", reader.intact)
        check.crops = check.attempt("features", lambda: reader.crops)
        check.absent = check.attempt("features", lambda: reader.absent) or frozenset()
        for crop in range(check.crops or 1):
            read = _streams(check, "features", video, reader, dataset.widths, crop, quick=quick)
            extents = {s: extent for s, (extent, _) in read.items() if s not in check.absent}
            for stream, extent in extents.items():
                if not extent.frozen:
                    continue
                if stream in getattr(dataset, "made_by", {}):  # of a still video, or a pause
                    check.still.append(stream)
                else:
                    check.fault("features", f"{video}, stream {stream!r}: {_frozen(extent)}")
            if crop == 0:
                check.extents = extents
                check.content = _content(read, dataset.widths)
        check.clips = check.attempt("streams", lambda: reader.length)
        check.seconds = check.attempt("streams", lambda: float(reader.times[-1, 1]))
    _lengths(check, dataset)
    _queries(check, dataset, quick=quick)
    return check


def _streams(
    check: VideoCheck,
    group: str,
    name: str,
    reader: VideoReader,
    widths: Mapping[str, int],
    crop: int = 0,
    *,
    quick: bool,
) -> Streams:
    """Read one crop of every stream, or only headers; return the streams that could be read."""
    streams = {}
    for stream, width in widths.items():
        pieces, where = partial(reader.pieces, stream, crop), f"{name}, stream {stream!r}"
        if quick:
            check.attempt(group, pieces)
        elif read := check.attempt(group, partial(_read, pieces, width, where)):
            streams[stream] = read
            check.size += 4 * read[0].clips * width
    return streams


def _content(read: Streams, widths: Mapping[str, int]) -> bytes | None:
    """Return a hash of all streams, or None if one could not be read."""
    return b"".join(read[name][1] for name in sorted(read)) if len(read) == len(widths) else None


def _read(pieces: Callable[[], Iterable[Array]], width: int, where: str) -> tuple[Extent, bytes]:
    extent: Extent | None = None
    digest = hashlib.blake2b(digest_size=16)
    for clips in pieces():
        if clips.ndim != 2 or clips.shape[1] != width or len(clips) == 0:
            raise DataError(f"{where}: has shape {clips.shape}; expected (T, {width})")
        piece = Extent(clips.min(axis=0), clips.max(axis=0), len(clips))
        if not (np.isfinite(piece.low).all() and np.isfinite(piece.high).all()):
            first = int(np.argmin(np.isfinite(clips).all(axis=1)))
            first += extent.clips if extent else 0
            raise DataError(f"{where}: clip {first} holds NaN or infinity")
        extent = extent.add(piece) if extent else piece
        digest.update(np.ascontiguousarray(clips).data)
    if extent is None:
        raise DataError(f"{where}: has no clips; expected at least one")
    return extent, digest.digest()


def _frozen(extent: Extent) -> str:
    if not extent.low.any() and not extent.high.any():
        return f"all {extent.clips} clips are zero"
    return f"all {extent.clips} clips are the same"


def _lengths(check: VideoCheck, dataset: Dataset) -> None:
    """Check that streams, ground truth and label agree."""
    video, label = check.item.video, check.item.label
    for stream, extent in check.extents.items():
        if check.clips not in (extent.clips, None):
            text = f"stream {stream!r}: has {extent.clips} clips; expected {check.clips}"
            check.fault("streams", f"video {video!r}, {text}")
    truth = check.attempt("ground truth", partial(dataset.truth, video))
    if truth is None:
        return
    check.truth = True
    if check.clips is not None and len(truth) != check.clips:
        check.fault(
            "ground truth",
            f"{dataset.name}: video {video!r} has {check.clips} clips but ground truth for "
            f"{len(truth)}",
        )
    if label == 1 and not truth.any():
        text = f"video {video!r} is labelled anomalous, but its ground truth has no anomalous clip"
        check.fault("ground truth", text)
    if label == 0 and truth.any():
        text = f"video {video!r} is labelled normal, but its ground truth has anomalous clips"
        check.fault("ground truth", text)


def _queries(check: VideoCheck, dataset: Dataset, *, quick: bool) -> None:
    widths = dataset.query_widths
    for query in check.item.queries:
        if dataset.query_kind == "captions":
            caption = check.attempt("queries", partial(caption_of, dataset, query))
            if caption is not None:
                check.queries[query] = caption
                if not caption.strip():
                    check.fault("queries", f"query {query!r} is an empty caption")
            continue
        sound = check.attempt("queries", partial(sound_of, dataset, query))
        if sound is not None:
            read = _streams(check, "queries", f"sound {query!r}", sound, widths, quick=quick)
            content = _content(read, widths)
            if content is not None:
                check.queries[query] = content
            if any(extent.frozen for extent, _ in read.values()):
                check.silent.append(query)
