"""Features as the field keeps them: in a folder of files, or all in one file, by video.

An array is read when it is asked for, one at a time, except from pickles, which are read whole.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol, Self

from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.system.inputs import open_user_file, reading
from varkit_datasets.findings import absence

HDF5 = (".h5", ".hdf5", ".hdf", ".mat")
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
KINDS = (".npy", ".npz", *HDF5, *PICKLES)
_OLD_MATLAB = b"MATLAB 5.0 MAT-file"


class Container(Protocol):
    """Arrays by name; a context manager.

    Attributes:
        names: of the arrays, in the order in which they are read fastest.
        remarks: what users should know.
    """

    names: Sequence[str]
    remarks: Sequence[str]

    def read(self, name: str) -> NDArray[Any]:
        """Return an array of numbers.

        Raises:
            InputError: it is damaged, or not of numbers.
        """

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def open_container(given: str, videos: Collection[str]) -> AbstractContextManager[Container]:
    """Open a folder or a file.

    Args:
        given: its path. ``FILE#NAME`` means the array NAME of each video, or of all of them.
            ``FOLDER/{video}_rgb.npy`` means files of these names.
        videos: names of videos that files may be called, by which crops are told from names.

    Raises:
        DataError: it is missing, unreadable, refused, or of no known kind.
    """
    from varkit_datasets.importing.archive import Archive
    from varkit_datasets.importing.files import Files
    from varkit_datasets.importing.hdf5 import Hdf5
    from varkit_datasets.importing.pickled import Pickled

    path, key = _parts(given)
    if "{video}" in path.name:
        return Files(path.parent, videos, key, pattern=path.name)
    if path.is_dir():
        return Files(path, videos, key)
    if (why := absence(path)) is not None:
        raise DataError(why)
    suffix = path.suffix.lower()
    with reading(path):
        if suffix in HDF5:
            with open_user_file(path) as file:
                if file.read(len(_OLD_MATLAB)) == _OLD_MATLAB:
                    raise DataError(
                        f"{path} is in MATLAB's older format, which is not read",
                        hint="in MATLAB: save('FILE.mat', 'VARIABLE', '-v7.3')",
                    )
            return Hdf5(path, key)
        if suffix == ".npz":
            return Archive(path, key)
        if suffix in PICKLES:
            return Pickled(path, key)
    raise DataError(
        f"{path} is not a folder, or a file of features by video",
        hint=f"known: {', '.join(KINDS[1:])}; files of one video each are named by their folder",
    )


def _parts(given: str) -> tuple[Path, str | None]:
    """Return the path and what follows ``#``; a path that exists may hold ``#`` itself."""
    path, mark, key = given.rpartition("#")
    return (Path(path), key) if mark and key and not Path(given).exists() else (Path(given), None)
