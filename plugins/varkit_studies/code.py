"""Describes how the code of rows and runs differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from varkit.runs.code import NOT_RECORDED, named


def by_code(rows: Iterable[tuple[str, tuple[str, ...]]]) -> Iterator[tuple[str, str]]:
    """Group rows by how their code differs from the present code.

    Args:
        rows: name of each row, and the modules in which its code differs.

    Yields:
        The names of a group, and the modules, each joined by commas; rows without a difference
        are left out.
    """
    groups: dict[str, list[str]] = {}
    for name, other_code in rows:
        if other_code:
            groups.setdefault(named(other_code), []).append(name)
    for differing, names in groups.items():
        yield ", ".join(names), differing


def different_code(runs: Mapping[str, Mapping[str, str] | None]) -> tuple[str, ...]:
    """Return the shared modules in which the code of runs differs, and which runs agree.

    Args:
        runs: name -> its code; None = not recorded.

    >>> different_code({"A": {"m": "1"}, "B": {"m": "2", "n": "3"}, "C": {"m": "1"}, "D": None})
    ('m (A, C against B)', 'not recorded (D)')
    """
    groups: dict[str, list[str]] = {}
    for module in sorted({module for code in runs.values() for module in code or ()}):
        versions: dict[str, list[str]] = {}
        for name, code in runs.items():
            if code is not None and module in code:
                versions.setdefault(code[module], []).append(name)
        if len(versions) > 1:
            names = " against ".join(map(", ".join, versions.values()))
            groups.setdefault(names, []).append(module)
    unknown = ", ".join(name for name, code in runs.items() if code is None)
    differing = [f"{named(modules)} ({names})" for names, modules in groups.items()]
    return (*differing, *([f"{NOT_RECORDED} ({unknown})"] if unknown else []))
