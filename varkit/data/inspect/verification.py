"""What is wrong with a data set: every fault at once, before anything is trained on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from varkit.data.batches import leave_signals, start_readers
from varkit.data.inspect.census import Census
from varkit.data.inspect.examination import Examination, Extent, Finding, examine
from varkit.errors import DataError
from varkit.interfaces import Dataset, Item
from varkit.recipe.options import construct

SPLITS = ("train", "val", "test")

Progress = Callable[[int, int], None]
"""Is told how many videos have been read, and of how many."""


@dataclass(frozen=True)
class Survey:
    """A data set opened in spite of its faults.

    Attributes:
        dataset: what could be opened; None = nothing.
        faults: what must be put right before anybody trains on it.
        remarks: what one should know.
    """

    dataset: Dataset | None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verification:
    """What was found in a data set.

    Attributes:
        name: of the data set; empty where it cannot be opened.
        simulated: whether a program made it.
        quick: whether only headers were looked at.
        splits: split -> how many ``videos``, ``anomalous``, ``normal`` and ``unlabelled`` ones,
            ``queries``, and videos with ground truth (``truth``).
        faults: what must be put right before anybody trains on it.
        remarks: what one should know.
        fingerprint: what a run on these data records; None where a fault keeps a run from it.
        size: bytes of the numbers that were read, as float32.
        seconds: how long it took.
    """

    name: str
    simulated: bool
    quick: bool
    splits: Mapping[str, Mapping[str, int]]
    faults: tuple[Finding, ...]
    remarks: tuple[Finding, ...]
    fingerprint: str | None
    size: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"schema": 1, "in_order": not self.faults} | asdict(self)


def verify(
    cls: type[Any],
    options: Mapping[str, Any],
    *,
    quick: bool = False,
    workers: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Read a whole data set and collect everything that is wrong with it.

    Args:
        cls: the data set's class; its static method ``survey``, where it has one, opens what can
            be opened in spite of faults.
        options: complete and checked.
        quick: look at headers only.
        workers: processes that read; 0 = this one.
        progress: is called after every video.

    Returns:
        Faults and remarks. Where the data set itself refuses something, they say so in its own
        words, which are those of training.
    """
    began = time.monotonic()
    opened = survey(cls, options)
    faults = [Finding("files", text) for text in opened.faults]
    remarks = [Finding("files", text) for text in opened.remarks]
    dataset = opened.dataset
    if dataset is None:
        seconds = time.monotonic() - began
        return Verification("", False, quick, {}, (*faults,), (*remarks,), None, 0, seconds)
    splits, absent = open_splits(dataset)
    faults += [Finding("splits", text) for text in absent]
    fingerprint = None
    if not faults:
        try:
            fingerprint = dataset.fingerprint()
        except DataError as error:
            faults.append(Finding("files", error.what))
    items = [item for part in splits.values() for item in part]
    examined: list[Examination] = []
    extents: dict[str, Extent] = {}
    reader = _Reader(dataset, items, quick)
    loader: DataLoader[Any] = DataLoader(
        reader,  # type: ignore[arg-type]  # its items and length are all that is used
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),  # it takes a number from it, and shall not from torch's own
        worker_init_fn=leave_signals,
    )
    for one in start_readers(loader):
        examined.append(one)
        for stream, extent in one.extents.items():
            extents[stream] = extents[stream].add(extent) if stream in extents else extent
        one.extents.clear()  # thousands of them are no small thing
        if progress is not None:
            progress(len(examined), len(items))
    faults += [fault for one in examined for fault in one.faults]
    whole = Census(dataset, splits, examined, extents)
    return Verification(
        name=dataset.name,
        simulated=dataset.simulated,
        quick=quick,
        splits=whole.counts(),
        faults=(*faults, *whole.faults()),
        remarks=(*remarks, *whole.remarks()),
        fingerprint=fingerprint,
        size=sum(one.size for one in examined),
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True)
class _Reader:
    """The videos of a data set, examined as they are asked for by number."""

    dataset: Dataset
    items: Sequence[Item]
    quick: bool

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Examination:
        return examine(self.dataset, self.items[number], quick=self.quick)


def survey(cls: type[Any], options: Mapping[str, Any]) -> Survey:
    """Open a data set in spite of its faults, as far as its class knows how to."""
    try:
        if hasattr(cls, "survey"):
            found: Survey = cls.survey(**options)
            return found
        return Survey(construct(cls, options, {}))
    except DataError as error:
        return Survey(None, (error.what,))


def open_splits(dataset: Dataset) -> tuple[dict[str, Sequence[Item]], list[str]]:
    """Return the splits that are there, and what is said of those that must be."""
    splits: dict[str, Sequence[Item]] = {}
    absent = []
    for name in SPLITS:
        try:
            splits[name] = dataset.split(name)
        except DataError as error:
            if name != "val":
                absent.append(error.what)
    return splits, absent
