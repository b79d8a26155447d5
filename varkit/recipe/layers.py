"""A recipe's values in layers (file, embedded block, command line), and who said each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from varkit.errors import RecipeError
from varkit.recipe.yaml import Document, KeyPath, parse_value


@dataclass(frozen=True)
class Place:
    """Who said a value, and where.

    Attributes:
        layer: what it came with.
        file: the recipe's name in messages; empty for the command line.
        line: from 1.
        column: from 1.
    """

    layer: Literal["file", "embedded", "command line"]
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, or ``command line``."""
        return f"{self.file}:{self.line}:{self.column}" if self.file else self.layer

    @property
    def origin(self) -> str:
        """The same for people who ask where a value came from."""
        at = f"{self.file}:{self.line}"
        return {"file": at, "embedded": f"embedded, {at}"}.get(self.layer, self.layer)


COMMAND_LINE = Place("command line")


class Layers:
    """Nested values, each with the place that said it last.

    One rule merges everything: a block merges into a block key by key, unless it names ``use``;
    that, and any other value, replaces what was there whole.

    Attributes:
        value: the nested values.
        places: who said each of them.
        given: where any layer said a value other than null, also if a later one took it out.
    """

    def __init__(
        self, document: Document, overrides: Sequence[tuple[str, Any]] = (), *, embedded: bool
    ) -> None:
        """Lay the layers over one another.

        Args:
            document: a recipe's file.
            overrides: dotted keys and values from the command line.
            embedded: whether to take the file's embedded block.

        Raises:
            RecipeError: an override's key leads through something that is no block.
        """
        self.document = document
        self.value: dict[str, Any] = {}
        self.given: set[KeyPath] = set()
        self.places: dict[KeyPath, Place] = {(): self._in_file("file", ())}
        for key, value in document.value.items():
            if key != "embedded":
                self._merge((key,), value, lambda path: self._in_file("file", path))
        for key, value in document.value["embedded"].items() if embedded else ():
            self._merge((key,), value, lambda path: self._in_file("embedded", path))
        for dotted_key, value in overrides:
            self._merge(tuple(dotted_key.split(".")), value, lambda _: COMMAND_LINE)

    def place(self, path: KeyPath) -> Place:
        """Return who said the value at a path, or the nearest block around it."""
        while path not in self.places:
            path = path[:-1]
        return self.places[path]

    def _merge(self, path: KeyPath, value: Any, place: Callable[[KeyPath], Place]) -> None:
        """Merge a value at a path; ``place`` says where each part of it stands."""
        block = self._block(path, place)
        old = block.get(path[-1])
        if isinstance(value, dict) and isinstance(old, dict) and "use" not in value:
            for key, item in value.items():
                self._merge((*path, key), item, place)
            return
        block[path[-1]] = copy.deepcopy(value)
        below = len(path)
        self.places = {p: at for p, at in self.places.items() if p[:below] != path}
        self._mark(path, value, place)

    def _block(self, path: KeyPath, place: Callable[[KeyPath], Place]) -> dict[Any, Any]:
        block: dict[Any, Any] = self.value
        for depth, key in enumerate(path[:-1], start=1):
            if block.get(key) is None:
                block[key] = {}
                self.places[path[:depth]] = place(path)
            block = block[key]
            if not isinstance(block, dict):
                raise RecipeError(
                    [f"{place(path)}: {dotted(path)}: {dotted(path[:depth])} is no block of keys"]
                )
        return block

    def _mark(self, path: KeyPath, value: Any, place: Callable[[KeyPath], Place]) -> None:
        self.places[path] = place(path)
        if value is not None:
            self.given.add(path)
        if isinstance(value, dict):
            for key, item in value.items():
                self._mark((*path, key), item, place)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._mark((*path, index), item, place)

    def _in_file(self, layer: Literal["file", "embedded"], path: KeyPath) -> Place:
        full = ("embedded", *path) if layer == "embedded" else path
        return Place(layer, self.document.file, *self.document.places[full])


def parse_overrides(texts: Sequence[str]) -> list[tuple[str, Any]]:
    """Cut every ``dotted.key=value`` in two and parse the value as YAML.

    Raises:
        RecipeError: all that are malformed.
    """
    found, problems = [], []
    for text in texts:
        key, equals, value = text.partition("=")
        where = f"command line: {key}"
        if not equals or not key:
            problems.append(
                f"command line: {text!r} is no override; write key=value, as in train.epochs=3"
            )
        elif key.split(".")[0] in ("version", "plugins", "embedded"):
            problems.append(f"{where}: is not for the command line; edit the recipe")
        elif not value.strip():
            problems.append(f"{where}: no value; write {key}=null to say none")
        else:
            try:
                found.append((key, parse_value(value, where)))
            except RecipeError as error:
                problems += error.problems
    if problems:
        raise RecipeError(problems)
    return found


def dotted(path: KeyPath) -> str:
    """Write a path as in ``train.seeds.0``."""
    return ".".join(str(key) for key in path)
