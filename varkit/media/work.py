"""What a worker does with one media file: decode, extract, write the streams, say how it went."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

from varkit.errors import MediaError, PluginError
from varkit.media.catalogue import Source, Video
from varkit.media.decode import Decoder
from varkit.media.extraction import Extracted, extract, place
from varkit.media.extractors import Wanted, build_extractors
from varkit.media.limits import Limits
from varkit.media.recordings import camera_of, start_of
from varkit.media.store import video_name, write_streams
from varkit.plugins.loading import load_plugins
from varkit.system.files import sha256
from varkit.system.inputs import reading
from varkit.system.machine import prepare


@dataclass(frozen=True)
class Setup:
    """What every worker of an extraction is given.

    Attributes:
        media: the folder of media.
        store: the store's folder, which all workers can write.
        wanted: the extractors.
        plugins: files of plugins.
        marks: the fingerprints of the store's extractors.
        device: where to compute; ``auto`` = on a GPU where there is one.
        threads: of each worker.
        cameras: the pattern of :func:`varkit.media.recordings.camera_of`.
        limits: of decoding.
    """

    media: Path
    store: Path
    wanted: tuple[Wanted, ...]
    plugins: tuple[Path, ...]
    marks: Mapping[str, str]
    device: str
    threads: int
    cameras: str | None
    limits: Limits


@dataclass(frozen=True)
class Job:
    """A file to extract.

    Attributes:
        path: below the folder of media.
        before: what the store has of it.
        size: bytes.
    """

    path: Path
    before: Video | None
    size: int = 0


Progress = Callable[[Path, float, float | None], None]
"""Told how many seconds of a file are done, and how many it has, if it says so."""


class Worker:
    """Builds the extractors once and works on one file after another; a context manager.

    Args:
        setup: of the extraction.

    Raises:
        RecipeError: as :func:`varkit.media.extractors.build_extractors`.
        VarkitError: decoding is not installed, or there is no such device.
    """

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._device, _ = prepare(setup.device, setup.threads)
        self._extractors = build_extractors(setup.wanted, load_plugins(setup.plugins))
        place(self._extractors, self._device)
        self._decoder = Decoder(setup.limits)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._decoder.close()

    def do(self, job: Job, progress: Progress | None = None) -> Video:
        """Extract what the store lacks of a file, and write its streams.

        A file that cannot be extracted is returned as failed.

        Raises:
            WriteError: the disk is full or not writable.
        """
        path = self._setup.media / job.path
        try:
            return self._do(job, path, progress)
        except (MediaError, PluginError) as error:
            reason = error.what.removeprefix(f"{path}: ")
            return failed(job, self._setup.media, reason, again=getattr(error, "again", False))

    def _do(self, job: Job, path: Path, progress: Progress | None) -> Video:
        with reading(path, MediaError):
            status = path.stat()
            before = job.before
            if before is not None and not unchanged(before.source, status):
                before = before if before.source.sha256 == sha256(path) else None
        known = {} if before is None or before.status == "failed" else before.made
        needed = [each for each in self._extractors if each.name not in known]
        source = Source(job.path, status.st_size, status.st_mtime_ns, "")
        if not needed:
            assert before is not None
            return replace(before, source=replace(source, sha256=before.source.sha256))

        def tell(seconds: float, of: float | None) -> None:
            if progress is not None:
                progress(job.path, seconds, of)

        extracted = extract(self._decoder, path, needed, device=self._device, progress=tell)
        with reading(path, MediaError):
            source = replace(source, sha256=sha256(path))
            if not unchanged(source, path.stat()):
                raise MediaError(f"{path}: it changed while it was read", again=True)
        kept = before if known else None
        video = self._described(source, extracted, kept)
        return write_streams(self._setup.store, video, extracted.made, self._setup.marks, kept)

    def _described(self, source: Source, extracted: Extracted, kept: Video | None) -> Video:
        outcome, facts = extracted.outcome, extracted.facts
        start = start_of(source.path, facts.created)
        problems = [*filter(None, (kept.reason if kept else "").split("; ")), *outcome.problems]
        shares = [outcome.coverage, *([kept.coverage] if kept else [])]
        return Video(
            video_name(source.path),
            source,
            "partial" if problems else "ok",
            "; ".join(dict.fromkeys(problems)),
            coverage=min((x for x in shares if x is not None and not math.isnan(x)), default=None),
            duration=facts.duration,
            start=start.time.isoformat() if start else None,
            start_source=start.source if start else None,
            camera=camera_of(source.path, self._setup.cameras),
        )


def unchanged(source: Source, status: os.stat_result) -> bool:
    """Return whether a file has the size and time of change that it had."""
    return (source.size, source.mtime_ns) == (status.st_size, status.st_mtime_ns)


def failed(job: Job, media: Path, reason: str, *, again: bool) -> Video:
    """Return the video of a file that could not be extracted.

    Args:
        job: the file.
        media: the folder of media.
        reason: why.
        again: whether another attempt may succeed.
    """
    try:
        status = (media / job.path).stat()
        source = Source(job.path, status.st_size, status.st_mtime_ns, "")
    except OSError:
        source = Source(job.path, 0, 0, "")
    before = job.before
    same = before is not None and before.status == "failed" and before.source == source
    attempts = before.attempts if before is not None and same else 0
    return Video(video_name(job.path), source, "failed", reason, attempts + again)
