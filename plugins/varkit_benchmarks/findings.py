"""What is found in a folder while it is looked through: each thing said once, with its places."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from varkit.errors import DataError

SHOWN = 3
"""So many names stand in a message."""


@dataclass
class Findings:
    """Faults and remarks as they come up; what comes up again only adds its place.

    Attributes:
        faults: what must be put right -> where it was found.
        remarks: what one should know -> where it was found.
        complete: whether every list could be read; else a file may belong to a video of that one.
    """

    faults: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    complete: bool = True

    def fault(self, what: str, *where: str) -> None:
        """Take down what must be put right before anybody trains on it."""
        self.faults.setdefault(what, []).extend(where)

    def refuse(self, error: DataError) -> None:
        """Take down a fault that ended the reading of a list."""
        self.complete = False
        self.fault(error.what if error.hint is None else f"{error.what} ({error.hint})")

    def remark(self, what: str, *where: str) -> None:
        """Take down what one should know."""
        self.remarks.setdefault(what, []).extend(where)


def absence(path: Path, *, folder: bool = False) -> str | None:
    """Say why there is no such file, or folder, to be read; None = there is."""
    kind = "folder" if folder else "file"
    try:
        if path.is_dir() if folder else path.is_file():
            return None
        if path.is_symlink() and not path.exists():
            return f"{path} is a link that leads nowhere"
        if path.exists():
            return f"{path} is no {kind}"
        beside = [near.name for near in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    close = alike(path.stem, sorted(beside))
    return f"there is no {kind} {path}" + (f" (is {close!r} it?)" if close else "")


def alike(name: str, others: Iterable[str]) -> str | None:
    """Return the first of other names that begins like one, signs and case apart.

    >>> alike("Abuse001_x264", ["Abuse002_x264__0.npy", "abuse001-x264_0.npz"])
    'abuse001-x264_0.npz'
    """
    begin = _letters(name)
    return next((other for other in others if _letters(other).startswith(begin)), None)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def lines(found: dict[str, list[str]]) -> tuple[str, ...]:
    """Return one line for each thing found."""
    return tuple(f"{what}: {few(where)}" if where else what for what, where in found.items())


def few(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are.

    >>> few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
