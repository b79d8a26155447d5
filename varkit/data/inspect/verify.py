"""Verifies a data set: lists all of its faults at once, before anything is trained on it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader

from varkit.data.batches import leave_signals, read_ahead
from varkit.data.inspect.verify_splits import SplitCheck
from varkit.data.inspect.verify_video import Extent, Finding, VideoCheck, check_video
from varkit.errors import DataError
from varkit.interfaces import Dataset, Item
from varkit.recipe.options import construct

SPLITS = ("train", "val", "test")

Progress = Callable[[int, int], None]
"""Called with the number of videos read so far, and the number of all videos."""


@dataclass(frozen=True)
class Survey:
    """A data set opened in spite of its faults.

    Attributes:
        dataset: the part that could be opened; None = nothing.
        faults: what must be corrected before training.
        remarks: what is not a fault but worth knowing.
        captions: if no video can be opened, the captions and labels that are listed: a data set
            without streams.
    """

    dataset: Dataset | None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    captions: Dataset | None = None


@dataclass(frozen=True)
class Verification:
    """The result of verifying a data set.

    Attributes:
        name: of the data set; empty if it cannot be opened.
        simulated: whether a program made it.
        quick: whether only headers were read.
        splits: split -> number of ``videos``, of ``anomalous``, ``normal`` and ``unlabelled``
            videos, of ``queries``, and of videos with ground truth (``truth``).
        faults: what must be corrected before training.
        remarks: what is not a fault but worth knowing.
        fingerprint: what a run on these data records; None if faults prevent a run.
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
    opened: Survey,
    *,
    quick: bool = False,
    remarks: bool = True,
    workers: int = 0,
    progress: Progress | None = None,
) -> Verification:
    """Read a whole data set and collect all of its faults.

    Args:
        opened: what could be opened of it, and the faults of the rest.
        quick: read headers only.
        remarks: also look for what is not a fault but worth knowing.
        workers: processes that read; 0 = this one.
        progress: called after every video.

    Returns:
        Faults and remarks. An error that the data set raises keeps its message, which is the one
        that training would show.
    """
    started = time.monotonic()
    faults = [Finding("files", text) for text in opened.faults]
    told = [Finding("files", text) for text in opened.remarks]
    dataset = opened.dataset
    if dataset is None:
        seconds = time.monotonic() - started
        return Verification("", False, quick, {}, (*faults,), (*told,), None, 0, seconds)
    splits, absent = open_splits(dataset)
    faults += [Finding("splits", text) for text in absent]
    fingerprint = None
    if not faults:
        try:
            fingerprint = dataset.fingerprint()
        except DataError as error:
            faults.append(Finding("files", error.line))
    items = [item for part in splits.values() for item in part]
    checked: list[VideoCheck] = []
    extents: dict[str, Extent] = {}
    reader = _Reader(dataset, items, quick)
    loader: DataLoader[Any] = DataLoader(
        reader,  # type: ignore[arg-type]  # DataLoader uses only its items and length
        batch_size=None,
        num_workers=workers,
        generator=torch.Generator(),  # DataLoader would otherwise advance torch's global state
        worker_init_fn=leave_signals,
    )
    for check in read_ahead(loader):
        checked.append(check)
        for stream, extent in check.extents.items():
            extents[stream] = extents[stream].add(extent) if stream in extents else extent
        check.extents.clear()  # thousands of them would take too much memory
        if progress is not None:
            progress(len(checked), len(items))
    faults += [fault for check in checked for fault in check.faults]
    whole = SplitCheck(dataset, splits, checked, extents)
    return Verification(
        name=dataset.name,
        simulated=dataset.simulated,
        quick=quick,
        splits=whole.counts(),
        faults=(*faults, *whole.faults()),
        remarks=(*told, *(whole.remarks() if remarks else ())),
        fingerprint=fingerprint,
        size=sum(check.size for check in checked),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True)
class _Reader:
    """Checks the video of each number; DataLoader calls it in its processes."""

    dataset: Dataset
    items: Sequence[Item]
    quick: bool

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> VideoCheck:
        return check_video(self.dataset, self.items[number], quick=self.quick)


def survey(cls: type[Any], options: Mapping[str, Any]) -> Survey:
    """Open a data set in spite of its faults, if its class has ``survey``.

    Args:
        cls: the data set's class.
        options: complete and checked.
    """
    try:
        if hasattr(cls, "survey"):
            opened: Survey = cls.survey(**options)
            return opened
        return Survey(construct(cls, options, {}))
    except DataError as error:
        return Survey(None, (error.line,))


def open_splits(dataset: Dataset) -> tuple[dict[str, Sequence[Item]], list[str]]:
    """Return the splits of a data set, and the errors of required splits that are missing."""
    splits: dict[str, Sequence[Item]] = {}
    absent = []
    for name in SPLITS:
        try:
            splits[name] = dataset.split(name)
        except DataError as error:
            if name != "val":
                absent.append(error.line)
    return splits, absent
