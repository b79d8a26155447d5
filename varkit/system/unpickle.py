"""Weights and features in pickles, from untrusted files: the only place that reads pickles.

Three formats are read: a numpy pickle (nested dicts of arrays), PyTorch's files (``.pt``, ``.pth``,
archives) and PyTorch's files from before 1.6. A pickle can name any function to be called. Here
names lead to stand-ins of this module, whatever they are in Python; a name without a stand-in is
refused. So nothing but this module runs, and nothing in it can be changed.
"""

from __future__ import annotations

import io
import math
import pickle
import re
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from varkit.system.inputs import InputError, expect_plausible, open_user_file

DEEPEST = 50
"""Most levels of dicts and lists."""
_MAGIC = 0x1950A86A20F9469CFC6C
_STORAGES: Mapping[str, torch.dtype] = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def read_pickled(path: Path) -> Any:
    """Return what a pickle holds: dicts, lists, tensors, texts and numbers, nested.

    Numpy's arrays become tensors. Parameters become tensors; tuples become lists. Tensors that
    share memory in the file may share it here.

    Args:
        path: of the file.

    Raises:
        OSError: it is missing, not readable or not a file.
        InputError: it is damaged, names anything that is not data, or would grow out of proportion.
    """
    with open_user_file(path) as file:
        try:
            return _plain(_load(file), {}, 0)
        except InputError:
            raise
        except Exception as error:  # of pickle and zipfile, which may be any
            raise InputError(f"is damaged, or not a file of weights: {error}") from error


def _load(file: IO[bytes]) -> Any:
    start = file.read(4)
    file.seek(0)
    if start == b"PK\x03\x04":
        with zipfile.ZipFile(file) as archive:
            return _load_archive(archive)
    first = _Unpickler(file).load()
    if first != _MAGIC:
        return first
    return _load_old(file)


def _load_archive(archive: zipfile.ZipFile) -> Any:
    """Read PyTorch's format: ``NAME/data.pkl`` and one member for each storage."""
    infos = {info.filename: info for info in archive.infolist()}
    pickles = [name for name in infos if name == "data.pkl" or name.endswith("/data.pkl")]
    if len(pickles) != 1:
        raise InputError("is an archive, but not one of PyTorch's")
    folder = pickles[0].removesuffix("data.pkl")

    def read(name: str) -> bytes:
        if name not in infos:
            raise InputError(f"lacks its member {name!r}")
        expect_plausible(infos[name].file_size, infos[name].compress_size)
        return archive.read(infos[name])

    if f"{folder}byteorder" in infos and read(f"{folder}byteorder") != sys.byteorder.encode():
        raise InputError("was written on a machine of another byte order")
    storages: dict[str, Tensor] = {}

    def storage(given: Sequence[Any]) -> Tensor:
        _, kind, key, _, count = given
        if key not in storages:
            storages[key] = _numbers(read(f"{folder}data/{key}"), kind.dtype, count)
        return storages[key]

    return _Unpickler(io.BytesIO(read(pickles[0])), storage).load()


def _load_old(file: IO[bytes]) -> Any:
    """Read PyTorch's format from before 1.6: pickles, then the storages one after another."""
    version, system = _Unpickler(file).load(), _Unpickler(file).load()
    if version != 1001 or not system.get("little_endian"):
        raise InputError("is of a version of PyTorch's format that is not known")
    named: dict[str, _OldStorage] = {}

    def storage(given: Sequence[Any]) -> _OldStorage:
        _, kind, key, _, count, view = given
        if view is not None:
            raise InputError("holds views of storages, which are not supported")
        return named.setdefault(key, _OldStorage(kind.dtype, count))

    value = _Unpickler(file, storage).load()
    for key in _Unpickler(file).load():
        if key not in named:
            raise InputError(f"names a storage {key!r} that nothing uses")
        count = int.from_bytes(file.read(8), "little")
        size = named[key].count * named[key].dtype.itemsize
        if count != named[key].count:
            raise InputError("is damaged: a storage has another length than its tensors say")
        named[key].numbers = _numbers(_read(file, size), named[key].dtype, count)
    return value


def _read(file: IO[bytes], size: int) -> bytes:
    """Read so many bytes; a length that the file does not have allocates nothing."""
    at = file.tell()
    left = file.seek(0, io.SEEK_END) - at
    file.seek(at)
    if not 0 <= size <= left:
        raise InputError(f"is truncated: {size:,} bytes are promised, and {left:,} are left")
    return file.read(size)


def _numbers(data: bytes, dtype: torch.dtype, count: int) -> Tensor:
    if len(data) != count * dtype.itemsize:
        raise InputError("is damaged: a storage has another length than its tensors say")
    return torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)


class _OldStorage:
    def __init__(self, dtype: torch.dtype, count: int) -> None:
        self.dtype, self.count = dtype, count
        self.numbers: Tensor | None = None


class _StorageType:
    def __init__(self, dtype: torch.dtype) -> None:
        self.dtype = dtype


class _View:
    """A tensor: a window on a storage that may not have been read yet."""

    def __init__(
        self, storage: Any, offset: int, size: Sequence[int], stride: Sequence[int], *_: Any
    ) -> None:
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride

    def tensor(self) -> Tensor:
        numbers = getattr(self.storage, "numbers", self.storage)
        whole = all(type(n) is int and n >= 0 for n in (self.offset, *self.size, *self.stride))
        if not isinstance(numbers, Tensor) or not whole or len(self.size) != len(self.stride):
            raise InputError("is damaged: a tensor has no numbers")
        steps = zip(self.size, self.stride, strict=True)
        last = self.offset + sum((size - 1) * stride for size, stride in steps)
        if math.prod(self.size) > len(numbers) or (0 not in self.size and last >= len(numbers)):
            raise InputError(f"is damaged: a tensor of shape {tuple(self.size)} is not all there")
        return numbers.as_strided(tuple(self.size), tuple(self.stride), self.offset)


class _Dtype:
    """numpy's data type: ``dtype("f4", False, True)``, then its state."""

    def __init__(self, code: Any, *_: Any) -> None:
        if type(code) is not str or not re.fullmatch(r"[<>=|]?(b1|[iu][1248]|f[248])", code):
            raise InputError(f"holds an array of {code!r}, not of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Sequence[Any]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class _Array:
    """numpy's array: an empty one, then its state."""

    def __init__(self, *_: Any) -> None:
        self.state: Sequence[Any] = ()

    def __setstate__(self, state: Sequence[Any]) -> None:
        self.state = state

    def tensor(self) -> Tensor:
        if len(self.state) != 5 or not isinstance(self.state[2], _Dtype):
            raise InputError("is damaged: an array has no numbers")
        _, shape, kind, fortran, data = self.state
        array = np.ndarray(tuple(shape), kind.dtype, data, order="F" if fortran else "C")
        native = array.astype(kind.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(native)


def _from_buffer(data: Any, kind: Any, shape: Any, order: Any) -> _Array:
    """Do what numpy's arrays ask for in Python's latest pickles."""
    array = _Array()
    array.state = 1, shape, kind, order == "F", data
    return array


def _latin(text: str, encoding: str) -> bytes:
    """Do what Python 2's pickles of bytes ask for."""
    if encoding != "latin1":
        raise InputError(f"holds text in {encoding!r}")
    return text.encode("latin1")


def _parameter(data: Any, *_: Any) -> Any:
    return data


def _number(kind: Any, data: bytes) -> int | float:
    """Do what numpy's scalars ask for."""
    number: int | float = np.frombuffer(data, kind.dtype, 1)[0].item()
    return number


_STAND_INS: Mapping[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): _latin,
    ("torch._utils", "_rebuild_tensor_v2"): _View,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    **{
        (f"{package}.multiarray", name): stand_in
        for package in ("numpy.core", "numpy._core")
        for name, stand_in in (("_reconstruct", _Array), ("scalar", _number))
    },
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("numpy._core.numeric", "_frombuffer"): _from_buffer,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
}


class _Name:
    """What a name in a pickle leads to: callable, and nothing in it can be replaced."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        object.__setattr__(self, "_call", call)

    def __setattr__(self, name: str, value: Any) -> None:
        raise InputError("sets an attribute of what is not data; refused")

    def __call__(self, *given: Any) -> Any:
        call: Callable[..., Any] = self._call  # type: ignore[attr-defined]
        return call(*given)


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: IO[bytes], storage: Callable[[Any], Any] | None = None) -> None:
        super().__init__(file, encoding="latin1")
        self._storage = storage

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _StorageType(_STORAGES[name])
        if (module, name) not in _STAND_INS:
            raise InputError(f"names {module}.{name}, which is not data; refused")
        return _Name(_STAND_INS[module, name])

    def persistent_load(self, given: Any) -> Any:
        if self._storage is None or not isinstance(given, tuple) or given[:1] != ("storage",):
            raise InputError("refers to something outside of the file; refused")
        if not isinstance(given[1], _StorageType):
            raise InputError("holds a storage of an unknown type")
        return self._storage(given)


def _plain(value: Any, done: dict[int, Any], depth: int) -> Any:
    """Return a value without stand-ins; what occurs several times is made once."""
    if depth > DEEPEST:
        raise InputError(f"is nested more than {DEEPEST} levels deep")
    if value is None or type(value) in (bool, int, float, str, bytes):
        return value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, _View):
        plain: Any = _View.tensor(value)
    elif isinstance(value, _Array):
        plain = _Array.tensor(value)
    elif isinstance(value, dict):
        plain = {_key(key): _plain(each, done, depth + 1) for key, each in value.items()}
    elif isinstance(value, list | tuple):
        plain = [_plain(each, done, depth + 1) for each in value]
    elif isinstance(value, Tensor):
        plain = value
    else:
        raise InputError(f"holds {type(value).__name__.strip('_')}, which is not data")
    done[id(value)] = plain
    return plain


def _key(key: Any) -> str | int:
    if type(key) not in (str, int):
        raise InputError(f"holds a dict with a key of type {type(key).__name__}")
    return key  # type: ignore[no-any-return]
