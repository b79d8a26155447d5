"""When and by which camera something was recorded, as far as a file and its name say."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import PurePath
from typing import Literal

from varkit.errors import DataError

EARLIEST = 1980
"""Cameras that do not know the time say 1904 or 1970."""
_DATE = r"(?<!\d)((?:19|20)\d\d)([-_.]?)(\d\d)\2(\d\d)"
_TIME = r"(\d\d)([-_.:h]?)(\d\d)(?:\6|m)(\d\d)(?:\d{3})?(?!\d)"
_MOMENT = re.compile(rf"{_DATE}(?:[-_./T @]{{0,3}}| at ){_TIME}(Z?)")
"""Year to day, then hour to second, with or without separators; milliseconds may follow."""


@dataclass(frozen=True)
class Start:
    """The start of a recording.

    Attributes:
        time: with its time zone where one is known; else by the camera's clock.
        source: what says so.
    """

    time: datetime
    source: Literal["metadata", "name"]


def start_of(name: PurePath, created: str | None) -> Start | None:
    """Return when a recording started, or None if nothing says so.

    The metadata come first. Programs that cut or convert a video write the time of doing so there,
    and some cameras the end of the recording; nothing tells these apart.

    Args:
        name: the file's place in its folder. The date may be the name of a folder.
        created: the creation time in the metadata.

    >>> start_of(PurePath("gate/NVR_20240501134530_20240501140000.mp4"), None).time.isoformat()
    '2024-05-01T13:45:30'
    """
    with suppress(ValueError):
        time = datetime.fromisoformat((created or "").strip())
        if time.year > EARLIEST:
            return Start(time, "metadata")
    for text in (name.name, name.as_posix()):
        for match in _MOMENT.finditer(text):
            year, _, month, day, hour, _, minute, second, zone = match.groups()
            with suppress(ValueError):  # month 13
                moment = f"{year}-{month}-{day}T{hour}:{minute}:{second}{zone}"
                return Start(datetime.fromisoformat(moment), "name")
    return None


def camera_of(name: PurePath, pattern: str | None = None) -> str | None:
    """Return the camera of a recording, or None if nothing says which.

    Args:
        name: the file's place in its folder.
        pattern: a regular expression with a group ``camera``, searched for in ``name`` written with
            slashes. Without a pattern, the outermost folder of ``name`` is the camera.

    Raises:
        DataError: the pattern is not one, or lacks the group.

    >>> camera_of(PurePath("gate/2024-05-01/13.mp4"))
    'gate'
    >>> camera_of(PurePath("ch2_main.mp4"), r"ch(?P<camera>[0-9]+)_")
    '2'
    """
    if pattern is None:
        return name.parts[0] if len(name.parts) > 1 else None
    try:
        compiled = re.compile(pattern)
    except re.error as error:
        raise DataError(f"the pattern of cameras {pattern!r} is wrong: {error}") from error
    if "camera" not in compiled.groupindex:
        hint = "name the part that is the camera: (?P<camera>...)"
        raise DataError(f"the pattern of cameras {pattern!r} has no group camera", hint=hint)
    match = compiled.search(name.as_posix())
    return match["camera"] if match else None
