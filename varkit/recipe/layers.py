"""A recipe's values in layers (file, embedded block, changes), and the source of each."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from varkit.errors import RecipeError
from varkit.recipe.yaml import Document, KeyPath, Layer, Place, flow, parse_value

COMMAND_LINE = Place("change")


@dataclass(frozen=True)
class Change:
    """A change of a recipe's value, and its source.

    Attributes:
        path: of the value in the recipe.
        value: as read from YAML.
        layer: ``embedded`` = it applies only if the recipe's embedded block is used.
        document: the source file; None = the command line.
        at: the path of the value in that file.
        written: the value as text on the command line; None = it is not from there.
    """

    path: tuple[str, ...]
    value: Any
    layer: Layer = "change"
    document: Document | None = None
    at: KeyPath = ()
    written: str | None = None

    def place(self, below: KeyPath = ()) -> Place:
        """Return the source of the value, or of a value inside it."""
        if self.document is None:
            return COMMAND_LINE
        return self.document.place((*self.at, *below), self.layer)

    def problem(self, message: str) -> str:
        """Return ``place: dotted.key: message``."""
        return f"{self.place()}: {dotted(self.path)}: {message}"

    @property
    def text(self) -> str:
        """``dotted.key=value``, as written on the command line."""
        written = flow(self.value) if self.written is None else self.written
        return f"{dotted(self.path)}={written}"


class Layers:
    """Nested values, each with its latest source.

    One rule merges everything: a block merges into a block key by key, unless it has the key
    ``use``. Such a block, and any other value, replaces the whole earlier value.

    Attributes:
        document: the file.
        value: the nested values.
        places: the source of each value, latest last.
        given: paths that any layer set to a value other than null, even if a later one removed it.
        written: path -> what stood on the command line for the value there.
    """

    def __init__(
        self,
        document: Document,
        changes: Sequence[Change] = (),
        *,
        embedded: bool = False,
        is_block: Callable[[Mapping[str, Any], KeyPath], bool] = lambda value, path: False,
    ) -> None:
        """Merge the layers.

        Args:
            document: the file.
            changes: applied to it in this order.
            embedded: whether to use the file's embedded block, and changes of that layer.
            is_block: asked with the values so far whether a path leads to a block of single
                values; the rest of a change's path is then one key, as in
                ``train.lr_factors.query.language``.

        Raises:
            RecipeError: a change's key leads through a value that is not a block.
        """
        self.document = document
        self.value: dict[str, Any] = {}
        self.given: set[KeyPath] = set()
        self.written: dict[KeyPath, str] = {}
        self.places: dict[KeyPath, Place] = {(): document.place(())}
        for key, value in document.value.items():
            self._merge(Change((key,), value, "file", document, (key,)), (key,), value)
        for key, value in (document.value.get("embedded") or {}).items() if embedded else ():
            at = ("embedded", key)
            self._merge(Change((key,), value, "embedded", document, at), (key,), value)
        for change in changes:
            if embedded or change.layer != "embedded":
                for end in range(1, len(change.path)):
                    if is_block(self.value, change.path[:end]):
                        key = ".".join(change.path[end:])
                        change = replace(change, path=(*change.path[:end], key))
                        break
                self._merge(change, change.path, change.value)

    def place(self, path: KeyPath) -> Place:
        """Return the source of the value at a path, or of the nearest enclosing block.

        If a component lacks the value, return the source of its ``use``: its class needs the value.
        """
        if path in self.places:
            return self.places[path]
        while path not in self.places:
            path = path[:-1]
        return self.places.get((*path, "use"), self.places[path])

    def last_change(self, path: KeyPath) -> Place | None:
        """Return the source of the last change of the value at a path, or of a value inside it."""
        places = (at for p, at in reversed(self.places.items()) if p[: len(path)] == path)
        return next((at for at in places if at.layer == "change"), None)

    def _merge(self, change: Change, path: KeyPath, value: Any) -> None:
        """Merge a change, or a value inside it, at a path."""
        block = self._block(change, path)
        old = block.get(path[-1])
        if isinstance(value, dict) and isinstance(old, dict) and "use" not in value:
            for key, item in value.items():
                self._merge(change, (*path, key), item)
            return
        block[path[-1]] = copy.deepcopy(value)
        below = len(path)
        self.places = {p: at for p, at in self.places.items() if p[:below] != path}
        self.written = {p: text for p, text in self.written.items() if p[:below] != path}
        if change.written is not None and path == change.path:
            self.written[path] = change.written
        self._mark(change, path, value)

    def _block(self, change: Change, path: KeyPath) -> dict[Any, Any]:
        block: dict[Any, Any] = self.value
        for depth, key in enumerate(path[:-1], start=1):
            if block.get(key) is None:
                block[key] = {}
                self.places[path[:depth]] = change.place()
            block = block[key]
            if not isinstance(block, dict):
                raise RecipeError(
                    [change.problem(f"{dotted(path[:depth])} is not a block of keys")]
                )
        return block

    def _mark(self, change: Change, path: KeyPath, value: Any) -> None:
        self.places[path] = change.place(path[len(change.path) :])
        if value is not None:
            self.given.add(path)
        if isinstance(value, dict):
            for key, item in value.items():
                self._mark(change, (*path, key), item)
        elif isinstance(value, list):
            for index, item in enumerate(value):
                self._mark(change, (*path, index), item)


def changes_of(sections: Mapping[str, Any], call: str) -> list[Change]:
    """Return the changes that a Python call makes to a recipe: sections, or keys with dots.

    Args:
        sections: such as ``{"train": {"epochs": 3}}`` or ``{"train.epochs": 3}``.
        call: the function's name, for messages.
    """
    document = Document(call, sections, {(): (0, 0)})
    return [Change(tuple(key.split(".")), sections[key], document=document) for key in sections]


def read_changes(overrides: Sequence[str | Change]) -> list[Change]:
    """Parse the overrides that are text: ``dotted.key=value``, with the value in YAML.

    Raises:
        RecipeError: overrides are malformed, or change a key that only the file may set; all of
            them are listed.
    """
    changes: list[Change] = []
    problems: list[str] = []
    for override in overrides:
        try:
            change = _read(override) if isinstance(override, str) else override
        except RecipeError as error:
            problems += error.problems
            continue
        changes.append(change)
        if change.path[0] in ("version", "plugins", "embedded"):
            problems.append(change.problem("cannot be overridden; edit the recipe"))
    if problems:
        raise RecipeError(problems)
    return changes


def _read(text: str) -> Change:
    key, equals, value = text.partition("=")
    where = f"{COMMAND_LINE}: {key}"
    if not equals or not key:
        raise RecipeError(
            [f"{COMMAND_LINE}: {text!r} is not an override; write key=value, as in train.epochs=3"]
        )
    if not value.strip():
        raise RecipeError([f"{where}: no value; write {key}=null to say none"])
    return Change(tuple(key.split(".")), parse_value(value, where), written=value)


def dotted(path: KeyPath) -> str:
    """Return a path as text, as in ``train.seeds.0``."""
    return ".".join(str(key) for key in path)
