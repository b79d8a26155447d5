"""Checks the blocks of a file against classes, and collects all problems with their sources."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from varkit.errors import RecipeError, did_you_mean
from varkit.recipe.layers import Layers, dotted
from varkit.recipe.options import check_options
from varkit.recipe.yaml import KeyPath, Place


@dataclass(frozen=True)
class Problem:
    """One fault of a file: its place, the key, and what is wrong."""

    place: Place
    path: KeyPath
    message: str

    def __str__(self) -> str:
        """Return ``file:line:column: section.key: what is wrong``."""
        return f"{self.place}: {dotted(self.path)}: {self.message}"


def refuse(problems: Iterable[Problem]) -> None:
    """Raise an error if there are problems, sorted by file, with the command line last.

    Raises:
        RecipeError: every problem, once.
    """
    placed = [(problem.place, str(problem)) for problem in problems]
    placed.sort(key=lambda each: (not each[0].file, each[0].file, each[0].line, each[0].column))
    if placed:
        raise RecipeError(list(dict.fromkeys(line for _, line in placed)))


class Checker:
    """Checks blocks of a file, and collects the problems.

    Attributes:
        layers: the file, with its changes.
        problems: the problems so far.
    """

    def __init__(self, layers: Layers) -> None:
        self.layers = layers
        self.problems: list[Problem] = []

    def problem(self, path: KeyPath, message: str) -> None:
        """Add a problem of the value at a path."""
        self.problems.append(Problem(self.layers.place(path), path, message))

    def block(self, path: KeyPath, cls: type[Any], value: Any) -> Any:
        """Return an instance of a class from a block of its options; None if one is wrong."""
        if not isinstance(value, dict):
            self.problem(path, f"must be a block of keys; not {value!r}")
            return None
        options = self.options(path, cls, value)
        return None if options is None else cls(**options)

    def options(
        self, path: KeyPath, cls: type[Any], values: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        """Return all options of a class, with defaults; None if one is wrong."""
        written = {
            at[len(path) :]: text
            for at, text in self.layers.written.items()
            if at[: len(path)] == path
        }
        complete, problems = check_options(cls, values, written)
        for below, message in problems:
            self.problem((*path, *below), message)
        for name, kept in complete.items():
            block = values.get(name)
            if isinstance(block, dict) and isinstance(kept, dict):
                for key in (key for key in block if key not in kept):  # removed with null
                    self.removed((*path, name, key), "such key", kept)
        return None if problems else complete

    def removed(self, path: KeyPath, what: str, kept: Mapping[str, Any]) -> None:
        """Add a problem if a null removes nothing: its key is misspelt."""
        if path not in self.layers.given:
            meant = did_you_mean(str(path[-1]), kept)
            known = f"Known: {', '.join(kept) or 'none'}."
            self.problem(path, f"there is no {what} to take out.{meant} {known}")
