"""A file of PyTorch's, or a pickle of numpy's: a dictionary of arrays by video."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from numpy.typing import NDArray

from varkit.errors import did_you_mean
from varkit.system.inputs import InputError
from varkit.system.unpickle import read_pickled
from varkit_datasets.findings import few


class Pickled:
    """A file with a dictionary; read whole, since a pickle cannot be read in parts.

    Args:
        path: of the file.
        key: of the dictionary, where it stands in another one; or of the array of each video.

    Raises:
        InputError: it is damaged, holds something else than data, or no dictionary.
    """

    remarks: Sequence[str] = ()

    def __init__(self, path: Path, key: str | None) -> None:
        content = read_pickled(path)
        if isinstance(content, dict) and key in content and isinstance(content[key], dict):
            content, key = content[key], None
        if not isinstance(content, dict):
            raise InputError(f"holds {_kind(content)}, not a dictionary of arrays by video")
        self._content: dict[str, Any] = {}
        for name, value in content.items():
            if self._content.setdefault(str(name), value) is not value:
                raise InputError(f"names video {str(name)!r} twice, as text and as a number")
        self._key = key
        self.names: Sequence[str] = list(self._content)

    def read(self, name: str) -> NDArray[Any]:
        """Return the array of a video."""
        value = self._content[name]
        if isinstance(value, dict):
            value = value[only([str(key) for key in value], self._key)]
        return _array(value)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._content = {}


def arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Return the arrays of a file of one video; a bare tensor is called after nothing.

    Raises:
        InputError: it is damaged, or holds something else than tensors.
    """
    content = read_pickled(path)
    if isinstance(content, dict):
        return {str(name): _array(value) for name, value in content.items()}
    return {"": _array(content)}


def only(names: Sequence[str], key: str | None) -> str:
    """Return the name of the array that is meant: the given one, or the only one.

    Raises:
        InputError: there is no such array, or several.
    """
    if key is None and len(names) == 1:
        return names[0]
    if key is None:
        raise InputError(f"holds {len(names)} arrays: {few(names)}; name one, as in PATH#NAME")
    if key not in names:
        raise InputError(f"holds no {key!r}.{did_you_mean(key, names)} It has: {few(names)}")
    return key


def _array(value: Any) -> NDArray[Any]:
    if isinstance(value, list) and value and all(isinstance(row, torch.Tensor) for row in value):
        if len({row.shape for row in value}) > 1:
            raise InputError("holds a list of tensors of different shapes")
        value = torch.stack(value)
    if not isinstance(value, torch.Tensor):
        raise InputError(f"holds {_kind(value)}, not a tensor")
    if value.dtype == torch.bfloat16:
        value = value.float()
    array: NDArray[Any] = value.detach().numpy()
    return array


def _kind(value: Any) -> str:
    return "a tensor" if isinstance(value, torch.Tensor) else f"a {type(value).__name__}"
