"""The shard of a video: all that an index knows of it, in one safetensors file.

A file is named after its content, complete or absent, and never changed; the catalogue of the index
names it only when it is complete.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from varkit.errors import DataError
from varkit.interfaces.searching import Array, Track
from varkit.system.files import sha256, write_bytes
from varkit.system.inputs import check_user_file, reading

FOLDER = "shards"


@dataclass(frozen=True, eq=False)
class Curve:
    """How anomalous a video is, clip by clip.

    Attributes:
        times: (T, 2) seconds.
        scores: (T,) from 0 to 1.
        fired: (T,) which concept; -1 = it cannot be told in words.
    """

    times: NDArray[np.float64]
    scores: Array
    fired: NDArray[np.int16]


@dataclass(frozen=True, eq=False)
class Shard:
    """What an index knows of a video.

    Attributes:
        spans: (R, 2) start and end of its windows in seconds.
        rows: channel -> (R, K).
        tracks: channel -> block -> clip by clip, where moments are found.
        curve: how anomalous it is, if anything says so.
    """

    spans: NDArray[np.float64]
    rows: Mapping[str, Array]
    tracks: Mapping[str, Mapping[str, Track]]
    curve: Curve | None = None


def write_shard(root: Path, video: str, shard: Shard, precision: str) -> tuple[str, str]:
    """Write a shard and return its file's name and SHA-256.

    Args:
        root: of the index.
        video: its name.
        shard: what to write.
        precision: of rows and tracks, ``float16`` or ``float32``.

    Raises:
        DataError: a number is not finite.
        WriteError: the disk is full or not writable.
    """
    tensors: dict[str, NDArray[Any]] = {"spans": shard.spans}
    for channel, rows in shard.rows.items():
        tensors[f"rows.{channel}"] = rows.astype(precision)
        for block, track in shard.tracks.get(channel, {}).items():
            tensors[f"track.{channel}.{block}"] = track.values.astype(precision)
            tensors[f"times.{channel}.{block}"] = track.times
    if shard.curve is not None:
        curve = shard.curve
        tensors |= {"curve.times": curve.times, "curve.scores": curve.scores.astype(np.float32)}
        tensors["curve.fired"] = curve.fired
    for name, tensor in tensors.items():
        if not np.isfinite(tensor).all():
            raise DataError(f"{video!r}: its {name} hold NaN or infinity")
    data = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    digest = hashlib.sha256(data).hexdigest()
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", video)[:80].strip("._-")
    name = f"{readable}-{hashlib.sha256(video.encode()).hexdigest()[:8]}-{digest[:12]}.safetensors"
    write_bytes(root / FOLDER / name, data)
    return name, digest


def read_shard(root: Path, name: str, channels: Collection[str] | None = None) -> Shard:
    """Read a shard; its SHA-256 is not checked.

    Args:
        root: of the index.
        name: of its file.
        channels: whose rows and tracks are read; None = all.

    Raises:
        DataError: it is missing or damaged.
    """
    path = root / FOLDER / name
    with reading(path, hint="varkit index verify INDEX lists what is damaged"):
        check_user_file(path)
        with safe_open(path, framework="np") as file:
            keys = [
                key
                for key in file.keys()  # noqa: SIM118
                if channels is None
                or key.partition(".")[0] not in ("rows", "track", "times")
                or key.split(".")[1] in channels
            ]
            tensors = {key: file.get_tensor(key) for key in keys}
        rows: dict[str, Array] = {}
        tracks: dict[str, dict[str, Track]] = {}
        for key, tensor in tensors.items():
            kind, _, rest = key.partition(".")
            if kind == "rows":
                rows[rest] = tensor.astype(np.float32)
            elif kind == "track":
                channel, block = rest.split(".")
                times = tensors[f"times.{rest}"]
                tracks.setdefault(channel, {})[block] = Track(tensor, times)
        curve = None
        if "curve.scores" in tensors:
            curve = Curve(*(tensors[f"curve.{key}"] for key in ("times", "scores", "fired")))
        return Shard(tensors["spans"], rows, tracks, curve)


def check_shard(root: Path, name: str, digest: str) -> None:
    """Check that a shard is the one that was written.

    Raises:
        DataError: it is missing, or its SHA-256 differs.
    """
    path = root / FOLDER / name
    with reading(path):
        if sha256(path) != digest:
            raise DataError(
                f"{path} is not what was written: its SHA-256 differs",
                hint="varkit index delete INDEX VIDEO, then varkit index VIDEOS makes it again",
            )
