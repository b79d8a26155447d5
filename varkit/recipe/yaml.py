"""Reads and writes recipes as YAML 1.2, and keeps the place of every value.

PyYAML reads YAML 1.1, in which ``no`` is false, ``12:30`` is 750, ``1e-3`` is text and the second
of two equal keys wins. Here scalars follow YAML 1.2's core schema and equal keys are an error.
Anchors, aliases and tags are refused: a recipe spells everything out, and so alias bombs and
constructed objects are impossible. Every fault becomes a RecipeError with file, line and column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

from varkit.errors import RecipeError
from varkit.system.inputs import open_user_file

MAX_BYTES = 128 * 1024
"""Largest file that is read: about fifty times the size of a recipe, and quick to read."""
MAX_DEPTH = 20
"""Deepest nesting that is read: about five times that of a recipe."""

KeyPath = tuple[str | int, ...]
"""The path of a value: keys and list positions from the top, e.g. ``("train", "lr")``."""
Layer = Literal["file", "embedded", "change"]
"""The layer of a recipe's value: its file, what applies only if its embedded block is used, or a
change of either."""


@dataclass(frozen=True)
class Place:
    """The source of a value.

    Attributes:
        layer: of the value.
        file: its name in messages; empty for the command line.
        line: from 1; 0 if the source is a Python call.
        column: from 1.
    """

    layer: Layer
    file: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column``, or ``command line``."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.origin

    @property
    def origin(self) -> str:
        """The same in a short form, for listing the origins of values."""
        at = f"{self.file}:{self.line}" if self.line else self.file or "command line"
        return f"embedded, {at}" if self.layer == "embedded" else at


@dataclass(frozen=True)
class Document:
    """A parsed file.

    Attributes:
        file: its name in messages.
        value: mappings, lists, text, numbers, booleans and None.
        places: the (line, column), from 1, of every value; of a mapping's value, its key's.
    """

    file: str
    value: Any
    places: Mapping[KeyPath, tuple[int, int]]

    def place(self, path: KeyPath, layer: Layer = "file") -> Place:
        """Return the place of a value, or of the nearest enclosing block."""
        while path not in self.places:
            path = path[:-1]
        return Place(layer, self.file, *self.places[path])


def load(path: Path) -> Document:
    """Read a YAML file that holds a block of keys.

    Raises:
        RecipeError: it cannot be read, :func:`parse` refuses it, or it is not a block of keys.
    """
    file = str(path)
    try:
        with open_user_file(path) as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError([f"{file}: no such file"]) from None
    except OSError as error:
        raise RecipeError([f"{file}: cannot be read: {error.strerror}"]) from error
    document = parse(data, file)
    if not isinstance(document.value, dict):
        raise RecipeError([f"{file}:1:1: must be a block of keys such as 'version: 1'"])
    return document


def parse(data: bytes, file: str) -> Document:
    """Parse one YAML document.

    Args:
        data: UTF-8 text.
        file: its name in messages.

    Raises:
        RecipeError: the text is not YAML, or holds something that this module refuses; with line
            and column.
    """
    text = _decode(data, file)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark or loader.get_mark()
        place = f"{file}:{mark.line + 1}:{mark.column + 1}"
        raise RecipeError([f"{place}: {_reason(error)}"]) from None
    except (ValueError, OverflowError) as error:  # an escape such as "\UFFFFFFFF"
        place = f"{file}:{loader.line + 1}:{loader.column + 1}"
        raise RecipeError([f"{place}: not YAML: {error}"]) from None
    if node is None:
        raise RecipeError([f"{file}:1:1: empty; nothing but comments"])
    reader = _Reader(file)
    value = reader.value(node, ())
    if reader.problems:
        raise RecipeError(reader.problems)
    return Document(file, value, reader.places)


def parse_value(text: str, file: str) -> Any:
    """Parse a value given on the command line: a scalar, ``[a, b]``, ``{a: 1}`` or ``"text"``.

    A scalar is taken whole, so that a path may hold `` #``, ``: `` or other signs of YAML. What
    only begins like a list, a block or a quotation is text, too.

    Raises:
        RecipeError: it holds characters that are not allowed.
    """
    data = text.encode("utf-8", "surrogateescape")
    plain = _decode(data, file).strip()
    if plain.startswith(("[", "{", "'", '"')):
        try:
            return parse(data, file).value
        except RecipeError:
            return text
    loader = _Loader("")
    tag = loader.resolve(ScalarNode, plain, (True, False))  # type: ignore[no-untyped-call]
    value = _Reader(file).scalar(ScalarNode(tag, plain, loader.get_mark()))
    return text if isinstance(value, str) else value


def dump(value: Mapping[str, Any], comments: Mapping[KeyPath, str] | None = None) -> str:
    """Write nested mappings as block YAML, one line per leaf.

    Args:
        value: nested mappings; everything else in them is a leaf.
        comments: path of a leaf -> comment at the end of its line.

    Returns:
        Text that :func:`parse`, and any YAML 1.1 or 1.2 reader, reads as ``value``.
    """
    lines = list(_lines(value, ()))
    width = max((len(line) for line, _ in lines), default=0)
    shown = (
        f"{line:<{width}}  # {comments[path]}" if comments and path in comments else line
        for line, path in lines
    )
    return "".join(f"{line}\n" for line in shown)


def flow(value: Any) -> str:
    """Write a value on one line, so that :func:`parse_value` reads it back."""
    text: str = yaml.dump(
        [value],  # inside a list the emitter adds no document end
        Dumper=_Dumper,
        default_flow_style=True,
        width=float("inf"),
        allow_unicode=True,
        sort_keys=False,
    )
    return text.strip()[1:-1]


def _lines(value: Mapping[str, Any], path: KeyPath) -> Iterator[tuple[str, KeyPath]]:
    for key, item in value.items():
        here = (*path, key)
        head = f"{'  ' * len(path)}{flow(key)}:"
        if isinstance(item, Mapping) and item:
            yield head, here
            yield from _lines(item, here)
        else:
            yield f"{head} {flow(item)}", here


def _decode(data: bytes, file: str) -> str:
    if len(data) > MAX_BYTES:
        raise RecipeError([f"{file}: larger than {MAX_BYTES // 1024} KiB; no recipe is"])
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        where = _line_and_column(data[: error.start].decode("utf-8", "replace"))
        raise RecipeError([f"{file}:{where}: not UTF-8"]) from None
    if text.startswith("\ufeff"):
        raise RecipeError([f"{file}:1:1: a byte order mark; save the file as UTF-8 without one"])
    unprintable = yaml.reader.Reader.NON_PRINTABLE.search(text)
    if unprintable:
        where = _line_and_column(text[: unprintable.start()])
        raise RecipeError([f"{file}:{where}: character {unprintable.group()!r} is not allowed"])
    return text


def _line_and_column(before: str) -> str:
    return f"{before.count(chr(10)) + 1}:{len(before) - before.rfind(chr(10))}"


def _reason(error: yaml.MarkedYAMLError) -> str:
    problem = str(error.problem)
    if isinstance(error, _RefusedError):
        return problem
    if "'\\t'" in problem:
        return "a tab; YAML is indented with spaces"
    context = f"{error.context}: " if error.context else ""
    return f"not YAML: {context}{problem}"


_CORE: tuple[tuple[str, str, str], ...] = (
    ("null", r"null|Null|NULL|~|", "nN~"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789"),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
    ),
)
"""YAML 1.2 core schema (section 10.3.2): tag, pattern, first characters."""


class _Loader(yaml.SafeLoader):
    """Composes nodes under the core schema, without anchors, aliases, tags and deep nesting."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012  # PyYAML copies it on change
    depth = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]  # PyYAML's
        if getattr(event, "anchor", None) is not None:  # an alias names its anchor too
            problem = "anchors and aliases (&, *) are not allowed; write the value out"
        elif getattr(event, "tag", None) is not None:
            tag = event.tag.replace("tag:yaml.org,2002:", "!!")
            problem = f"tag {tag!r} is not allowed; a recipe holds plain values"
        elif self.depth == MAX_DEPTH:
            problem = f"nested deeper than {MAX_DEPTH} levels"
        else:
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node
        raise _RefusedError(None, None, problem, event.start_mark)


class _RefusedError(yaml.MarkedYAMLError):
    """Valid YAML that a recipe may not hold."""


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 (inherited) or 1.2 (added below) would not read back as text."""


for _tag, _pattern, _first in _CORE:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(
            f"tag:yaml.org,2002:{_tag}", re.compile(rf"(?:{_pattern})\Z"), [*_first, ""]
        )


def _represent_text(dumper: yaml.SafeDumper, text: str) -> ScalarNode:
    # Single-quoted, it would span several lines.
    style = '"' if re.search("[\n\x85\u2028\u2029]", text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(tuple, yaml.SafeDumper.represent_list)


class _Reader:
    """Turns nodes into values; collects places and all problems."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.places: dict[KeyPath, tuple[int, int]] = {}
        self.problems: list[str] = []

    def value(self, node: Node, path: KeyPath) -> Any:
        self.places.setdefault(path, _place(node))
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self.value(item, (*path, i)) for i, item in enumerate(node.value)]
        return self.scalar(node)

    def _mapping(self, node: MappingNode, path: KeyPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.scalar(key_node) if isinstance(key_node, ScalarNode) else None
            if not isinstance(key, str):
                self._problem(key_node, "a key must be text; put it in quotes")
                continue
            here = (*path, key)
            if key in mapping:
                line, _ = self.places[here]
                self._problem(key_node, f"{key!r} is given twice, first on line {line}")
                continue
            self.places[here] = _place(key_node)
            mapping[key] = self.value(value_node, here)
        return mapping

    def scalar(self, node: Node) -> Any:
        text = str(node.value)
        try:
            match node.tag.rpartition(":")[2]:
                case "null":
                    return None
                case "bool":
                    return text.lower() == "true"
                case "int":
                    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
                    return int(text, base)
                case "float":
                    return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
        except ValueError:  # Python refuses numbers of more than about 4,000 digits
            self._problem(node, "a number with too many digits")
        if any("\ud800" <= character <= "\udfff" for character in text):
            self._problem(node, "an escaped surrogate is not a character")
        return text

    def _problem(self, node: Node, message: str) -> None:
        line, column = _place(node)
        self.problems.append(f"{self.file}:{line}:{column}: {message}")


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
