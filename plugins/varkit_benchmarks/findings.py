"""What is found in a folder while it is looked through: each thing said once, with its places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from varkit.errors import DataError

SHOWN = 3
"""So many names stand in a message."""


@dataclass
class Findings:
    """Faults and remarks as they come up; what comes up again only adds its place."""

    faults: dict[str, list[str]] = field(default_factory=dict)
    remarks: dict[str, list[str]] = field(default_factory=dict)

    def fault(self, what: str, *where: str) -> None:
        """Take down what must be put right before anybody trains on it."""
        self.faults.setdefault(what, []).extend(where)

    def refuse(self, error: DataError) -> None:
        """Take down a fault that ended the reading of a file."""
        self.fault(error.what if error.hint is None else f"{error.what} ({error.hint})")

    def remark(self, what: str, *where: str) -> None:
        """Take down what one should know."""
        self.remarks.setdefault(what, []).extend(where)


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
