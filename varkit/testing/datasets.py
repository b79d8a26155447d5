"""What every data set promises (:class:`varkit.interfaces.Dataset`)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from varkit.data.batches import sound_of
from varkit.errors import DataError
from varkit.interfaces import Array, Dataset, Item, Sequences, VideoReader
from varkit.testing.checks import Result, expect, run

READ = 8
"""How many videos of each split are read; all of them are listed."""


@dataclass(frozen=True)
class _Case:
    dataset: Dataset
    fresh: Dataset | None

    def splits(self) -> dict[str, list[Item]]:
        splits = {name: list(self.dataset.split(name)) for name in ("train", "test")}
        with suppress(DataError):  # a validation part is optional
            splits["val"] = list(self.dataset.split("val"))
        return splits

    def some(self) -> list[Item]:
        return [item for items in self.splits().values() for item in items[:READ]]

    def opened(self) -> Iterator[tuple[str, VideoReader, int, Mapping[str, int]]]:
        """Open the first and last crop of these videos, and of their queries if they are sounds."""
        data = self.dataset
        for item in self.some():
            sounds = item.queries if data.query_kind == "clips" else ()
            readers = [(f"video {item.video!r}", data.open(item.video), data.widths)]
            readers += [(f"query {q!r}", sound_of(data, q), data.query_widths) for q in sounds]
            for where, reader, widths in readers:
                for crop in sorted({0, reader.crops - 1}):
                    yield f"{where}, crop {crop}", reader, crop, widths


def check_dataset(
    dataset: Dataset, *, fresh: Dataset | None = None, subject: str = "dataset"
) -> tuple[Result, ...]:
    """Check a data set; the first 8 videos of each split are read.

    Args:
        dataset: the component.
        fresh: another instance with the same options, whose fingerprint must be the same.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """
    return run(subject, dataset, _CHECKS, lambda: _Case(dataset, fresh))


def says_what_it_is(case: _Case) -> None:
    """It has a name, says whether it is simulated, and gives the width of every stream."""
    data = case.dataset
    expect(isinstance(data.name, str) and bool(data.name), f"name = {data.name!r}")
    expect(isinstance(data.simulated, bool), f"simulated = {data.simulated!r}")
    expect(data.query_kind in ("captions", "clips"), f"query_kind = {data.query_kind!r}")
    expect(bool(data.widths), "widths is empty")
    sounds = data.query_kind == "clips"
    expect(bool(data.query_widths) == sounds, f"query_widths = {dict(data.query_widths)!r}")
    for stream, width in (*data.widths.items(), *data.query_widths.items()):
        expect(isinstance(width, int) and width > 0, f"stream {stream!r} has width {width!r}")


def splits_are_disjoint(case: _Case) -> None:
    """There are train and test videos, and no video is listed twice."""
    splits = case.splits()
    for name, items in splits.items():
        expect(bool(items), f"split {name!r} is empty")
    seen: dict[str, str] = {}
    for name, items in splits.items():
        for item in items:
            where = f"{seen.get(item.video)} and {name}"
            expect(item.video not in seen, f"video {item.video!r} is listed in {where}")
            seen[item.video] = name


def items_are_complete(case: _Case) -> None:
    """An item names its video, its queries (in train at least one), and a label of 0, 1 or None."""
    for split, items in case.splits().items():
        for item in items:
            expect(isinstance(item, Item), f"{type(item).__name__} instead of Item")
            texts = all(isinstance(part, str) for part in (item.video, *item.queries))
            expect(texts and isinstance(item.queries, tuple), f"{item!r}")
            expect(bool(item.queries) or split != "train", f"video {item.video!r} has no query")
            expect(item.label in (0, 1, None), f"video {item.video!r} has label {item.label!r}")


def unknown_split_is_refused(case: _Case) -> None:
    """An unknown split raises a DataError."""
    try:
        items = case.dataset.split("no_such_split")
    except DataError:
        return
    expect(False, f"{len(items)} items of split 'no_such_split'")


def queries_can_be_read(case: _Case) -> None:
    """A query is a caption that is not empty, or a sound, as query_kind says."""
    for item in case.some():
        for query in item.queries:
            content = case.dataset.query(query)
            if case.dataset.query_kind == "captions":
                right = isinstance(content, str) and bool(content.strip())
                expect(right, f"query {query!r} is {content!r}")
            else:
                expect(not isinstance(content, str), f"query {query!r} is the caption {content!r}")


def clips_can_be_read(case: _Case) -> None:
    """Clips of videos and sounds are finite float32 of the promised widths, in every crop."""
    for where, reader, crop, widths in case.opened():
        crops = reader.crops
        expect(isinstance(crops, int) and crops >= 1, f"{where}: crops = {crops!r}")
        for stream, width in widths.items():
            clips = _whole(reader, stream, crop)
            _expect_array(clips, (len(clips), width), f"{where}, stream {stream!r}")


def lengths_agree(case: _Case) -> None:
    """Length, times and pieces of all streams agree on T; further crops may differ by one."""
    for where, reader, crop, widths in case.opened():
        length, times = reader.length, reader.times
        expect(isinstance(length, int) and length > 0, f"{where}: length = {length!r}")
        _expect_array(times, (length, 2), f"{where}: times")
        ascending = (times[:, 0] < times[:, 1]).all() and (np.diff(times[:, 0]) >= 0).all()
        expect(bool(ascending), f"{where}: times are not ascending intervals")
        counts = {stream: sum(map(len, reader.pieces(stream, crop))) for stream in widths}
        few, many = min(counts.values()), max(counts.values())
        right = few == many and abs(few - length) <= (crop > 0)
        expect(right, f"{where}: length is {length}, but the pieces hold {counts} clips")


def means_are_those_of_the_pieces(case: _Case) -> None:
    """Clips are averaged over equal segments, and unchanged if there are no more clips."""
    for where, reader, crop, widths in case.opened():
        parts = {stream: _whole(reader, stream, crop) for stream in widths}
        total = len(next(iter(parts.values())))
        for count in (1, (total + 1) // 2, total + 1):
            means = reader.means(count, crop)
            place = f"{where}: means of {total} clips over {count} segments"
            right = isinstance(means, Sequences) and means.streams.keys() == widths.keys()
            expect(right, f"{place}: {means!r}")
            edges = [i * total // min(count, total) for i in range(min(count, total) + 1)]
            segments = list(pairwise(edges))
            for stream, clips in parts.items():
                slow = [clips[a:b].mean(0, np.float64) for a, b in segments]
                _expect_close(means.streams[stream], slow, f"{place}, stream {stream!r}")
            if len(times := reader.times) == total:
                ends = [(times[a, 0], times[b - 1, 1]) for a, b in segments]
                _expect_close(means.times, ends, f"{place}: times")


def truth_fits_the_clips(case: _Case) -> None:
    """Where the truth is known, it is one bool for each clip."""
    for item in case.some():
        truth = case.dataset.truth(item.video)
        if truth is None:
            continue
        count = case.dataset.open(item.video).length
        right = truth.dtype == np.bool_ and truth.shape == (count,)
        where = f"video {item.video!r} of {count} clips"
        expect(right, f"{where}: truth is {truth.dtype} of shape {truth.shape}")


def reading_twice_is_the_same(case: _Case) -> None:
    """The splits, videos and sounds are the same each time they are read."""
    expect(case.splits() == case.splits(), "the splits differ")
    for (where, reader, crop, widths), (_, other, *_) in zip(
        case.opened(), case.opened(), strict=True
    ):
        for stream in widths:
            first, *more = (_whole(source, stream, crop) for source in (reader, reader, other))
            same = all(np.array_equal(first, again) for again in more)
            expect(same, f"{where}, stream {stream!r} differs")


def fingerprint_is_stable(case: _Case) -> None:
    """The fingerprint is a text that changes only with the data."""
    first, second = case.dataset.fingerprint(), case.dataset.fingerprint()
    expect(isinstance(first, str) and bool(first), f"{first!r}")
    expect(first == second, f"{first} at first, then {second}")
    if case.fresh is not None:
        other = case.fresh.fingerprint()
        expect(first == other, f"{first}, and {other} from another instance")


def questions_are_stable(case: _Case) -> None:
    """The hash of the questions is a text that is the same each time."""
    first, second = case.dataset.questions(), case.dataset.questions()
    expect(isinstance(first, str) and bool(first), f"{first!r}")
    expect(first == second, f"{first} at first, then {second}")
    if case.fresh is not None:
        other = case.fresh.questions()
        expect(first == other, f"{first}, and {other} from another instance")


def _whole(reader: VideoReader, stream: str, crop: int) -> Array:
    return np.concatenate([*reader.pieces(stream, crop)])


def _expect_array(array: Array, shape: tuple[int, ...], where: str) -> None:
    right = array.dtype == np.float32 and array.shape == shape
    expect(right, f"{where} is {array.dtype} of shape {array.shape} instead of float32 {shape}")
    expect(bool(np.isfinite(array).all()), f"{where} is not finite")


def _expect_close(array: Array, slow: Sequence[Any], where: str) -> None:
    _expect_array(array, np.shape(slow), where)
    atol = 1e-3 * float(np.abs(slow).max())  # a long sum in float32
    close = np.allclose(array, slow, rtol=1e-3, atol=atol)
    expect(close, f"{where} differs from a slow loop over the pieces")


_CHECKS = (
    says_what_it_is,
    splits_are_disjoint,
    items_are_complete,
    unknown_split_is_refused,
    queries_can_be_read,
    clips_can_be_read,
    lengths_agree,
    means_are_those_of_the_pieces,
    truth_fits_the_clips,
    reading_twice_is_the_same,
    fingerprint_is_stable,
    questions_are_stable,
)
