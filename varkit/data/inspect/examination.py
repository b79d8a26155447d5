"""One video of a data set and its queries, read from end to end: what is wrong with them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError, VarkitError
from varkit.interfaces import Array, Dataset, Item, Sequences

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
        dataset: its ``pieces``, where it has them, spare it a long video in memory.
        item: the video.
        quick: look at headers only, as far as the data set can.

    Returns:
        All that is wrong. What a data set itself refuses is there in its own words, so in those
        of training.
    """
    found = Examination(item)
    found.crops = found.attempt("features", partial(dataset.crops, item.video))
    hashes = {}
    for crop in range(found.crops or 1):
        if quick and not hasattr(dataset, "pieces"):
            break
        streams = found.attempt("features", partial(open_streams, dataset, item.video, crop))
        for stream, opening in (streams or {}).items():
            pieces = found.attempt("features", opening)
            if quick or pieces is None:
                continue
            where = f"video {item.video!r}, stream {stream!r}"
            width = dataset.widths[stream]
            read = found.attempt("features", partial(_read, pieces, width, where))
            if read is None:
                continue
            extent, digest = read
            found.size += 4 * extent.clips * width
            if extent.clips > FROZEN and extent.same.all():
                found.fault("features", f"{where}: {_frozen(extent)}")
            if crop == 0:
                found.extents[stream], hashes[stream] = extent, digest
    if len(hashes) == len(dataset.widths):
        found.content = b"".join(hashes[stream] for stream in sorted(hashes))
    _lengths(found, dataset)
    _queries(found, dataset, quick=quick)
    return found


def open_streams(
    dataset: Dataset, video: str, crop: int = 0
) -> dict[str, Callable[[], Iterable[Array]]]:
    """Return, for each stream, what opens it: its clips in pieces of (t, D), one after another.

    Raises:
        DataError: a data set without ``pieces``, which is read whole here, refuses the video.
    """
    if hasattr(dataset, "pieces"):
        return {name: partial(dataset.pieces, video, name, crop) for name in dataset.widths}
    return {
        name: partial(_whole, clips) for name, clips in dataset.video(video, crop).streams.items()
    }


def _whole(clips: Array) -> Iterable[Array]:
    return (clips,)


def _read(pieces: Iterable[Array], width: int, where: str) -> tuple[Extent, bytes]:
    extent: Extent | None = None
    digest = hashlib.blake2b(digest_size=16)
    for clips in pieces:
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
    length = getattr(dataset, "length", None)
    if length is not None:
        found.clips = found.attempt("streams", partial(length, video))
    elif found.extents:
        counts = {stream: extent.clips for stream, extent in found.extents.items()}
        if len(set(counts.values())) == 1:
            found.clips = next(iter(counts.values()))
        else:
            listed = ", ".join(f"{stream} has {count}" for stream, count in counts.items())
            found.fault("streams", f"video {video!r}: streams differ in length: {listed}")
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
    sounds = dataset.query_kind == "clips"
    for query in found.item.queries:
        if quick and sounds:
            if hasattr(dataset, "query_length"):
                found.attempt("queries", partial(dataset.query_length, query))
            continue
        read = found.attempt("queries", partial(dataset.query, query))
        if isinstance(read, Sequences) and sounds:
            _sound(found, query, read, dataset.query_widths)
        elif isinstance(read, str) and not sounds:
            found.queries[query] = read
            if not read.strip():
                found.fault("queries", f"query {query!r} is an empty caption")
        elif read is not None:
            has = "a caption, not a sound" if sounds else "a sound, not a caption"
            found.fault("queries", f"{dataset.name}: query {query!r} is {has}")


def _sound(found: Examination, query: str, sound: Sequences, widths: Mapping[str, int]) -> None:
    hashes = []
    for stream, clips in sound.streams.items():
        where = f"sound {query!r}, stream {stream!r}"
        read = found.attempt("queries", partial(_read, [clips], widths[stream], where))
        if read is None:
            return
        extent, digest = read
        hashes.append(digest)
        found.size += clips.nbytes
        if extent.clips > FROZEN and extent.same.all():
            found.silent.append(query)
    found.queries[query] = b"".join(hashes)
