"""Verifies a whole store: every file, every number, and the catalogue against both."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from varkit.data.inspect.verify import Progress, Verification
from varkit.data.inspect.verify_video import Finding
from varkit.errors import DataError
from varkit.media.catalogue import Video
from varkit.media.extractors import fingerprint
from varkit.media.reader import StoredVideo, stream_widths
from varkit.media.store import STREAMS, Store, stream_file

STATUSES = ("ok", "partial", "failed")


def verify_store(
    root: Path, *, quick: bool = False, progress: Progress | None = None
) -> Verification:
    """Read a whole store and collect all of its faults.

    A file must be the one that was stored, with the streams, shapes and times that the catalogue
    names, and finite. Files of no video are a remark: an interrupted extraction leaves them.

    Args:
        root: the store's folder.
        quick: read headers only, and no hashes.
        progress: called after every video.

    Raises:
        DataError: there is no store, or its catalogue cannot be read.
    """
    started = time.monotonic()
    with Store(root) as store:
        records, marks = store.records(), store.fingerprints()
        widths, videos = stream_widths(store), store.catalogue.videos()
    faults = [
        Finding(
            "catalogue",
            f"extractor {name!r}: its record has the fingerprint {mark}, not {marks[name]}",
        )
        for name, record in records.items()
        if (mark := fingerprint(record)) != marks[name]
    ]
    size = 0
    for done, video in enumerate(videos, start=1):
        if video.sha256 is not None:
            texts, read = _verify(root, video, widths, quick)
            faults += [Finding("streams", text, ((video.name,),)) for text in texts]
            size += read
        elif video.status != "failed":
            text = f"video {video.name!r} is {video.status}, but has no file"
            faults.append(Finding("catalogue", text, ((video.name,),)))
        if progress is not None:
            progress(done, len(videos))
    counts = Counter(str(video.status) for video in videos)
    digest = hashlib.sha256(
        repr([sorted(marks.items()), [(v.name, v.sha256) for v in videos]]).encode()
    )
    return Verification(
        name=str(root),
        simulated=False,
        quick=quick,
        splits={"all": {"videos": len(videos)} | {status: counts[status] for status in STATUSES}},
        faults=tuple(faults),
        remarks=tuple(_remarks(root, videos)),
        fingerprint=None if faults else digest.hexdigest(),
        size=size,
        seconds=time.monotonic() - started,
    )


def _verify(
    root: Path, video: Video, widths: Mapping[str, int], quick: bool
) -> tuple[list[str], int]:
    """Return what is wrong with a video, each text once, and how many bytes were read."""
    readers = [
        StoredVideo(f"video {video.name!r}", root, video, {key: key}, {key: width})
        for key, width in widths.items()
        if (made := video.made.get(key.partition(".")[0])) is not None and made.absent is None
    ]
    faults: dict[str, None] = {}
    size = 0

    def attempt(read: Callable[[], None]) -> None:
        try:
            read()
        except DataError as error:
            faults[error.line] = None

    def count(reader: StoredVideo) -> None:
        nonlocal size
        for crop in range(reader.crops):
            pieces = reader.pieces(next(iter(reader.streams)), crop)
            size += 0 if quick else sum(clips.nbytes for clips in pieces)

    if readers and not quick:
        attempt(readers[0].intact)
    for reader in readers:
        attempt(partial(count, reader))
    return [*faults], size


def _remarks(root: Path, videos: Iterable[Video]) -> Iterable[Finding]:
    for video in videos:
        if video.status != "ok":
            text = f"video {video.name!r} is {video.status}: {video.reason}"
            yield Finding("videos", text, ((video.name,),))
    why = Counter(
        f"without {name}: {made.absent}"
        for video in videos
        for name, made in video.made.items()
        if made.absent is not None
    )
    for text, count in sorted(why.items()):
        yield Finding("videos", f"{count:,} {text}")
    known = {stream_file(root, video).name for video in videos if video.sha256 is not None}
    for path in sorted((root / STREAMS).iterdir()) if (root / STREAMS).is_dir() else ():
        if path.name not in known:
            yield Finding("files", f"{path} belongs to no video")
