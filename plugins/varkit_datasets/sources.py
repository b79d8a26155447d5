"""The file and name of an array of features."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import Literal

SUFFIXES = (".npy", ".npz", ".safetensors")
_MEMBER = re.compile(r"(?P<file>.*\.(?:npz|safetensors))#(?P<key>.+)")


class FeatureError(ValueError):
    """What is wrong with a feature file; the caller adds which video it belongs to."""


@dataclass(frozen=True)
class Source:
    """The place of one array.

    Attributes:
        file: a .npy, .npz or .safetensors file.
        key: the array's name in a .npz or .safetensors file; None = its only one.
        crops_axis: 0 = an array of three axes is (C, T, D); 1 = (T, C, D).
    """

    file: Path
    key: str | None = None
    crops_axis: Literal[0, 1] = 0

    def __str__(self) -> str:
        return str(self.file) if self.key is None else f"{self.file}#{self.key}"


def locate(root: Path, cell: str) -> Source:
    """Return the source that a manifest's cell names, e.g. ``rgb/a.npy`` or ``all.npz#a``.

    Raises:
        FeatureError: the path is absolute, leaves ``root``, or is of no known kind.
    """
    match = _MEMBER.fullmatch(cell)
    name, key = (match["file"], match["key"]) if match else (cell, None)
    path = Path(name)
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\0" in name:
        raise FeatureError(f"{cell!r} must be a path below the root, without '..'")
    if path.suffix not in SUFFIXES:
        raise FeatureError(f"{cell!r} is not a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    return Source(root / path, key)
