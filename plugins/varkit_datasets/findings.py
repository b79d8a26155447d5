"""Faults and remarks about a folder: each is listed once, with the places it concerns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from varkit.errors import DataError

SHOWN = 3
"""Names in a message, unless it says otherwise."""


@dataclass
class Findings:
    """Faults and remarks as they come up; a repeated one only adds its place.

    Attributes:
        faults: what must be fixed -> where.
        remarks: what users should know -> where.
        complete: whether every list could be read; if not, a file may belong to an unread list.
    """

    faults: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)
    complete: bool = True

    def fault(self, what: str, *where: str) -> None:
        """Add something that must be fixed before training."""
        self.faults.setdefault(what, []).extend(where)

    def refuse(self, error: DataError) -> None:
        """Add a fault that ended the reading of a list."""
        self.complete = False
        self.fault(error.line)

    def remark(self, what: str, *where: str) -> None:
        """Add something that users should know."""
        self.remarks.setdefault(what, []).extend(where)


def absence(path: Path, *, folder: bool = False) -> str | None:
    """Return why there is no such file, or folder, to read; None = there is one."""
    kind = "folder" if folder else "file"
    try:
        if path.is_dir() if folder else path.is_file():
            return None
        if path.is_symlink() and not path.exists():
            return f"{path} is a link that leads nowhere"
        if path.exists():
            return f"{path} is not a {kind}"
        beside = [near.name for near in path.parent.iterdir()] if path.parent.is_dir() else []
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
    close = alike(path.stem, sorted(beside))
    return f"there is no {kind} {path}" + (f" (did you mean {close!r}?)" if close else "")


def alike(name: str, candidates: Iterable[str]) -> str | None:
    """Return the first candidate that begins like a name, except for punctuation and case.

    >>> alike("Abuse001_x264", ["Abuse002_x264__0.npy", "abuse001-x264_0.npz"])
    'abuse001-x264_0.npz'
    """
    begin = _letters(name)
    return next((text for text in candidates if _letters(text).startswith(begin)), None)


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.casefold()))


def lines(places: dict[str, list[str]]) -> tuple[str, ...]:
    """Return one line for each fault or remark, from :class:`Findings`."""
    return tuple(f"{what}: {few(where)}" if where else what for what, where in places.items())


def few(names: Sequence[str], most: int = SHOWN) -> str:
    """Return the first names, and how many more there are.

    >>> few(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
