"""An .npz file: an array for each video, or one array of all videos beside their names."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Self

import numpy as np
from numpy.typing import NDArray

from varkit.system.inputs import InputError, check_user_file
from varkit.system.npy import Header, members, open_member, read_member
from varkit_datasets.importing.stacked import choose

FEW = 8
"""Most arrays of a file in which names and one array of all videos are looked for."""


class Archive:
    """An open .npz file.

    Args:
        path: of the file.
        key: of the array of all videos, where several could be it.

    Raises:
        InputError: it is damaged, or the names do not fit the array.
    """

    remarks: Sequence[str] = ()

    def __init__(self, path: Path, key: str | None) -> None:
        check_user_file(path)
        self._archive = zipfile.ZipFile(path)
        try:
            self._members = members(self._archive)
            self.names: Sequence[str] = list(self._members)
            self._rows: _Rows | None = None
            if len(self._members) <= FEW:
                headers = {name: self._header(name) for name in self._members}
                shapes = {name: (header.shape, header.dtype) for name, header in headers.items()}
                stacked = choose(shapes, key)
                if stacked is not None:
                    names = read_member(self._archive, self._members[stacked.names])
                    self.names = stacked.texts(names)
                    self._row = {name: row for row, name in enumerate(self.names)}
                    self._rows = _Rows(self._archive, self._members[stacked.array])
        except BaseException:
            self._archive.close()
            raise

    def read(self, name: str) -> NDArray[Any]:
        """Return the array of a video."""
        if self._rows is not None:
            return self._rows.read(self._row[name])
        return read_member(self._archive, self._members[name])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._rows is not None:
            self._rows.close()
        self._archive.close()

    def _header(self, name: str) -> Header:
        member, header = open_member(self._archive, self._members[name])
        member.close()
        return header


class _Rows:
    """The rows of an array in an archive; the next one is read without those before it."""

    def __init__(self, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> None:
        self._archive, self._info = archive, info
        self._member: IO[bytes] | None = None
        self._next = 0

    def read(self, row: int) -> NDArray[Any]:
        if self._member is None or row < self._next:
            self.close()
            self._member, self._header = open_member(self._archive, self._info)
            self._next = 0
        header, member = self._header, self._member
        if header.order == "F":
            raise InputError("holds all videos in Fortran's order; save it in C order")
        shape = header.shape[1:]
        size = math.prod(shape) * header.dtype.itemsize
        for _ in range(row - self._next):
            member.read(size)
        self._next = row + 1
        return np.frombuffer(member.read(size), header.dtype).reshape(shape)

    def close(self) -> None:
        if self._member is not None:
            self._member.close()
