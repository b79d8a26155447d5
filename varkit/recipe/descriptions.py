"""Describes the options of a class in words: allowed values, and texts from its docstring."""

from __future__ import annotations

import inspect
import json
import re
import types
import typing
from collections import abc
from collections.abc import Sequence
from typing import Any, Literal

import annotated_types as at


def describe(annotation: Any) -> str:
    """Return in words which values an annotation allows.

    >>> describe(typing.Annotated[int, at.Ge(1)] | None)
    'a whole number of at least 1, or null'
    """
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        limits = [text for limit in arguments[1:] for text in _limits(limit)]
        text = f"{describe(arguments[0])} {' and '.join(limits)}".rstrip()
        return f"{text} {_length(arguments[1:])}".rstrip()
    if origin is Literal:
        allowed = [json.dumps(value) for value in arguments]
        return allowed[0] if len(allowed) == 1 else f"one of {', '.join(allowed)}"
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(describe(argument) for argument in arguments)
    if inspect.isclass(origin) and issubclass(origin, abc.Mapping):
        return "a block of keys" + _each("value", arguments[1])
    if origin is tuple and arguments[1:] != (...,):
        return f"a list of {'; '.join(describe(argument) for argument in arguments)}"
    if inspect.isclass(origin) and issubclass(origin, abc.Collection):
        return "a list" + _each("item", arguments[0])
    if annotation is Any:
        return "any value"
    words = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}
    if annotation in (None, type(None)):
        return "null"
    return words.get(annotation, f"a {getattr(annotation, '__name__', annotation)}")


def _limits(limit: Any) -> list[str]:
    match limit:
        case at.Ge(ge=bound):
            return [f"of at least {bound}"]
        case at.Gt(gt=bound):
            return [f"above {bound}"]
        case at.Le(le=bound):
            return [f"of at most {bound}"]
        case at.Lt(lt=bound):
            return [f"below {bound}"]
    return []


def _each(what: str, annotation: Any) -> str:
    return "" if annotation is Any else f", each {what} {describe(annotation)}"


def _length(limits: Sequence[Any]) -> str:
    """Return in brackets how many items or keys are allowed."""
    least = max((limit.min_length for limit in limits if isinstance(limit, at.MinLen)), default=0)
    most = min((limit.max_length for limit in limits if isinstance(limit, at.MaxLen)), default=None)
    if most is None:
        return f"(at least {'one' if least == 1 else least})" if least else ""
    if least == most:
        return f"(exactly {most})"
    return f"({least} to {most})" if least else f"(at most {most})"


def documented(cls: type[Any]) -> dict[str, str]:
    """Return the text of each entry of ``Args:`` or ``Attributes:`` in a Google-style docstring.

    The class's docstring has priority over its constructor's.
    """
    texts: dict[str, str] = {}
    for text in (inspect.getdoc(cls.__init__), inspect.getdoc(cls)):
        name, inside = "", False
        for line in (text or "").splitlines():
            entry = re.match(r"    (\w+)(?: \([^)]*\))?:(.*)", line)
            if not line.startswith(" ") and line:
                inside = line in ("Args:", "Attributes:")
            elif inside and entry:
                name, texts[entry[1]] = entry[1], entry[2].strip()
            elif inside and name and line:
                texts[name] = f"{texts[name]} {line.strip()}".strip()
    return texts


def plain(text: str) -> str:
    """Return docstring text on one line, without Sphinx's roles.

    >>> plain("``raw``; see :class:`~varkit.blocks.transformer.Position`")
    '`raw`; see `Position`'
    """
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text.replace("``", "`"))
    return " ".join(text.split())


def summary(cls: type[Any]) -> str:
    """Return the first line of a class's docstring."""
    return (inspect.getdoc(cls) or "").partition("\n")[0]
