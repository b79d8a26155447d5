"""Feature files read safely: .npy, .npz and .safetensors, never pickle.

A file is untrusted: its header is compared with its size before anything is allocated, so that a
truncated file or a decompression bomb is an error, not a crash.
"""

from __future__ import annotations

import math
import os
import re
import zipfile
import zlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PureWindowsPath
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from varkit.errors import did_you_mean
from varkit.interfaces import Array

SUFFIXES = (".npy", ".npz", ".safetensors")
BOMB_BYTES, BOMB_RATIO = 2**26, 200
"""An archive member of more than 64 MiB that shrank more than 200 times holds no features."""

_MEMBER = re.compile(r"(?P<file>.*\.(?:npz|safetensors))#(?P<key>.+)")
_UNREADABLE = (
    OSError,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
    SafetensorError,
)


class FeatureError(ValueError):
    """What is wrong with a feature file; whoever reads it adds which video needed it."""


@dataclass(frozen=True)
class Source:
    """Where one array lies.

    Attributes:
        file: a .npy, .npz or .safetensors file.
        key: the array's name in a .npz or .safetensors file; None = its only one.
    """

    file: Path
    key: str | None = None

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
        raise FeatureError(f"{cell!r} is no {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file")
    return Source(root / path, key)


def shape(source: Source) -> tuple[int, ...]:
    """Return an array's shape, from the header alone.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array.
    """
    try:
        if source.file.suffix == ".npy":
            return _map(source).shape
        if source.file.suffix == ".npz":
            with _member(source) as member:
                return _npy_header(member)[0]
        tensors, key = _tensors(source)
        return tuple(tensors.get_slice(key).get_shape())
    except _UNREADABLE as error:
        raise _reason(error) from error


def read(source: Source, *, width: int | None = None, crop: int = 0) -> Array:
    """Read the clips of one crop.

    Args:
        source: an array of (T, D), or (C, T, D) where there are C crops.
        width: the D that is expected; None = any.
        crop: which of the C crops; an array without crops is its own crop 0.

    Returns:
        (T, D) float32.

    Raises:
        FeatureError: the file is missing, unreadable or truncated, or holds no such array; or the
            array is of another shape, no numbers, empty or not finite.
    """
    try:
        array = _load(source)
    except _UNREADABLE as error:
        raise _reason(error) from error
    check_shape(array.shape, width)
    if array.dtype.kind not in "fiu":
        raise FeatureError(f"holds {array.dtype}, not numbers")
    crops = array if array.ndim == 3 else array[None]
    if crop >= len(crops):
        raise FeatureError(f"has {len(crops)} crops; number {crop} was asked for")
    with np.errstate(invalid="ignore", over="ignore"):
        # order="C" also copies what is memory-mapped, so that no handle on the file stays open.
        clips: Array = np.array(crops[crop], dtype=np.float32, order="C")
        suspicious = not np.isfinite(clips.sum())  # far cheaper than a look at every number
    if suspicious and not (finite := np.isfinite(clips).all(axis=1)).all():
        raise FeatureError(f"clip {int(np.argmin(finite))} holds NaN or infinity")
    return clips


def check_shape(found: tuple[int, ...], width: int | None) -> None:
    """Check that a shape is (T, width) or (C, T, width), with nothing empty.

    Raises:
        FeatureError: it is not.
    """
    d = "D" if width is None else width
    if len(found) not in (2, 3) or (width is not None and found[-1] != width):
        raise FeatureError(f"has shape {found}; expected (T, {d}) or (crops, T, {d})")
    if 0 in found:
        raise FeatureError(f"is empty: shape {found}; expected at least one clip")


def _load(source: Source) -> NDArray[Any]:
    if source.file.suffix == ".npy":
        return _map(source)
    if source.file.suffix == ".npz":
        with _member(source) as member:
            dims, dtype, fortran = _npy_header(member)
            flat = np.frombuffer(member.read(), dtype=dtype)
        return flat.reshape(dims, order="F" if fortran else "C")
    tensors, key = _tensors(source)
    # Through torch, since numpy knows no bfloat16.
    tensor = tensors.get_tensor(key)
    loaded: NDArray[Any] = (tensor.float() if tensor.is_floating_point() else tensor).numpy()
    return loaded


def _map(source: Source) -> NDArray[Any]:
    mapped: NDArray[Any] = np.lib.format.open_memmap(source.file, mode="r")
    return mapped


@lru_cache(maxsize=8)
def _archive(file: Path, changed: int, process: int) -> zipfile.ZipFile:
    """Open an archive once: reading the list of a large one takes longer than reading an array.

    ``changed`` (the file's time stamp) drops a stale list; ``process`` keeps processes that were
    forked apart, since they would share one position in the file.
    """
    return zipfile.ZipFile(file)


def _member(source: Source) -> IO[bytes]:
    archive = _archive(source.file, source.file.stat().st_mtime_ns, os.getpid())
    names = {name.removesuffix(".npy"): name for name in archive.namelist()}
    info = archive.getinfo(names[_choose(source, list(names))])
    if info.file_size > max(BOMB_BYTES, BOMB_RATIO * info.compress_size):
        raise FeatureError(
            f"would grow from {info.compress_size:,} to {info.file_size:,} bytes; refused"
        )
    member = archive.open(info)
    dims, dtype, _ = _npy_header(member)
    if member.tell() + math.prod(dims) * dtype.itemsize != info.file_size:
        raise FeatureError(f"is truncated: its header promises shape {dims}")
    member.seek(0)
    return member


def _npy_header(member: IO[bytes]) -> tuple[tuple[int, ...], np.dtype[Any], bool]:
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0)):
        raise FeatureError(f"is of .npy version {version}; known: 1.0, 2.0")
    parse = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    dims, fortran, dtype = parse(member)
    if dtype.hasobject:
        raise FeatureError("holds Python objects, not numbers")
    return dims, dtype, fortran


@lru_cache(maxsize=8)
def _mapped_tensors(file: Path, changed: int) -> Any:
    return safe_open(file, framework="pt")


def _tensors(source: Source) -> tuple[Any, str]:
    tensors = _mapped_tensors(source.file, source.file.stat().st_mtime_ns)
    return tensors, _choose(source, list(tensors.keys()))


def _choose(source: Source, names: list[str]) -> str:
    if source.key is not None and source.key in names:
        return source.key
    if source.key is None and len(names) == 1:
        return names[0]
    if source.key is None:
        raise FeatureError(f"holds {len(names)} arrays: name one, as in {source.file.name}#NAME")
    raise FeatureError(f"holds no array {source.key!r}.{did_you_mean(source.key, names)}")


def _reason(error: Exception) -> FeatureError:
    if isinstance(error, FeatureError):
        return error
    if isinstance(error, FileNotFoundError):
        return FeatureError("is not there")
    return FeatureError(f"cannot be read: {str(error) or type(error).__name__}")
