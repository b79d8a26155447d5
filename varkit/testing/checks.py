"""Runs checks and collects their results.

A check is a function of one case that returns nothing, or raises if a promise is broken. The first
line of its docstring is the promise. So a message says what the interface requires, and what was
observed instead.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from varkit.errors import PluginError, named
from varkit.plugins.isolation import raised_at
from varkit.system.output import stdout_to_stderr

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
    subject: str,
    component: object,
    checks: Iterable[Callable[[Case], None]],
    make_case: Callable[[], Case],
    *,
    unchanged: Callable[[Case], AbstractContextManager[Any]] = nullcontext,
    names: str = "",
) -> tuple[Result, ...]:
    """Run all checks, each on a case of its own, and return their results.

    Args:
        subject: kind and name of the component.
        component: whose errors are traced to their line.
        checks: of its kind.
        make_case: makes the argument of a check, so that no check sees what another one changed.
        unchanged: expects a block not to change a case's inputs. The check ``inputs_stay`` fails if
            one is changed in any check.
        names: the names in the kit's inputs, added to the message if the component raises a
            KeyError, because it may have looked for another name.

    Raises:
        ConformanceError: at least one promise is broken; the error lists all broken ones.
    """
    results: list[Result] = []
    changed: list[str] = []
    module = type(component).__module__
    for check in checks:
        case = make_case()
        try:
            with unchanged(case):
                results.append(_run_one(check, case, module, names))
        except BrokenPromiseError as broken:
            changed.append(f"{broken}, in the check {check.__name__}")
    if changed:
        results = [
            replace(result, fault=result.fault or changed[0])
            if result.check == "inputs_stay"
            else result
            for result in results
        ]
    if any(result.fault is not None for result in results):
        raise ConformanceError(subject, results)
    return tuple(results)


def _run_one(check: Callable[[Case], None], case: Case, module: str, names: str) -> Result:
    name = check.__name__
    promise = (inspect.getdoc(check) or name).partition("\n")[0].rstrip(".")
    try:
        with stdout_to_stderr():
            check(case)
    except BrokenPromiseError as broken:
        return Result(name, promise, str(broken))
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Any error of a component is a fault of it, and the remaining checks still run.
        known = f"; {names}" if names and isinstance(error, KeyError) else ""
        return Result(name, promise, f"raised {named(error)}{raised_at(error, module)}{known}")
    return Result(name, promise)
