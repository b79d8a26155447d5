"""Finds the media files of a folder, without opening one."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from varkit.errors import MediaError

SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".3gp", ".mkv", ".webm", ".avi", ".ts", ".mts", ".m2ts", ".mpg"),
    *(".mpeg", ".vob", ".flv", ".wmv", ".asf", ".mxf", ".dv", ".dav", ".gif", ".ogv", ".h264"),
    *(".264", ".h265", ".hevc", ".mjpeg", ".mjpg", ".ogg", ".oga", ".opus", ".wav", ".flac"),
    *(".mp3", ".m4a", ".aac", ".wma", ".aif", ".aiff", ".amr"),
)
"""Names with these endings, in any case, are taken for media; the content decides later."""


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        files: the media files, in the order of their names; ``root / name`` opens one. Names that
            are not UTF-8 have surrogates, as everywhere in Python.
        skipped: what looked like media or could not be looked at, with the reason.
    """

    root: Path
    files: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]


def find_media(root: Path) -> Listing:
    """Return the media files of a folder and of all folders in it, or the one file named.

    Links to files inside of the folder are followed. Links to folders are not, so no folder comes
    twice and none forever. Whatever leads out of the folder is skipped.

    Args:
        root: a folder, or a file with any ending.

    Raises:
        MediaError: there is no such file or folder.
    """
    try:
        real = root.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise MediaError(f"{root} cannot be found: {error}") from error
    if not real.is_dir():
        return Listing(root.parent, (Path(root.name),), ())
    files: list[Path] = []
    skipped: list[tuple[Path, str]] = []

    def unreadable(error: OSError) -> None:
        place = Path(error.filename).relative_to(root)
        skipped.append((place, f"it cannot be read: {error.strerror}"))

    for folder, folders, names in os.walk(root, onerror=unreadable):
        place = Path(folder).relative_to(root)
        links = [name for name in folders if os.path.islink(os.path.join(folder, name))]
        skipped += [(place / name, "it is a link to a folder") for name in links]
        for name in names:
            if name.lower().endswith(SUFFIXES):
                reason = _unfit(Path(folder, name), real)
                if reason is None:
                    files.append(place / name)
                else:
                    skipped.append((place / name, reason))
    return Listing(root, tuple(sorted(files)), tuple(sorted(skipped)))


def _unfit(path: Path, root: Path) -> str | None:
    """Return why a file is skipped, or None."""
    if path.name.startswith("."):
        return "its name begins with a dot"
    try:
        real = path.resolve(strict=True)
        status = real.stat()
    except (OSError, RuntimeError):
        return "it is a link that leads nowhere"
    if path.is_symlink() and not real.is_relative_to(root):
        return "it is a link that leads out of the folder"
    if not stat.S_ISREG(status.st_mode):
        return "it is not a file"
    return None if status.st_size else "it is empty"
