"""What every data set promises (:class:`varkit.interfaces.Dataset`)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from varkit.data.batches import questions
from varkit.errors import DataError
from varkit.interfaces import Dataset, Item, Sequences
from varkit.testing.checks import Result, expect, run

LOOKED_AT = 8
"""Videos of each split that are read; all of them are listed."""


@dataclass(frozen=True)
class _Case:
    dataset: Dataset
    fresh: Dataset | None

    def splits(self) -> dict[str, list[Item]]:
        found = {name: list(self.dataset.split(name)) for name in ("train", "test")}
        with suppress(DataError):  # a validation part is optional
            found["val"] = list(self.dataset.split("val"))
        return found

    def some(self) -> list[Item]:
        return [item for items in self.splits().values() for item in items[:LOOKED_AT]]


def check_dataset(
    dataset: Dataset, *, fresh: Dataset | None = None, subject: str = "dataset"
) -> tuple[Result, ...]:
    """Check a data set; the first 8 videos of each split are read.

    Args:
        dataset: the component.
        fresh: another instance of the same options, whose fingerprint must be the same.
        subject: what messages call it.

    Raises:
        ConformanceError: it breaks a promise.
    """
    return run(subject, _CHECKS, _Case(dataset, fresh))


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
    """An item names its video, at least one query, and a label of 0, 1 or None."""
    for items in case.splits().values():
        for item in items:
            expect(isinstance(item, Item), f"{type(item).__name__}, no Item")
            texts = all(isinstance(part, str) for part in (item.video, *item.queries))
            expect(texts and isinstance(item.queries, tuple), f"{item!r}")
            expect(len(item.queries) > 0, f"video {item.video!r} has no query")
            expect(item.label in (0, 1, None), f"video {item.video!r} has label {item.label!r}")


def unknown_split_is_refused(case: _Case) -> None:
    """A split that is not there raises a DataError."""
    try:
        items = case.dataset.split("no_such_split")
    except DataError:
        return
    expect(False, f"{len(items)} items of split 'no_such_split'")


def videos_can_be_read(case: _Case) -> None:
    """A video's clips are finite float32 of the promised widths, with ascending times."""
    for item in case.some():
        crops = case.dataset.crops(item.video)
        expect(isinstance(crops, int) and crops >= 1, f"video {item.video!r} has {crops!r} crops")
        for crop in {0, crops - 1}:
            clips = case.dataset.video(item.video, crop)
            _expect_sequences(clips, case.dataset.widths, f"video {item.video!r}, crop {crop}")


def queries_can_be_read(case: _Case) -> None:
    """A query is a caption that is not empty, or clips of the promised widths."""
    for item in case.some():
        for query in item.queries:
            found = case.dataset.query(query)
            if case.dataset.query_kind == "captions":
                right = isinstance(found, str) and bool(found.strip())
                expect(right, f"query {query!r} is {found!r}")
            else:
                _expect_sequences(found, case.dataset.query_widths, f"query {query!r}")


def truth_fits_the_clips(case: _Case) -> None:
    """Where the truth is known, it is one bool for each clip."""
    for item in case.some():
        truth = case.dataset.truth(item.video)
        if truth is None:
            continue
        count = len(case.dataset.video(item.video))
        right = truth.dtype == np.bool_ and truth.shape == (count,)
        where = f"video {item.video!r} of {count} clips"
        expect(right, f"{where}: truth is {truth.dtype} of shape {truth.shape}")


def reading_twice_is_the_same(case: _Case) -> None:
    """A video, a query and the splits are the same each time they are read."""
    expect(case.splits() == case.splits(), "the splits differ")
    for item in case.some()[:2]:
        first, second = case.dataset.video(item.video), case.dataset.video(item.video)
        for name, part in first.streams.items():
            same = np.array_equal(part, second.streams[name])
            expect(same, f"video {item.video!r}, stream {name!r} differs")


def fingerprint_is_stable(case: _Case) -> None:
    """The fingerprint is a text that only a change of the data changes."""
    first, second = case.dataset.fingerprint(), case.dataset.fingerprint()
    expect(isinstance(first, str) and bool(first), f"{first!r}")
    expect(first == second, f"{first} at first, then {second}")
    if case.fresh is not None:
        other = case.fresh.fingerprint()
        expect(first == other, f"{first}, and {other} from another instance")


def questions_are_stable(case: _Case) -> None:
    """What is asked, where the data set tells it, is a text that is the same each time."""
    first, second = questions(case.dataset), questions(case.dataset)
    expect(bool(first), "empty")
    expect(first == second, f"{first} at first, then {second}")
    if case.fresh is not None:
        other = questions(case.fresh)
        expect(first == other, f"{first}, and {other} from another instance")


def _expect_sequences(found: object, widths: Mapping[str, int], where: str) -> None:
    expect(isinstance(found, Sequences), f"{where}: {type(found).__name__}, no Sequences")
    assert isinstance(found, Sequences)  # as the line above made sure
    count = len(found)
    expect(count > 0, f"{where}: no clips")
    streams = sorted(found.streams)
    expect(streams == sorted(widths), f"{where}: streams {streams} instead of {sorted(widths)}")
    parts = {name: (part, widths[name]) for name, part in found.streams.items()}
    for name, (part, width) in (*parts.items(), ("times", (found.times, 2))):
        right = part.dtype == np.float32 and part.shape == (count, width)
        shape = f"{part.dtype} of shape {part.shape} instead of float32 ({count}, {width})"
        expect(right, f"{where}: {name} is {shape}")
        expect(bool(np.isfinite(part).all()), f"{where}: {name} is not finite")
    starts, ends = found.times[:, 0], found.times[:, 1]
    right = bool((starts < ends).all()) and bool((np.diff(starts) >= 0).all())
    expect(right, f"{where}: times are not ascending intervals")


_CHECKS = (
    says_what_it_is,
    splits_are_disjoint,
    items_are_complete,
    unknown_split_is_refused,
    videos_can_be_read,
    queries_can_be_read,
    truth_fits_the_clips,
    reading_twice_is_the_same,
    fingerprint_is_stable,
    questions_are_stable,
)
