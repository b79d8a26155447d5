"""Extracts a folder of media into a store, and continues where it was interrupted."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from varkit.errors import MediaError
from varkit.media.catalogue import NAME as CATALOGUE
from varkit.media.catalogue import Video
from varkit.media.extractors import Wanted, build_extractors
from varkit.media.files import Listing, find_media
from varkit.media.limits import Limits
from varkit.media.pool import Executor, in_this_process
from varkit.media.store import Store, stream_file, video_name
from varkit.media.work import Job, Progress, Setup, unchanged
from varkit.plugins.loading import load_plugins
from varkit.system.files import sweep
from varkit.system.machine import usable_threads

ATTEMPTS = 2
"""A file whose worker or decoder died or hung so many times is set aside."""


@dataclass(frozen=True)
class Request:
    """What to extract.

    Attributes:
        media: a folder, or one file.
        store: the store's folder.
        wanted: the extractors.
        plugins: files of plugins.
        device: where to compute.
        threads: of all workers together; None = as many as this process may use.
        cameras: the pattern of :func:`varkit.media.recordings.camera_of`.
        retry: try files again that failed or were set aside.
        limits: of decoding.
    """

    media: Path
    store: Path
    wanted: Sequence[Wanted]
    plugins: Sequence[Path] = ()
    device: str = "auto"
    threads: int | None = None
    cameras: str | None = None
    retry: bool = False
    limits: Limits = field(default_factory=Limits)


@dataclass
class Summary:
    """How an extraction went.

    Attributes:
        skipped: what looked like media and was not opened, with the reason.
        videos: every file of the folder as the store has it now.
        done: the names of those that were worked on.
        elsewhere: the names of those that another writer works on.
    """

    skipped: list[tuple[str, str]] = field(default_factory=list)
    videos: dict[str, Video] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether every file was found, and extracted to its end."""
        unfit = any(video.status != "ok" for video in self.videos.values())
        return not (unfit or self.skipped or self.elsewhere)


class Watcher:
    """Told how an extraction goes; a subclass shows it."""

    def begin(self, jobs: Sequence[Job], summary: Summary) -> None:
        """Hear which files there are to work on."""

    def reached(self, path: Path, seconds: float, of: float | None) -> None:
        """Hear how many seconds of a file are done, and how many it has, if it says so."""

    def done(self, video: Video) -> None:
        """Hear how a file went."""


def extract_folder(
    request: Request,
    executor: Executor = in_this_process,
    *,
    workers: int = 1,
    watcher: Watcher | None = None,
) -> Summary:
    """Extract what a store lacks of a folder's media files.

    Files that are in the store and have not changed are not opened. Each file that is done is in
    the store for good, whatever happens after.

    Args:
        request: what to extract.
        executor: where workers run.
        workers: how many, which share the threads.
        watcher: is told how it goes.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        DataError: the store is damaged, or has streams that were made in another way.
        RecipeError: an extractor's options are wrong, or this machine lacks what it needs.
        WriteError: the disk is full or not writable.
    """
    watcher = watcher or Watcher()
    listing, jobs, summary = to_do(request)  # before a store is made
    extractors = build_extractors(request.wanted, load_plugins(request.plugins))
    with Store(request.store, writing=True) as store:
        store.register(extractors)
        if not store.catalogue.writers():  # else they are theirs
            sweep(request.store)
        waiting = deque(jobs)
        setup = Setup(
            media=listing.root.absolute(),
            store=request.store.absolute(),
            wanted=tuple(request.wanted),
            plugins=tuple(path.absolute() for path in request.plugins),
            marks=store.fingerprints(),
            device=request.device,
            threads=max(1, (request.threads or usable_threads()) // workers),
            cameras=request.cameras,
            limits=request.limits,
        )
        del extractors  # the workers have their own

        def next_job() -> Job | None:
            while waiting:
                job = waiting.popleft()
                name = video_name(job.path)
                if not store.catalogue.claim(name):
                    summary.elsewhere.append(name)
                    continue
                before = store.catalogue.video(name)  # another writer may have done it meanwhile
                if before is not None and not _there(store.root, before):
                    before = None
                if before == job.before or _needed(before, job.path, listing.root, request):
                    return Job(job.path, before, job.size)
                store.catalogue.release(name)
                if before is not None:
                    summary.videos[name] = before
            return None

        watcher.begin(jobs, summary)
        progress: Progress = watcher.reached
        for job, video in executor(setup, next_job, progress) if jobs else ():
            store.put(video)
            if video.status == "failed" and 0 < video.attempts < ATTEMPTS:
                waiting.append(Job(job.path, video, job.size))
                continue
            summary.videos[video.name] = video
            summary.done.append(video.name)
            watcher.done(video)
    return summary


def to_do(request: Request) -> tuple[Listing, list[Job], Summary]:
    """Return the media, the files to work on, and a summary with those that are done.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        DataError: the store is damaged.
    """
    listing = find_media(request.media)
    if not listing.files:
        raise MediaError(f"{request.media} holds no video and no sound file{_skipped(listing)}")
    known: dict[str, Video] = {}
    if (request.store / CATALOGUE).exists():
        with Store(request.store) as store:
            known = {v.name: v for v in store.catalogue.videos() if _there(store.root, v)}
    summary = Summary([(video_name(path), why) for path, why in listing.skipped])
    jobs: dict[str, Job] = {}
    for path in listing.files:
        name = video_name(path)
        if name in jobs or name in summary.videos:
            summary.skipped.append((name, "another file's name is written the same way"))
        elif _needed(known.get(name), path, listing.root, request):
            jobs[name] = Job(path, known.get(name), _size(listing.root / path))
        else:
            summary.videos[name] = known[name]
    return listing, [*jobs.values()], summary


def _there(root: Path, video: Video) -> bool:
    """Return whether a video's streams are there; a file that somebody removed is made again."""
    return video.sha256 is None or stream_file(root, video).is_file()


def _needed(video: Video | None, path: Path, root: Path, request: Request) -> bool:
    """Return whether there is anything to do for a file."""
    try:
        if video is None or not unchanged(video.source, (root / path).stat()):
            return True
    except OSError:
        return True  # the worker says what is wrong
    if video.status == "failed":
        return request.retry or 0 < video.attempts < ATTEMPTS
    return not {each.name for each in request.wanted} <= set(video.made)


def _size(path: Path) -> int:
    with suppress(OSError):  # the worker says what is wrong
        return path.stat().st_size
    return 0


def _skipped(listing: Listing) -> str:
    first = next(iter(listing.skipped), None)
    return "" if first is None else f"; skipped: {first[0]}, because {first[1]}"
