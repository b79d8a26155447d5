"""How a check is run and what it leaves behind.

A check is a function of one case that returns nothing, or raises because a promise is broken. Its
name is the check's name and the first line of its docstring the promise, so that a message says
both what the interface asks for and what came back instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from varkit.errors import PluginError

Case = TypeVar("Case")


@dataclass(frozen=True)
class Result:
    """What one check found.

    Attributes:
        check: its name.
        promise: what the interface asks for.
        fault: what came back instead; None where the promise is kept.
    """

    check: str
    promise: str
    fault: str | None = None

    def __str__(self) -> str:
        line = f"{self.check}: {self.promise}"
        return line if self.fault is None else f"{line}\n    {self.fault}"


class ConformanceError(PluginError):
    """A component breaks its interface; carries every check, kept or broken.

    Args:
        subject: kind and name of the component.
        results: of all checks.
    """

    def __init__(self, subject: str, results: Iterable[Result]) -> None:
        self.subject = subject
        self.results = tuple(results)
        broken = [result for result in self.results if result.fault is not None]
        lines = "".join(f"\n  {result}" for result in broken)
        super().__init__(
            f"{subject} breaks {len(broken)} of the {len(self.results)} promises checked:{lines}"
        )


class BrokenPromiseError(Exception):
    """Raised inside a check: the promise is broken, and this is what came back instead."""


def expect(holds: bool, came: str) -> None:
    """Go on where ``holds``.

    Raises:
        BrokenPromiseError: it does not hold; ``came`` says what came back instead.
    """
    if not holds:
        raise BrokenPromiseError(came)


def run(
    subject: str, checks: Iterable[Callable[[Case], None]], case: Case, *, names: str = ""
) -> tuple[Result, ...]:
    """Run all checks on one case and return their results.

    Args:
        subject: kind and name of the component.
        checks: of its kind.
        case: what each is handed.
        names: what the kit's inputs hold under which names, said where the component raises a
            KeyError: it may have looked for another.

    Raises:
        ConformanceError: at least one promise is broken; the error lists all that are.
    """
    results = tuple(_run_one(check, case, names) for check in checks)
    if any(result.fault is not None for result in results):
        raise ConformanceError(subject, results)
    return results


def _run_one(check: Callable[[Case], None], case: Case, names: str) -> Result:
    name = check.__name__
    promise = (inspect.getdoc(check) or name).partition("\n")[0].rstrip(".")
    try:
        check(case)
    except BrokenPromiseError as broken:
        return Result(name, promise, str(broken))
    except Exception as error:
        # Whatever a component raises is a finding about it, and the other checks still count.
        held = f"; {names}" if names and isinstance(error, KeyError) else ""
        return Result(name, promise, f"raised {type(error).__name__}: {error}{held}")
    return Result(name, promise)
