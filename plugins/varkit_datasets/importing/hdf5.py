"""An HDF5 file, such as MATLAB's since 7.3: an array for each video.

Four layouts are known. ``NAME`` is an array; ``NAME/KEY`` is one, in a group for each video;
``NAMES`` has the names of all videos beside one array of their features; or, in MATLAB, beside a
cell array of them.

Files are untrusted. What leads out of the file (links, arrays in other files) is refused, and so is
a size that the bytes on disk cannot have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.system.inputs import InputError, check_user_file, expect_plausible
from varkit_datasets.importing.pickled import only
from varkit_datasets.importing.stacked import Stacked, choose

FEW = 8
"""Most arrays of a file in which names and one array of all videos are looked for."""
HIDDEN = ("#refs#", "#subsystem#")
"""Where MATLAB keeps the cells of cell arrays."""


class Hdf5:
    """An open HDF5 file.

    Args:
        path: of the file.
        key: of the group that holds all videos; of the array in each video's group; or of the array
            of all videos.

    Raises:
        DataError: h5py is not installed.
        InputError: it is damaged, or leads out of the file.
    """

    remarks: Sequence[str] = ()

    def __init__(self, path: Path, key: str | None) -> None:
        try:
            import h5py  # here, since it is an extra
        except ImportError as error:
            raise DataError(
                f"reading {path} needs h5py", hint="pip install 'varkit[import]'"
            ) from error
        check_user_file(path)
        self._h5py, self._key = h5py, key
        self._file = h5py.File(path, "r", locking="best-effort")
        try:
            self._root: Any = self._file
            if key is not None and key in list(self._file):
                named = self._object(self._file, key)
                if isinstance(named, h5py.Group):
                    self._root, self._key = named, None
            self.names: Sequence[str] = [name for name in _names(self._root) if name not in HIDDEN]
            self._stacked: Stacked | None = None
            self._refs: dict[str, Any] = {}  # of the cells of a cell array
            if len(self.names) <= FEW:
                self._look_for_names()
        except BaseException:
            self._file.close()
            raise

    def read(self, name: str) -> NDArray[Any]:
        """Return the array of a video."""
        if self._stacked is not None:
            return self._numbers(self._object(self._root, self._stacked.array), self._row[name])
        if self._refs:
            return self._numbers(self._file[self._refs[name]])
        held = self._object(self._root, name)
        if isinstance(held, self._h5py.Group):
            held = self._object(held, only(_names(held), self._key))
        return self._numbers(held)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _look_for_names(self) -> None:
        """Find the names of all videos in one of the file's few arrays."""
        objects = {name: self._object(self._root, name) for name in self.names}
        held = {n: each for n, each in objects.items() if isinstance(each, self._h5py.Dataset)}
        cells = {n: each for n, each in held.items() if self._h5py.check_ref_dtype(each.dtype)}
        texts = {n: names for n, each in cells.items() if (names := self._texts(each)) is not None}
        if len(texts) == 1 and len(cells) == 2:  # MATLAB: a cell array of names, one of features
            ((called, names),) = texts.items()
            (features,) = cells.keys() - texts.keys()
            refs = self._references(cells[features])
            if len(refs) != len(names):
                raise InputError(
                    f"has {len(names):,} names in {called!r}, but {len(refs):,} cells in "
                    f"{features!r}"
                )
            self.names = Stacked(called, features).texts(np.array(names))
            self._refs = dict(zip(self.names, refs, strict=True))
            return
        known = {n: (_dims(each), _dtype(self._h5py, each)) for n, each in held.items()}
        known |= {n: ((len(names),), np.dtype("U1")) for n, names in texts.items()}
        if len(held) < len(objects):  # groups are videos
            return
        stacked = choose(known, self._key)
        if stacked is not None:
            names = texts.get(stacked.names)
            if names is None:
                _check(held[stacked.names])
                names = list(held[stacked.names][()])
            self._stacked, self.names = stacked, stacked.texts(np.array(names, dtype=object))
            self._row = {name: row for row, name in enumerate(self.names)}

    def _object(self, group: Any, name: str) -> Any:
        """Return a member of a group that is in this file."""
        link = group.get(name, getlink=True)
        if not isinstance(link, self._h5py.HardLink):
            to = "another file" if isinstance(link, self._h5py.ExternalLink) else "another name"
            raise InputError(f"holds {name!r} as a link to {to}; refused")
        return group[name]

    def _references(self, cells: Any) -> list[Any]:
        _check(cells)
        return list(cells[()].ravel())

    def _texts(self, cells: Any) -> list[str] | None:
        """Return the texts of a cell array; None if its cells are not texts."""
        texts = []
        for reference in self._references(cells):
            cell = self._file[reference] if reference else None
            if cell is None or _matlab(cell) != "char":
                return None
            _check(cell)
            codes = cell[()].ravel()
            if codes.dtype != np.uint16:
                raise InputError(f"holds a text of {codes.dtype}, which MATLAB does not write")
            texts.append(codes.astype("<u2").tobytes().decode("utf-16-le"))
        return texts or None

    def _numbers(self, held: Any, row: int | None = None) -> NDArray[Any]:
        """Return an array, or one row of it; MATLAB's axes are turned back."""
        if not isinstance(held, self._h5py.Dataset):
            raise InputError("holds a group, not an array")
        if held.dtype.kind not in "fiu":
            raise InputError(f"holds {held.dtype}, not numbers")
        _check(held)
        matlab = _matlab(held)
        if matlab is not None and held.attrs.get("MATLAB_empty", 0):
            return np.empty((0, 0), np.float32)
        where = () if row is None else (..., row) if matlab else row
        array: NDArray[Any] = held[where]
        return array.T if matlab else array


def _names(group: Any) -> list[str]:
    """Return what a group holds; h5py has names that are not text as bytes."""
    names = list(group)
    if odd := next((name for name in names if not isinstance(name, str)), None):
        raise InputError(f"holds a name that is not UTF-8 text: {odd!r}")
    return names


def _check(held: Any) -> None:
    """Refuse an array that is in another file, too large to be true, or cannot be unpacked."""
    from h5py import h5z

    if held.is_virtual or held.external:
        raise InputError("keeps its numbers in other files; refused")
    if held.shape is None:
        raise InputError("is empty: it has no shape")
    stored = held.id.get_storage_size()
    expect_plausible(held.size * held.dtype.itemsize, stored)
    if held.chunks is not None:  # a chunk is unpacked whole, even where the array is small
        expect_plausible(math.prod(held.chunks) * held.dtype.itemsize, stored)
    plist = held.id.get_create_plist()
    for code, *_ in (plist.get_filter(number) for number in range(plist.get_nfilters())):
        if not h5z.filter_avail(code):
            raise InputError(
                f"is compressed by filter {code}, which is not installed; "
                "h5repack -f GZIP=4 IN OUT writes it in a way that is always read"
            )


def _matlab(held: Any) -> str | None:
    """Return the class that MATLAB gives an array, such as ``single`` or ``char``."""
    given = held.attrs.get("MATLAB_class")
    return given.decode("ascii", "replace") if isinstance(given, bytes) else given


def _dims(held: Any) -> tuple[int, ...]:
    """Return the shape as its writer sees it."""
    dims: tuple[int, ...] = held.shape or ()
    return dims[::-1] if _matlab(held) else dims


def _dtype(h5py: Any, held: Any) -> np.dtype[Any]:
    """Return the type of an array; text of any length counts as text."""
    text = h5py.check_string_dtype(held.dtype) is not None
    dtype: np.dtype[Any] = np.dtype("U1") if text else held.dtype
    return dtype
