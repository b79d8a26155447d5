"""A component's constructor is its recipe schema: this module reads it and checks values with it.

Values come from YAML, so they are JSON values, and pydantic checks them strictly: text is not a
number, a number is not a boolean, 1.0 is not a whole number. A tuple accepts a list, a float 1.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import typing
from collections import abc
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError, to_jsonable_python

from varkit.errors import PluginError, RecipeError, did_you_mean
from varkit.interfaces.limits import IsPath
from varkit.plugins.isolation import contained
from varkit.plugins.kinds import SUPPLIED
from varkit.recipe.descriptions import describe, documented
from varkit.recipe.yaml import KeyPath

REQUIRED: Any = inspect.Parameter.empty
"""The default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """One option of a component or of a recipe's section.

    Attributes:
        name: the key in the recipe.
        annotation: the type of its values, including limits.
        default: :data:`REQUIRED` if there is none.
        doc: its description in the class's docstring.
    """

    name: str
    annotation: Any
    default: Any
    doc: str

    @property
    def required(self) -> bool:
        """Whether a recipe must give it."""
        return self.default is REQUIRED

    @property
    def is_path(self) -> bool:
        """Whether its text is a path."""
        return _is_path(self.annotation)

    @property
    def is_block(self) -> bool:
        """Whether it is a block of single values, under keys that may hold dots."""
        if typing.get_origin(self.annotation) is not Mapping:
            return False
        item = typing.get_args(self.annotation)[1]
        return item is not Any and typing.get_origin(item) is not Mapping

    def adapter(self) -> TypeAdapter[Any]:
        """Return the strict checker of its values.

        Raises:
            PluginError: values of this annotation cannot be checked.
        """
        config = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
        try:
            return TypeAdapter(self.annotation, config=config)
        except PydanticUserError as error:
            raise PluginError(
                f"option {self.name!r}: values of {self.annotation!r} cannot be checked: "
                f"{error.message}"
            ) from error

    def plain_default(self) -> Any:
        """Return the default as a recipe would write it.

        Raises:
            PluginError: a recipe cannot hold it.
        """
        try:
            return to_jsonable_python(self.default)
        except PydanticSerializationError as error:
            raise PluginError(
                f"option {self.name!r}: its default {self.default!r} cannot stand in a recipe"
            ) from error


def options_of(cls: type[Any]) -> dict[str, Option]:
    """Return a class's options: its constructor's keyword-only arguments, in order.

    Raises:
        PluginError: an option has no annotation, or one that cannot be resolved.
    """
    docs = documented(cls)
    factories = _default_factories(cls)
    options = {}
    for parameter in _parameters(cls, inspect.Parameter.KEYWORD_ONLY):
        name = parameter.name
        if parameter.annotation is inspect.Parameter.empty:
            raise PluginError(f"{_name(cls)}: option {name!r} has no annotation")
        default = factories[name]() if name in factories else parameter.default
        annotation = _resolve(cls, name, parameter.annotation)
        options[name] = Option(name, annotation, default, docs.get(name, ""))
    return options


def supplied_to(cls: type[Any]) -> tuple[str, ...]:
    """Return what a class needs from the build: its constructor's positional arguments, in order.

    Raises:
        PluginError: the build does not supply an argument of this name.
    """
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    names = tuple(parameter.name for parameter in _parameters(cls, *kinds))
    for name in names:
        if name not in SUPPLIED:
            raise PluginError(
                f"{_name(cls)}: the build does not supply positional argument {name!r}."
                f"{did_you_mean(name, SUPPLIED)} It supplies {', '.join(SUPPLIED)}.",
                hint=f"if {name!r} is an option, put it after a * in the constructor",
            )
    return names


def check_options(
    cls: type[Any], values: Mapping[str, Any], written: Mapping[KeyPath, str] | None = None
) -> tuple[dict[str, Any], list[tuple[KeyPath, str]]]:
    """Check values against a class's options and add the defaults.

    Args:
        cls: a component's class, or a dataclass of :mod:`varkit.interfaces.settings`.
        values: as read from YAML.
        written: path below the block -> the value as text on the command line. It is used where
            YAML makes something else of it that the option does not allow: a folder named 2024.

    Returns:
        All options with a valid value or a default, and the problems: the path below the block of
        values, and what is wrong.

    Raises:
        PluginError: the class's own annotations or defaults are faulty.
    """
    options = options_of(cls)
    problems: list[tuple[KeyPath, str]] = [
        ((key,), f"no such option.{did_you_mean(key, options)} Known: {_list(options)}.")
        for key in values
        if key not in options
    ]
    complete = {}
    for name, option in options.items():
        if name not in values and option.required:
            problems.append(((name,), f"is required: {describe(option.annotation)}"))
            continue
        try:
            value = _kept(option, values[name]) if name in values else option.plain_default()
            complete[name] = _valid(option, value, written or {})
        except ValidationError as error:
            if name not in values:
                raise PluginError(
                    f"{_name(cls)}: the default of option {name!r} is not allowed: "
                    f"{_wrong(option, value, error)[0][1]}"
                ) from error
            problems += _wrong(option, value, error)
        except PluginError as error:
            raise PluginError(f"{_name(cls)}: {error.what}") from error
    return complete, problems


def construct(cls: type[Any], options: Mapping[str, Any], supplies: Mapping[str, Any]) -> Any:
    """Build a component.

    Args:
        cls: its class.
        options: complete and checked.
        supplies: what the build supplies, by the names in ``SUPPLIED``.

    Raises:
        RecipeError: the constructor refuses this combination of values with a ValueError.
        PluginError: it needs an argument that its kind is not given, or fails in any other way.
    """
    names = supplied_to(cls)
    for name in names:
        if name not in supplies:
            raise PluginError(
                f"{_name(cls)} asks for {name!r}, which its kind is not given; "
                f"given: {_list(supplies)}"
            )
    with contained(f"{_name(cls)} cannot be built: ", cls.__module__):
        try:
            return cls(*(supplies[name] for name in names), **options)
        except ValueError as error:
            raise RecipeError([f"{_name(cls)}: {error}"]) from error


def _valid(option: Option, value: Any, written: Mapping[KeyPath, str]) -> Any:
    adapter = option.adapter()
    try:
        return adapter.validate_json(json.dumps(value))
    except ValidationError:
        texts = _texts(value, (option.name,), written)
        if texts != value:
            with suppress(ValidationError):
                return adapter.validate_json(json.dumps(texts))
        raise


def _texts(value: Any, path: KeyPath, written: Mapping[KeyPath, str]) -> Any:
    """Return a value with what stood on the command line in place of what YAML made of it."""
    if value is not None and path in written:
        return written[path]
    if isinstance(value, dict):
        return {key: _texts(item, (*path, key), written) for key, item in value.items()}
    return value


def _kept(option: Option, value: Any) -> Any:
    """Return a block of keys without those that a later layer removed with null."""
    if not isinstance(value, dict) or typing.get_origin(option.annotation) is not Mapping:
        return value
    _, item = typing.get_args(option.annotation)
    if item is Any or type(None) in typing.get_args(item):  # here null is a value
        return value
    return {key: kept for key, kept in value.items() if kept is not None}


def _wrong(option: Option, value: Any, error: ValidationError) -> list[tuple[KeyPath, str]]:
    """Return what is wrong with a value, at most once for each path in it."""
    problems: dict[KeyPath, str] = {}
    allowed = describe(option.annotation)
    for fault in error.errors(include_url=False):
        path: KeyPath = (option.name,)
        inner = value
        for key in fault["loc"]:  # also contains branches of unions, which are not keys
            if not _holds(inner, key):
                break
            inner, path = inner[key], (*path, key)
        if fault["type"] in ("value_error", "assertion_error"):
            problems.setdefault(path, fault["msg"])
            continue
        texts = [text for text in _literals(option.annotation) if isinstance(text, str)]
        close = did_you_mean(inner, texts) if isinstance(inner, str) else ""
        problems.setdefault(path, f"must be {allowed}; not {_show(inner)}.{close}")
    return list(problems.items())


def _is_path(annotation: Any) -> bool:
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Annotated:
        return any(isinstance(mark, IsPath) for mark in arguments[1:])
    return any(map(_is_path, arguments))


def _holds(value: Any, key: str | int) -> bool:
    if isinstance(value, list):
        return isinstance(key, int) and key < len(value)
    return isinstance(value, dict) and key in value


def _literals(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Literal:
        return list(typing.get_args(annotation))
    return [text for argument in typing.get_args(annotation) for text in _literals(argument)]


def _show(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _list(names: abc.Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _name(cls: type[Any]) -> str:
    return f"{cls.__module__}.{cls.__qualname__}"


def _parameters(cls: type[Any], *kinds: Any) -> list[inspect.Parameter]:
    """Return constructor parameters of these kinds, so without ``*args`` and ``**kwargs``."""
    try:
        signature = inspect.signature(cls)
    except (TypeError, ValueError) as error:
        raise PluginError(f"{_name(cls)}: its constructor has no readable signature") from error
    return [parameter for parameter in signature.parameters.values() if parameter.kind in kinds]


def _resolve(cls: type[Any], name: str, annotation: Any) -> Any:
    """Evaluate an annotation that ``from __future__ import annotations`` left as text.

    This is done for each option alone: those of positional arguments may use names that only type
    checkers import.
    """
    if not isinstance(annotation, str):
        return annotation
    scope = inspect.unwrap(cls.__init__).__globals__
    try:
        return eval(annotation, dict(scope))
    except Exception as error:
        raise PluginError(
            f"{_name(cls)}: annotation {annotation!r} of option {name!r} cannot be resolved: "
            f"{type(error).__name__}: {error}"
        ) from error


def _default_factories(cls: type[Any]) -> dict[str, Any]:
    if not dataclasses.is_dataclass(cls):
        return {}
    return {
        field.name: field.default_factory
        for field in dataclasses.fields(cls)
        if field.default_factory is not dataclasses.MISSING
    }
