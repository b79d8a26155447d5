"""JSON that varkit wrote, read back.

Its shape is checked, so a damaged file, or one of another version, is an error that names the key
instead of a KeyError somewhere later.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from varkit.errors import RunError
from varkit.system.inputs import read_user_file, reading

T = TypeVar("T")


def read_json(path: Path, kind: type[T], *, hint: str | None = None) -> T:
    """Read a JSON file.

    Args:
        path: the file.
        kind: what it must hold, such as a TypedDict; further keys are allowed.
        hint: what to do if it is damaged.

    Raises:
        RunError: the file cannot be read, or is damaged.
    """
    with reading(path, RunError):
        data = read_user_file(path)
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path} is damaged: {error}", hint=hint) from error
    return checked(value, kind, str(path), hint=hint)


def checked(value: Any, kind: type[T], where: str, *, hint: str | None = None) -> T:
    """Return a JSON value as what it must be; nothing in it is converted.

    Args:
        value: from JSON.
        kind: what it must be.
        where: it is from.
        hint: what to do if it is damaged.

    Raises:
        RunError: it is something else; the message names the first wrong key.
    """
    if (fault := wrong(value, kind)) is not None:
        raise RunError(f"{where} is damaged, or of another version of varkit: {fault}", hint=hint)
    typed: T = value
    return typed


def wrong(value: Any, kind: Any) -> str | None:
    """Return the first key of a JSON value whose content has the wrong type, and why.

    >>> wrong({"seeds": [0, "1"]}, dict[str, list[int]])
    'seeds.1: input should be a valid integer'
    """
    from pydantic import ValidationError

    try:
        _adapter(kind).validate_python(value, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        key = ".".join(map(str, first["loc"])) or "the whole"
        return f"{key}: {first['msg'][:1].lower()}{first['msg'][1:]}"
    return None


@cache
def _adapter(kind: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
