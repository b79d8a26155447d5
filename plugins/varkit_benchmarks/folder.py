"""A folder of one's own data: a manifest and feature files."""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Array, Item, Sequences
from varkit.types import Positive
from varkit_benchmarks.features import FeatureError, Source, check_shape, read, shape
from varkit_benchmarks.manifest import Video, read_manifest

HASHED_BYTES = 2**16


class Folder:
    """Videos and their queries as a manifest lists them (see :mod:`varkit_benchmarks.manifest`).

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre, as
    .npy, .npz or .safetensors. Streams of one video may differ by one clip, since optical flow
    has one frame less; the longer ones are cut. Nothing but the manifest stays in memory.

    Args:
        root: the folder; feature files are relative to it.
        manifest: a .csv, .jsonl or .parquet file, relative to ``root``.
        streams: stream -> the manifest's column that names its feature file.
        query: whether a query is a caption (column ``caption``) or a sound (column ``audio``).
        seconds_per_clip: length of a video's clip; the default is 16 frames at 30 a second, as
            in ALAN IV-B and UCF-Crime.
        seconds_per_sound_clip: length of a sound's clip; null = that of a video's clip.
        name: what tables call the data; by default the folder's name.
    """

    simulated = False
    _sound_stream: ClassVar[str] = "audio"

    def __init__(
        self,
        *,
        root: str,
        manifest: str = "manifest.csv",
        streams: Mapping[str, str],
        query: Literal["text", "audio"] = "text",
        seconds_per_clip: Positive = 16 / 30,
        seconds_per_sound_clip: Positive | None = None,
        name: str | None = None,
    ) -> None:
        self._root = Path(root)
        self._manifest = self._root / manifest
        if not streams:
            raise DataError(f"folder {root}: name at least one stream, as in {{object: rgb}}")
        self._seconds = seconds_per_clip
        self._sound_seconds = seconds_per_sound_clip or seconds_per_clip
        self.name = name or self._root.resolve().name
        self.query_kind: Literal["captions", "clips"] = "captions" if query == "text" else "clips"
        self._videos = read_manifest(self._manifest, root=self._root, streams=streams, query=query)
        self._queries = {
            f"{video}#{k}": query
            for video, row in self._videos.items()
            for k, query in enumerate(row.queries)
        }
        first, row = next(iter(self._videos.items()))
        self.widths: Mapping[str, int] = {
            stream: self._shape(source, None, f"video {first!r}, stream {stream!r}")[-1]
            for stream, source in row.streams.items()
        }
        self.query_widths: Mapping[str, int] = {}
        if isinstance(row.queries[0], Source):
            width = self._shape(row.queries[0], None, f"sound of {first!r}")[-1]
            self.query_widths = {self._sound_stream: width}

    @staticmethod
    def missing(*, root: str, manifest: str = "manifest.csv", **options: object) -> list[str]:
        """Return what this machine lacks to read the folder."""
        path = Path(root) / manifest
        if not path.is_file():
            return [f"{path}: put the data there, or set data.root to where it is"]
        if path.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            return ["pyarrow, to read the manifest: pip install 'varkit[parquet]'"]
        return []

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write two videos and return the options that read them."""
        rows = ["video,split,caption,rgb"]
        for split in ("train", "test"):
            np.save(folder / f"{split}.npy", np.ones((5, 4), dtype=np.float32))
            rows.append(f"{split},{split},a man runs,{split}.npy")
        (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
        return {"root": str(folder), "streams": {"object": "rgb"}}

    def split(self, name: str) -> Sequence[Item]:
        """Return the items of a split, in the manifest's order.

        Raises:
            DataError: there is no such split.
        """
        items = [
            Item(video, tuple(f"{video}#{k}" for k in range(len(row.queries))), row.label)
            for video, row in self._videos.items()
            if row.split == name
        ]
        if not items:
            there = sorted({row.split for row in self._videos.values()})
            raise DataError(f"{self._manifest} has no split {name!r}; it has {', '.join(there)}")
        return items

    def length(self, video: str) -> int:
        """Return T, from the headers of the feature files."""
        row = self._row(video)
        return min(
            self._shape(source, self.widths[stream], f"video {video!r}, stream {stream!r}")[-2]
            for stream, source in row.streams.items()
        )

    def query_length(self, query: str) -> int:
        """Return the number of clips of a sound."""
        source = self._queries[query]
        if not isinstance(source, Source):
            raise DataError(f"query {query!r} is a caption, not a sound")
        return self._shape(source, self.query_widths[self._sound_stream], f"sound {query!r}")[-2]

    def video(self, video: str, crop: int = 0) -> Sequences:
        """Read one video's clips.

        Raises:
            DataError: a feature file is missing, unreadable, empty, not finite or of another
                shape than the first video's, or streams differ by more than one clip.
        """
        streams: dict[str, Array] = {}
        for stream, source in self._row(video).streams.items():
            try:
                streams[stream] = read(source, width=self.widths[stream], crop=crop)
            except FeatureError as error:
                raise DataError(f"video {video!r}, stream {stream!r}: {source} {error}") from error
        lengths = {stream: len(clips) for stream, clips in streams.items()}
        shortest = min(lengths.values())
        if max(lengths.values()) > shortest + 1:
            raise DataError(
                f"video {video!r}: streams differ by more than one clip: "
                + ", ".join(f"{stream} has {length}" for stream, length in lengths.items())
            )
        cut = {stream: clips[:shortest] for stream, clips in streams.items()}
        return Sequences(cut, _times(shortest, self._seconds))

    def crops(self, video: str) -> int:
        """Return how many crops the video's features have.

        Raises:
            DataError: the streams do not have the same number.
        """
        counts = {}
        for stream, source in self._row(video).streams.items():
            found = self._shape(source, self.widths[stream], f"video {video!r}, stream {stream!r}")
            counts[stream] = found[0] if len(found) == 3 else 1
        if len(set(counts.values())) > 1:
            listed = ", ".join(f"{stream} has {count}" for stream, count in counts.items())
            raise DataError(f"video {video!r}: streams differ in crops: {listed}")
        return next(iter(counts.values()))

    def query(self, query: str) -> str | Sequences:
        """Return a caption, or read the clips of a sound.

        Raises:
            DataError: the sound's feature file is missing, unreadable, empty, not finite or of
                another width than the first one.
        """
        found = self._queries[query]
        if isinstance(found, str):
            return found
        try:
            clips = read(found, width=self.query_widths[self._sound_stream])
        except FeatureError as error:
            raise DataError(f"sound {query!r}: {found} {error}") from error
        return Sequences({self._sound_stream: clips}, _times(len(clips), self._sound_seconds))

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None where the manifest does not say.

        A clip is anomalous if at least half of it lies in an anomaly, or half of an anomaly in it.

        Raises:
            DataError: an anomaly lies behind the video's end.
        """
        anomalies = self._row(video).anomalies
        if anomalies is None:
            return None
        times = _times(self.length(video), self._seconds).astype(np.float64)
        mask = np.zeros(len(times), dtype=bool)
        for start, end in anomalies:
            overlap = np.minimum(times[:, 1], end) - np.maximum(times[:, 0], start)
            inside = overlap * 2 >= min(self._seconds, end - start) - 1e-6
            if not inside.any():
                raise DataError(
                    f"video {video!r}: the anomaly at {start}-{end} s lies behind the end of its "
                    f"clips at {times[-1, 1]:.1f} s"
                )
            mask |= inside
        return mask

    def fingerprint(self) -> str:
        """Return a hash of the manifest and the feature files.

        Of a feature file it covers the path, the size, and the first and last 64 KiB: new features
        change it, a few numbers altered in the middle of a larger file do not. Reading every
        byte of a benchmark would take longer than a short run.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256(repr((self._seconds, self._sound_seconds)).encode())
        digest.update(self._manifest.read_bytes())
        sources = [source for row in self._videos.values() for source in row.streams.values()]
        sources += [query for query in self._queries.values() if isinstance(query, Source)]
        for path in sorted({source.file for source in sources}):
            try:
                with path.open("rb") as file:
                    size = os.fstat(file.fileno()).st_size
                    digest.update(f"{path.relative_to(self._root).as_posix()} {size}\n".encode())
                    digest.update(file.read(HASHED_BYTES))
                    if size > HASHED_BYTES:
                        file.seek(-HASHED_BYTES, os.SEEK_END)
                        digest.update(file.read())
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}") from error
        return digest.hexdigest()

    def _row(self, video: str) -> Video:
        if video not in self._videos:
            raise DataError(f"{self._manifest} has no video {video!r}")
        return self._videos[video]

    def _shape(self, source: Source, width: int | None, where: str) -> tuple[int, ...]:
        try:
            found = shape(source)
            check_shape(found, width)
        except FeatureError as error:
            raise DataError(f"{where}: {source} {error}") from error
        return found


def _times(length: int, seconds: float) -> Array:
    edges = np.arange(length + 1, dtype=np.float64) * seconds
    times: Array = np.stack([edges[:-1], edges[1:]], axis=1).astype(np.float32)
    return times
