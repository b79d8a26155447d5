"""The check of a data set before a training: what ``varkit data verify`` refuses, it refuses too.

Headers are read every time. All numbers are read once: the result is kept in a file whose name is a
hash of the data set's fingerprint and of the sizes and times of its files, so another file, or a
changed one, means another pass.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from typing_extensions import TypedDict

from varkit.data.inspect.verify import Progress, Survey, Verification, verify
from varkit.data.inspect.verify_video import Finding
from varkit.errors import DataError, RunError, WriteError
from varkit.interfaces import Dataset
from varkit.system.files import write_json
from varkit.system.records import read_json

CACHE = Path(".cache/varkit/checks")
"""The folder of kept results, below the working directory. It can be deleted at any time."""

VERSION = 2
"""Of the checks; another number discards kept results."""

SHOWN = 20
"""Most faults that an error lists."""

Depth = Literal["full", "quick"]
"""``full`` = every number is read, once; ``quick`` = only headers."""

Stamp = tuple[int, int]
"""Size and time of the last change of a file, in bytes and nanoseconds."""


class _Text(TypedDict):
    group: str
    text: str


class Kept(TypedDict):
    """The content of a kept result."""

    faults: list[_Text]
    remarks: list[_Text]


@dataclass(frozen=True)
class Check:
    """A data set that is in order.

    Attributes:
        numbers: whether all numbers were ``read`` now, or in an earlier check whose result was
            ``kept``, or not at all (``unread``).
        size: bytes of the numbers read now, as float32.
        seconds: how long the check took.
        remarks: what is not a fault but worth knowing.
        stamps: feature file -> its size and time as the check began.
        fingerprint: of the data set.
    """

    numbers: Literal["read", "kept", "unread"]
    size: int
    seconds: float
    remarks: tuple[Finding, ...]
    stamps: Mapping[str, Stamp | None]
    fingerprint: str

    def changed(self, dataset: Dataset) -> list[str]:
        """Return what of a data set has changed since the check began.

        Args:
            dataset: opened anew if it does not list its files.
        """
        if not hasattr(dataset, "files"):
            return [] if dataset.fingerprint() == self.fingerprint else ["its fingerprint"]
        now = stamps_of(dataset)
        return [file for file, stamp in now.items() if stamp != self.stamps.get(file)]


def check_data(
    dataset: Dataset,
    depth: Depth = "full",
    *,
    workers: int = 0,
    progress: Progress | None = None,
) -> Check:
    """Check that a data set is in order.

    Args:
        dataset: just opened.
        depth: whether all numbers must have been read.
        workers: processes that read; 0 = this one.
        progress: called after every video whose numbers were read.

    Raises:
        DataError: it has faults; they are listed in the words of ``varkit data verify``.
    """
    opened = Survey(dataset, remarks=tuple(getattr(dataset, "remarks", ())))
    stamps = stamps_of(dataset)
    result = verify(opened, quick=True, remarks=depth == "quick")
    _refuse(result.name, result.faults)
    fingerprint = result.fingerprint or dataset.fingerprint()
    if depth == "quick":
        return Check("unread", 0, result.seconds, result.remarks, stamps, fingerprint)
    known = _read(_place(fingerprint, stamps))
    if known is not None:
        faults, remarks = known
        _refuse(result.name, faults)
        return Check("kept", 0, result.seconds, remarks, stamps, fingerprint)
    whole = verify_and_keep(opened, workers=workers, progress=progress)
    _refuse(whole.name, whole.faults)
    seconds = result.seconds + whole.seconds
    return Check("read", whole.size, seconds, whole.remarks, stamps, fingerprint)


def verify_and_keep(
    opened: Survey, *, workers: int = 0, progress: Progress | None = None
) -> Verification:
    """Read a whole data set, and keep the result for :func:`check_data`.

    Arguments and result are those of :func:`varkit.data.inspect.verify.verify`. A result that
    cannot be kept gives a warning.
    """
    stamps = {} if opened.dataset is None else stamps_of(opened.dataset)
    result = verify(opened, workers=workers, progress=progress)
    unchanged = opened.dataset is not None and stamps_of(opened.dataset) == stamps
    if result.fingerprint is not None and unchanged:
        content: Kept = {"faults": _texts(result.faults), "remarks": _texts(result.remarks)}
        try:
            write_json(_place(result.fingerprint, stamps), content)
        except WriteError as error:
            warnings.warn(f"{error.what}; the next run reads all numbers again", stacklevel=2)
    return result


def stamps_of(dataset: Dataset) -> dict[str, Stamp | None]:
    """Return the size and time of every file that a data set lists; None = it is not there."""
    stamps: dict[str, Stamp | None] = {}
    for file in getattr(dataset, "files", tuple)():
        try:
            status = Path(file).stat()
            stamps[str(file)] = status.st_size, status.st_mtime_ns
        except OSError:
            stamps[str(file)] = None
    return stamps


def _refuse(name: str, faults: Sequence[Finding]) -> None:
    if faults:
        more = [f"... and {len(faults) - SHOWN:,} more"] if len(faults) > SHOWN else []
        count = f"{len(faults):,} fault{'s' if len(faults) > 1 else ''}"
        listed = [fault.text for fault in faults[:SHOWN]]
        raise DataError("\n  ".join([f"{name} has {count}:", *listed, *more]))


def _place(fingerprint: str, stamps: Mapping[str, Stamp | None]) -> Path:
    known = json.dumps([VERSION, fingerprint, *stamps.items()])
    return CACHE / f"{hashlib.sha256(known.encode()).hexdigest()[:32]}.json"


def _texts(findings: Sequence[Finding]) -> list[_Text]:
    return [{"group": finding.group, "text": finding.text} for finding in findings]


def _read(path: Path) -> tuple[tuple[Finding, ...], tuple[Finding, ...]] | None:
    """Return kept faults and remarks, or None if there are none or they are damaged."""
    try:
        kept = read_json(path, Kept)
    except RunError:
        return None
    faults = tuple(Finding(**text) for text in kept["faults"])
    return faults, tuple(Finding(**text) for text in kept["remarks"])
