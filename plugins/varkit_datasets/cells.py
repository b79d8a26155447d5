"""Cells of a table as values: the same rules for every file format.

A cell is text (all that CSV has), or what JSON and Parquet store: text, a number, a boolean, a
list, an object, or nothing. None, NaN and text without characters are an empty cell, for which
these functions return None. They raise a ValueError that says what is allowed.
"""

from __future__ import annotations

import math
import re
import unicodedata
from contextlib import suppress
from typing import Any

from varkit.errors import did_you_mean

SPLITS = ("train", "val", "test")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?", re.ASCII | re.IGNORECASE)
_LIST = re.compile(r"[\[{]\s*(['\"].*)?[\]}]|\(\s*(['\"]).*,.*\)|array\(\s*\[.*\].*\)", re.DOTALL)
"""How Python, numpy and JSON print a list, or an object, of texts."""
_NOTHING = {"nan", "none", "null", "<na>"}
"""How programs print an empty cell."""
INVISIBLE = re.compile("[\u00ad\u200b\u2060\ufeff\u202a-\u202e\u2066-\u2069]")
"""Characters without width, and those that turn the direction of writing."""


def text(cell: Any) -> str | None:
    """Return text without outer spaces."""
    if _empty(cell):
        return None
    if not isinstance(cell, str):
        raise ValueError(f"must be text; not {shown(cell)}")
    for character in cell:
        kind = unicodedata.category(character)
        if kind == "Cs" or (kind == "Cc" and character not in "\t\n\r"):
            raise ValueError(f"{shown(cell)} holds the control character {character!r}")
    return cell.strip() or None


def name(cell: Any) -> str | None:
    """Return text, or the digits of a whole number, without invisible characters."""
    value = text(str(cell) if type(cell) is int else cell)
    if value is not None and INVISIBLE.search(value):
        raise ValueError(f"{shown(value)} holds an invisible character")
    return value


def names(cell: Any) -> tuple[str, ...] | None:
    """Return the sorted names in ``A; B``, or in a list."""
    parts = cell if isinstance(cell, list) else (name(cell) or "").split(";")
    return tuple(sorted({part for item in parts if (part := name(item))})) or None


def split(cell: Any) -> str | None:
    """Return the name of a split."""
    value = text(cell)
    if value is not None and value not in SPLITS:
        allowed = ", ".join(SPLITS)
        raise ValueError(f"{shown(value)} is not one of {allowed}.{did_you_mean(value, SPLITS)}")
    return value


def captions(cell: Any) -> list[str] | None:
    """Return a caption, or those in a list."""
    if isinstance(cell, list):
        return [_caption(item) for item in cell] or None
    return None if _empty(cell) else [_caption(cell)]


def label(cell: Any) -> int | None:
    """Return 0 or 1."""
    written = str(cell).strip().lower() if isinstance(cell, (str, bool)) else cell
    try:
        value = number({"false": "0", "true": "1"}.get(written, written))
        if value is None or value in (0, 1):
            return None if value is None else int(value)
    except (ValueError, TypeError):
        pass
    raise ValueError(
        f"{shown(cell)} is not a label; allowed: 0, 0.0 or false (normal), 1, 1.0 or true "
        "(anomalous), empty (unknown)"
    )


def number(cell: Any) -> float | None:
    """Return a finite number."""
    value: Any = text(cell) if isinstance(cell, str) else cell
    if _empty(value):
        return None
    if type(value) in (int, float) or (isinstance(value, str) and _NUMBER.fullmatch(value)):
        with suppress(OverflowError):
            if math.isfinite(converted := float(value)):
                return converted
    raise ValueError(f"must be a number; not {shown(cell)}")


def positive(cell: Any) -> float | None:
    """Return a finite number above 0."""
    value = number(cell)
    if value is not None and value <= 0:
        raise ValueError(f"must be above 0; not {shown(cell)}")
    return value


def intervals(cell: Any) -> tuple[tuple[float, float], ...] | None:
    """Return the sorted (start, end) seconds in ``12.0-15.5; 80-92``, or in a list of pairs."""
    if isinstance(cell, list):
        parts = cell
    elif isinstance(cell, str) or _empty(cell):
        parts = [part.split("-") for part in (text(cell) or "").split(";") if part.strip()]
    else:
        parts = [None]
    pairs = []
    for part in parts:
        pair = isinstance(part, list) and len(part) == 2
        try:
            start, end = (number(side) for side in part) if pair else (None, None)
        except ValueError:
            start = end = None
        if start is None or end is None or not 0 <= start < end:
            raise ValueError(f"{shown(cell)} must be seconds, as in '12.0-15.5; 80-92'")
        pairs.append((start, end))
    return tuple(sorted(pairs)) or None


def shown(cell: Any) -> str:
    """Return a cell as a message shows it; invisible characters are escaped."""
    written = repr(cell)
    return written if len(written) <= 60 else f"{written[:57]}..."


def _caption(cell: Any) -> str:
    value = text(cell)
    if value is None or not INVISIBLE.sub("", value).strip():
        raise ValueError(
            f"{shown(cell)} is a caption without a word; leave the cell of a video without a "
            "caption empty"
        )
    if _LIST.fullmatch(value):
        raise ValueError(
            f"{shown(value)} is a list that was written as text; write a row for each caption, or "
            "a real list in JSON or Parquet"
        )
    if value.lower() in _NOTHING:
        raise ValueError(f"{shown(value)} is how programs write an empty cell; leave it empty")
    return value


def _empty(cell: Any) -> bool:
    # NaN is how pandas marks an empty cell.
    return cell is None or (isinstance(cell, float) and cell != cell) or cell == ""
