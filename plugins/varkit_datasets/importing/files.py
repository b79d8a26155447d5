"""A file for each video, or for each crop of it."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.system.inputs import InputError, open_user_file
from varkit.system.npy import read_header
from varkit_datasets.feature_files import DEPTH, files_below
from varkit_datasets.findings import Findings, absence, lines
from varkit_datasets.importing.archive import Archive
from varkit_datasets.importing.containers import PICKLES
from varkit_datasets.importing.pickled import arrays, only

SUFFIXES = (".npy", ".npz", *PICKLES)
_CROP = re.compile(r"(?P<video>.+?)(?P<mark>__?)(?P<crop>\d{1,2})")


class Files:
    """The files below a folder, up to three folders deep.

    ``NAME__0.npy``, ``NAME__1.npy``, ... are crops of one video, as XD-Violence's are called; so
    are ``NAME_0.npy``, ... where NAME is a known video and ``NAME_0`` is not.

    Args:
        root: the folder.
        videos: the known videos.
        key: of the array in files that hold several.
        pattern: how files are called, as in ``{video}_rgb.npy``; None = ``{video}`` and a suffix.

    Raises:
        DataError: the folder is missing, unreadable, or has two files of one name.
    """

    def __init__(
        self, root: Path, videos: Collection[str], key: str | None, *, pattern: str | None = None
    ) -> None:
        if (why := absence(root, folder=True)) is not None:
            raise DataError(why)
        findings, self._key = Findings(), key
        self._files: dict[str, dict[int, Path]] = {}
        extra = []
        for path in files_below(root, DEPTH, findings):
            stem = _stem(path.name, pattern)
            if stem is None:
                extra.append(path.name)
                continue
            video, crop = _crop(stem, videos)
            known = self._files.setdefault(video, {}).setdefault(crop, path)
            if known != path:
                findings.fault(f"{root} has two files of {stem!r}: {known} and {path}")
        if findings.faults:
            raise DataError("\n  ".join(lines(findings.faults)))
        self.names: Sequence[str] = list(self._files)
        self.remarks: Sequence[str] = (
            [f"{root}: {len(extra):,} files are no features, such as {extra[0]!r}"] if extra else []
        )

    def read(self, name: str) -> NDArray[Any]:
        """Return an array, or the crops of one as (C, T, D)."""
        crops = self._files[name]
        if -1 in crops and len(crops) > 1:
            raise InputError("has a file for each crop, and another one")
        if -1 in crops:
            return read_one(crops[-1], self._key)
        if sorted(crops) != list(range(len(crops))):
            raise InputError(f"has crops {', '.join(map(str, sorted(crops)))}; some are missing")
        read = [read_one(crops[number], self._key) for number in range(len(crops))]
        if len({array.shape for array in read}) > 1:
            shapes = ", ".join(str(array.shape) for array in read)
            raise InputError(f"has crops of different shapes: {shapes}")
        return np.stack(read)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is open."""


def read_one(path: Path, key: str | None) -> NDArray[Any]:
    """Return the array of a file: its only one, or the one that is named.

    Raises:
        InputError: it is damaged, or holds no such array.
    """
    if path.suffix == ".npy":
        with open_user_file(path) as file:
            header = read_header(file, os.fstat(file.fileno()).st_size)
            numbers: NDArray[Any] = np.fromfile(file, header.dtype)
            return numbers.reshape(header.shape, order=header.order)
    if path.suffix == ".npz":
        with Archive(path, None) as archive:
            return archive.read(only(archive.names, key))
    held = arrays(path)
    return held[only(list(held), key)]


def _stem(name: str, pattern: str | None) -> str | None:
    """Return the part of a file's name that ``{video}`` stands for."""
    if pattern is None:
        suffix = next((suffix for suffix in SUFFIXES if name.endswith(suffix)), None)
        return None if suffix is None else name.removesuffix(suffix)
    before, _, after = pattern.partition("{video}")
    match = re.fullmatch(f"{re.escape(before)}(.+){re.escape(after)}", name)
    return None if match is None or not name.endswith(SUFFIXES) else match[1]


def _crop(stem: str, videos: Collection[str]) -> tuple[str, int]:
    """Return the video and the number of the crop; -1 = the file holds all."""
    match = _CROP.fullmatch(stem)
    if match is None or stem in videos:
        return stem, -1
    certain = match["video"] in videos or (match["mark"] == "__" and not videos)
    return (match["video"], int(match["crop"])) if certain else (stem, -1)
