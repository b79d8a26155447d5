"""One video of a data set and its queries, read from end to end: what is wrong with them."""

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
"""A stream that stays the same over more clips than this shows nothing."""

T = TypeVar("T")


@dataclass(frozen=True)
class Finding:
    """One fault, or one remark.

    Attributes:
        group: what it is about: ``files``, ``features``, ``streams``, ``ground truth``,
            ``queries``, ``splits`` or ``leaks``.
        text: what was found.
        videos: the videos concerned; those that belong together are one tuple.
    """

    group: str
    text: str
    videos: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True)
class Extent:
    """What one stream holds.

    Attributes:
        low: (D,) the least number in each dimension.
        high: (D,) the greatest.
        clips: how many.
    """

    low: Array
    high: Array
    clips: int

    def add(self, other: Extent) -> Extent:
        """Return the extent of both."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Extent(low, high, self.clips + other.clips)

    @property
    def same(self) -> NDArray[np.bool_]:
        """(D,) True where all clips hold the same number."""
        same: NDArray[np.bool_] = self.low == self.high
        return same

    @property
    def frozen(self) -> bool:
        """Whether more than :data:`FROZEN` clips are all the same."""
        return self.clips > FROZEN and bool(self.same.all())


Streams = dict[str, tuple[Extent, bytes]]
"""Stream -> what it holds, and a hash of it."""


@dataclass
class Examination:
    """What was found in one video and its queries.

    Attributes:
        item: the video.
        clips: T; None where it could not be told.
        crops: how many; None where it could not be told.
        truth: whether it has ground truth.
        faults: no text twice.
        extents: stream -> the extent of crop 0, where it could be read whole.
        content: hash of all streams of crop 0; None where they could not be read.
        queries: query -> the caption, or the hash of the sound.
        silent: the sounds that stay the same from beginning to end.
        size: bytes of the numbers read, as float32.
    """

    item: Item
    clips: int | None = None
    crops: int | None = None
    truth: bool = False
    faults: list[Finding] = field(default_factory=list)
    extents: dict[str, Extent] = field(default_factory=dict)
    content: bytes | None = None
    queries: dict[str, str | bytes] = field(default_factory=dict)
    silent: list[str] = field(default_factory=list)
    size: int = 0

    def fault(self, group: str, text: str) -> None:
        """Add a fault; several looks may meet the same."""
        if text not in [known.text for known in self.faults]:
            self.faults.append(Finding(group, text, ((self.item.video,),)))

    def attempt(self, group: str, look: Callable[[], T]) -> T | None:
        """Return what a look finds, or None and take down why it cannot."""
        try:
            return look()
        except VarkitError as error:
            self.fault(group, error.what)
        except Exception as error:  # a plugin that wraps nothing; the rest is still to be read
            self.fault(group, f"video {self.item.video!r}: {type(error).__name__}: {error}")
        return None


def examine(dataset: Dataset, item: Item, *, quick: bool) -> Examination:
    """Read every crop of every stream of a video, and every query of it, in bounded memory.

    Args:
        dataset: whose video it is.
        item: the video.
        quick: look at headers only.

    Returns:
        All that is wrong. What a data set itself refuses is there in its own words, so in those
        of training.
    """
    found = Examination(item)
    video = f"video {item.video!r}"
    reader = found.attempt("features", partial(dataset.open, item.video))
    if reader is not None:
        found.crops = found.attempt("features", lambda: reader.crops)
        for crop in range(found.crops or 1):
            read = _streams(found, "features", video, reader, dataset.widths, crop, quick=quick)
            for stream, (extent, _) in read.items():
                if extent.frozen:
                    found.fault("features", f"{video}, stream {stream!r}: {_frozen(extent)}")
            if crop == 0:
                found.extents = {stream: extent for stream, (extent, _) in read.items()}
                found.content = _content(read, dataset.widths)
        found.clips = found.attempt("streams", lambda: reader.length)
    _lengths(found, dataset)
    _queries(found, dataset, quick=quick)
    return found


def _streams(
    found: Examination,
    group: str,
    name: str,
    reader: VideoReader,
    widths: Mapping[str, int],
    crop: int = 0,
    *,
    quick: bool,
) -> Streams:
    """Read a crop of every stream, or only headers; return what could be read."""
    streams = {}
    for stream, width in widths.items():
        pieces, where = partial(reader.pieces, stream, crop), f"{name}, stream {stream!r}"
        if quick:
            found.attempt(group, pieces)
        elif read := found.attempt(group, partial(_read, pieces, width, where)):
            streams[stream] = read
            found.size += 4 * read[0].clips * width
    return streams


def _content(read: Streams, widths: Mapping[str, int]) -> bytes | None:
    """Return a hash of all streams; None where one was not read."""
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
        return f"all {extent.clips} clips hold nothing but zeros"
    return f"all {extent.clips} clips are the same"


def _lengths(found: Examination, dataset: Dataset) -> None:
    """Compare streams, ground truth and label with one another."""
    video, label = found.item.video, found.item.label
    for stream, extent in found.extents.items():
        if found.clips not in (extent.clips, None):
            text = f"stream {stream!r}: has {extent.clips} clips; expected {found.clips}"
            found.fault("streams", f"video {video!r}, {text}")
    truth = found.attempt("ground truth", partial(dataset.truth, video))
    if truth is None:
        return
    found.truth = True
    if found.clips is not None and len(truth) != found.clips:
        found.fault(
            "ground truth",
            f"{dataset.name}: video {video!r} has {found.clips} clips but ground truth for "
            f"{len(truth)}",
        )
    if label == 1 and not truth.any():
        text = f"video {video!r} is labelled anomalous, but no clip of its ground truth is"
        found.fault("ground truth", text)
    if label == 0 and truth.any():
        text = f"video {video!r} is labelled normal, but its ground truth has anomalous clips"
        found.fault("ground truth", text)


def _queries(found: Examination, dataset: Dataset, *, quick: bool) -> None:
    widths = dataset.query_widths
    for query in found.item.queries:
        if dataset.query_kind == "captions":
            caption = found.attempt("queries", partial(caption_of, dataset, query))
            if caption is not None:
                found.queries[query] = caption
                if not caption.strip():
                    found.fault("queries", f"query {query!r} is an empty caption")
            continue
        sound = found.attempt("queries", partial(sound_of, dataset, query))
        if sound is not None:
            read = _streams(found, "queries", f"sound {query!r}", sound, widths, quick=quick)
            content = _content(read, widths)
            if content is not None:
                found.queries[query] = content
            if any(extent.frozen for extent, _ in read.values()):
                found.silent.append(query)
