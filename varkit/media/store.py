"""A store of features: a safetensors file a video, and a catalogue of them.

::

    STORE/catalogue.sqlite           what was made of which video, by which extractors
    STORE/streams/NAME.safetensors   "i3d.features" (T, D), ..., "i3d.times" (T, 2) in seconds

A file is complete or absent, is never changed, and is named after its content; the catalogue names
it only when it is complete. So whatever kills the program, the store is whole, and the next start
continues with the interrupted video.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load, save

from varkit.errors import DataError
from varkit.media import catalogue
from varkit.media.catalogue import Catalogue, Video
from varkit.media.extraction import Made
from varkit.media.extractors import Named, Record, versions
from varkit.system.files import write_bytes
from varkit.system.inputs import read_user_file, reading

STREAMS = "streams"
TIMES = "times"
"""The tensor of an extractor's times; no stream may have this name."""


class Store:
    """An open store; a context manager.

    Args:
        root: its folder.
        writing: create it where it is missing, and allow changes.

    Raises:
        DataError: it is missing, damaged, or of another version.
        WriteError: it cannot be created.
    """

    def __init__(self, root: Path, *, writing: bool = False) -> None:
        self.root = root
        if not writing and not (root / catalogue.NAME).exists():
            raise DataError(
                f"{root} is not a store of features: it has no {catalogue.NAME}",
                hint=f"varkit extract VIDEOS --use image --out {root}",
            )
        self.catalogue = Catalogue(root, writing=writing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close it."""
        self.catalogue.close()

    def register(self, extractors: Sequence[Named]) -> None:
        """Add extractors.

        Raises:
            DataError: the store has others of the same name.
        """
        known = versions()
        for each in extractors:
            self.catalogue.register(each.name, each.record, known)

    def records(self) -> dict[str, Record]:
        """Return the records of all extractors, by name."""
        return {name: record for name, (_, record) in self.catalogue.extractors().items()}

    def fingerprints(self) -> dict[str, str]:
        """Return the fingerprints of all extractors, by name."""
        return {name: mark for name, (mark, _) in self.catalogue.extractors().items()}

    def put(self, video: Video) -> None:
        """Add or replace a video whose file is there, and remove the file that it had before."""
        before = self.catalogue.video(video.name)
        self.catalogue.put(video)
        if before is not None and before.sha256 is not None and before.sha256 != video.sha256:
            stream_file(self.root, before).unlink(missing_ok=True)

    def remove(self, name: str) -> None:
        """Remove a video and its streams; nothing happens if it is not there."""
        video = self.catalogue.video(name)
        if video is not None:
            self.catalogue.remove(name)
            if video.sha256 is not None:
                stream_file(self.root, video).unlink(missing_ok=True)

    def tensors(self, video: Video) -> dict[str, NDArray[Any]]:
        """Return all tensors of a video; see :func:`read_tensors`."""
        return read_tensors(self.root, video)


def stream_file(root: Path, video: Video) -> Path:
    """Return the file of a video's streams.

    Raises:
        DataError: it has none.
    """
    if video.sha256 is None:
        raise DataError(f"{root}: video {video.name!r} has no streams: {video.reason}")
    return root / STREAMS / file_name(video.name, video.sha256)


def read_tensors(root: Path, video: Video) -> dict[str, NDArray[Any]]:
    """Return all tensors of a video.

    Raises:
        DataError: the file is missing, damaged, or not the one that was stored.
    """
    path = stream_file(root, video)
    with reading(path):
        data = read_user_file(path)
        if hashlib.sha256(data).hexdigest() != video.sha256:
            raise DataError(f"{path} is not what was stored: its SHA-256 differs")
        tensors: dict[str, NDArray[Any]] = load(data)
        return tensors


def write_streams(
    root: Path,
    video: Video,
    made: Mapping[str, Made],
    marks: Mapping[str, str],
    before: Video | None,
) -> Video:
    """Write the file of a video's streams; the catalogue does not know of it yet.

    Args:
        root: the store's folder.
        video: all but its file, its sha256 and what was made.
        made: by the extractors' names.
        marks: the fingerprints of the store's extractors.
        before: what the store has of the same source, which is kept.

    Returns:
        The video, complete.

    Raises:
        DataError: the earlier file is damaged.
        WriteError: the disk is full or not writable; the store is as before.
    """
    tensors: dict[str, NDArray[Any]] = {}
    summary: dict[str, catalogue.Tally] = {}
    if before is not None:
        summary = {name: each for name, each in before.made.items() if name not in made}
        if any(each.absent is None for each in summary.values()):
            kept = read_tensors(root, before)
            tensors = {key: kept[key] for key in kept if key.partition(".")[0] in summary}
    for name, each in made.items():
        own: dict[str, NDArray[Any]] = {}
        if each.absent is None:
            own = {f"{name}.{stream}": array for stream, array in each.streams.items()}
            own[f"{name}.{TIMES}"] = each.times
        mark = hashlib.sha256(_serialized(own)).hexdigest() if own else None
        summary[name] = catalogue.Tally(len(each.times), each.absent, mark)
        tensors |= own
    about = {
        "video": video.name,
        "source_sha256": video.source.sha256,
        "status": video.status,
        "coverage": video.coverage,
        "fingerprints": {name: marks[name] for name in sorted(summary)},
    }
    # One key of metadata: several have no fixed order.
    data = _serialized(tensors, {"varkit": json.dumps(about, sort_keys=True)})
    digest = hashlib.sha256(data).hexdigest()
    complete = replace(video, sha256=digest, made=dict(sorted(summary.items())))
    write_bytes(stream_file(root, complete), data)
    return complete


def _serialized(tensors: Mapping[str, NDArray[Any]], about: dict[str, str] | None = None) -> bytes:
    ordered = {key: np.ascontiguousarray(array) for key, array in sorted(tensors.items())}
    return save(ordered, about)


def file_name(video: str, sha256: str) -> str:
    """Return the name of a file of streams: one for each video and content."""
    return f"{file_stem(video)}-{sha256[:12]}.safetensors"


def file_stem(video: str) -> str:
    """Return a name for a video that is readable, allowed everywhere, and its alone."""
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", video)[:80].strip("._-")
    return f"{readable}-{hashlib.sha256(video.encode()).hexdigest()[:12]}"


def video_name(path: Path) -> str:
    """Return a video's name: its path with slashes, and bytes that are not UTF-8 as escapes."""
    return path.as_posix().encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
