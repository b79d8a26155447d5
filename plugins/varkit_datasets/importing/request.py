"""What to import, and whether that can be."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from varkit.errors import DataError, did_you_mean
from varkit_datasets.importing import LAYOUTS

Missing = Literal["refuse", "leave-out", "may-lack"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import.

    Attributes:
        layout: a key of :data:`varkit_datasets.importing.LAYOUTS`.
        captions: (split, file) pairs; None = the file says the split.
        features: stream -> path, as of :func:`.containers.open_container`.
        out: the folder to write.
        lists: (split, file) pairs that decide the splits instead.
        renamed: a data set's name of a split -> varkit's, or ``none``.
        options: of the layout.
        missing: videos without features of a stream: an error, left out, or allowed to lack it.
        crops_axis: of arrays with three axes; 0 = (C, T, D), 1 = (T, C, D).
        centre: which crop is the centre; it comes first in the files that are written.
        force: replace a folder that another import wrote.
    """

    layout: str
    captions: Sequence[tuple[str | None, Path]]
    features: Mapping[str, str]
    out: Path
    lists: Sequence[tuple[str, Path]] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: Missing = "refuse"
    crops_axis: Literal[0, 1] = 0
    centre: int = 0
    force: bool = False


def check(request: Request) -> None:
    """Raise a DataError over the request itself."""
    layout = request.layout
    if layout not in LAYOUTS:
        raise DataError(
            f"no layout {layout!r}.{did_you_mean(layout, LAYOUTS)} Known: {', '.join(LAYOUTS)}"
        )
    if bool(request.captions) == (layout == "features"):
        which = "reads no captions" if request.captions else "needs at least one file of captions"
        raise DataError(f"layout {layout} {which}")
    if not request.features:
        raise DataError(
            "no features are named", hint="--features object=PATH names those of a stream"
        )
    for stream in request.features:
        if not re.fullmatch(r"[A-Za-z_][\w.-]*", stream, re.ASCII):
            raise DataError(
                f"stream {stream!r} must be a name of letters, digits, '_', '.' and '-'"
            )
    known = [] if layout == "features" else _options(reader_of(layout))
    for option in request.options:
        if option not in known:
            has = ", ".join(f"--{name}" for name in known) or "none"
            raise DataError(f"layout {layout} has no option --{option}; its options: {has}")


def reader_of(layout: str) -> Callable[..., None]:
    """Return the function that reads a file of a layout."""
    reader: Callable[..., None] = importlib.import_module(f"{__package__}.{layout}").read
    return reader


def _options(reader: Callable[..., None]) -> list[str]:
    parameters = inspect.signature(reader).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]
