"""Runs checks and collects their results.

A check is a function of one case that returns nothing, or raises if a promise is broken. The first
line of its docstring is the promise. So a message says what the interface requires, and what was
observed instead.
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
    """The result of one check.

    Attributes:
        check: its name.
        promise: what the interface requires.
        fault: what was observed instead; None if the promise is kept.
    """

    check: str
    promise: str
    fault: str | None = None

    def __str__(self) -> str:
        line = f"{self.check}: {self.promise}"
        return line if self.fault is None else f"{line}\n    {self.fault}"


class ConformanceError(PluginError):
    """A component breaks its interface; carries the results of all checks.

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
    """Raised inside a check: the promise is broken; the message is what was observed instead."""


def expect(holds: bool, observed: str) -> None:
    """Do nothing if a condition holds.

    Raises:
        BrokenPromiseError: it does not hold; ``observed`` says what is there instead.
    """
    if not holds:
        raise BrokenPromiseError(observed)


def run(
    subject: str, checks: Iterable[Callable[[Case], None]], case: Case, *, names: str = ""
) -> tuple[Result, ...]:
    """Run all checks on one case and return their results.

    Args:
        subject: kind and name of the component.
        checks: of its kind.
        case: the argument of each check.
        names: the names in the kit's inputs, added to the message if the component raises a
            KeyError, because it may have looked for another name.

    Raises:
        ConformanceError: at least one promise is broken; the error lists all broken ones.
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
        # Any error of a component is a fault of it, and the remaining checks still run.
        known = f"; {names}" if names and isinstance(error, KeyError) else ""
        return Result(name, promise, f"raised {type(error).__name__}: {error}{known}")
    return Result(name, promise)
