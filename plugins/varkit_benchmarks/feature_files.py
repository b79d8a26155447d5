"""Feature files found by their names, as the benchmarks' authors name them.

Crop k of a video lies in ``FOLDER/NAME__k.npy``, or all crops, or the only one, in
``FOLDER/NAME.npy``; FOLDER is a class, a split, or not there.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PureWindowsPath

from varkit_benchmarks.findings import Findings, absence, alike
from varkit_benchmarks.sources import Source

DEPTH = 3
"""Folders in folders that are looked into; links are followed, and may go in circles."""

Crops = dict[int | None, Path]
"""Crop number -> file; None = a file without a number."""


def find_streams(
    root: Path,
    streams: Mapping[str, str],
    videos: Mapping[str, str],
    centre: int,
    found: Findings,
) -> dict[str, dict[str, tuple[Source, ...]]]:
    """Find the feature files of videos.

    Every video must have the crops that most videos have, the same in every stream.

    Args:
        root: of the data set.
        streams: stream -> its folder below ``root``.
        videos: video -> the folder that its files lie in if several hold some.
        centre: the number of the centre crop.
        found: takes what is missing as faults, and files of no video as remarks.

    Returns:
        Video -> stream -> its files, the centre first; only videos with all files are there.
    """
    if not streams:
        found.fault("streams: name at least one, as in {object: rgb}")
    by_stream: dict[str, dict[str, tuple[Source, ...]]] = {}
    numbers: dict[str, str] = {}
    for stream, folder in streams.items():
        files = find(root, folder, videos, found, suffix="", what=f"stream {stream!r}")
        usual = _usual(files)
        others = {v: crops for v, crops in files.items() if _numbers(crops) != usual}
        for video, crops in others.items():
            there = f"{video!r} has {_named(_numbers(crops))}"
            what = f"other crops than {_named(usual)}" if usual else "two kinds of files"
            found.fault(f"stream {stream!r}: {what}", there)
        if usual and centre not in usual and not (usual == (None,) and centre == 0):
            found.fault(
                f"stream {stream!r}: crop {centre} is to be the centre, but there is "
                f"{_named(usual)}: set data.centre"
            )
            usual = ()
        order = sorted(usual, key=lambda k: (k != centre, k or 0))
        by_stream[stream] = {
            video: tuple(Source(crops[k]) for k in order)
            for video, crops in files.items()
            if order and video not in others
        }
        if usual and usual != (None,):
            numbers[stream] = _named(usual)
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{stream} has {there}" for stream, there in numbers.items())
        found.fault(f"streams differ in crops: {listed}")
    complete = [v for v in videos if streams and all(v in by_stream[s] for s in streams)]
    return {v: {stream: by_stream[stream][v] for stream in streams} for v in complete}


def find(
    root: Path,
    folder: str,
    videos: Mapping[str, str],
    found: Findings,
    *,
    suffix: str,
    what: str,
) -> dict[str, Crops]:
    """Find the files of videos in one folder.

    Args:
        root: of the data set.
        folder: below ``root``.
        videos: as in :func:`find_streams`.
        found: takes videos without a file as faults, and files of no video as remarks.
        suffix: what may stand between a video's name and ``.npy``, as in ``NAME__vggish.npy``.
        what: what messages call it.

    Returns:
        Video -> its files, all of one folder.
    """
    place = root / folder
    windows = PureWindowsPath(folder)
    if Path(folder).is_absolute() or windows.drive or ".." in windows.parts or not folder:
        found.fault(f"{what}: {folder!r} must be a folder below {root}; a link may lie there")
        return {}
    if (why := absence(place, folder=True)) is not None:
        found.fault(f"{what}: {why}")
        return {}
    groups, extra = _groups(place, videos, suffix, found)
    chosen: dict[str, Crops] = {}
    for video, folders in groups.items():
        first, *others = sorted(folders, key=partial(_rank, videos[video]))
        chosen[video] = folders[first]
        extra += [path for other in others for path in folders[other].values()]
    if extra and found.complete:
        found.remark(
            f"{what}: {len(extra):,} files below {place} belong to no video, or repeat one",
            *(repr(path.relative_to(place).as_posix()) for path in extra),
        )
    lacking = [video for video in videos if video not in chosen]
    if lacking:
        named = f"NAME{suffix}.npy" if suffix else "NAME.npy or NAME__0.npy"
        close = alike(lacking[0], (path.name for path in extra))
        found.fault(
            f"{what}: {place} holds no {named} of {len(lacking):,} of {len(videos):,} videos"
            + (f" (is {close!r} one?)" if close else ""),
            *map(repr, lacking),
        )
    return chosen


def _groups(
    place: Path, videos: Mapping[str, str], suffix: str, found: Findings
) -> tuple[dict[str, dict[Path, Crops]], list[Path]]:
    """Return video -> folder -> its files there, and the files of no video."""
    groups: dict[str, dict[Path, Crops]] = {}
    extra: list[Path] = []
    for path in _files(place, DEPTH, found):
        video, crop = _parse(path.name, videos, suffix)
        if video not in videos:
            extra.append(path)
            continue
        crops = groups.setdefault(video, {}).setdefault(path.parent, {})
        if crops.setdefault(crop, path) != path:
            extra.append(path)
    return groups, extra


def _files(folder: Path, depth: int, found: Findings) -> Iterator[Path]:
    """Yield the regular files below a folder, in order; hidden ones are left out."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        found.fault(f"{folder} cannot be read: {error.strerror}")
        return
    for entry in ordered:
        if entry.name.startswith("."):
            continue
        try:
            is_folder, is_file = entry.is_dir(), entry.is_file()
        except OSError:  # a link to itself
            continue
        if is_file:
            yield Path(entry.path)
        elif is_folder and depth:
            yield from _files(Path(entry.path), depth - 1, found)


def _rank(usual: str, folder: Path) -> tuple[bool, int, Path]:
    return folder.name != usual, len(folder.parts), folder


def _parse(name: str, videos: Mapping[str, str], suffix: str) -> tuple[str, int | None]:
    """Return the video and the crop's number that a file's name says."""
    if not name.endswith(".npy"):
        return "", None
    stem = name.removesuffix(".npy")
    if stem in videos or not suffix:
        head, mark, crop = stem.rpartition("__")
        if stem not in videos and mark and crop.isascii() and crop.isdigit() and len(crop) < 4:
            return head, int(crop)
        return stem, None
    return stem.removesuffix(suffix), None


def _numbers(crops: Crops) -> tuple[int | None, ...]:
    return tuple(sorted(crops, key=lambda k: -1 if k is None else k))


def _usual(files: Mapping[str, Crops]) -> tuple[int | None, ...]:
    """Return the crops that most videos have; of two that as many have, the more crops."""
    counts = Counter(_numbers(crops) for crops in files.values())
    unmixed = [numbers for numbers in counts if numbers == (None,) or None not in numbers]
    return max(unmixed, key=lambda numbers: (counts[numbers], len(numbers)), default=())


def _named(numbers: tuple[int | None, ...]) -> str:
    present = [k for k in numbers if k is not None]
    parts = ["a file without a number"] if None in numbers else []
    if len(present) > 1 and present == list(range(present[0], present[-1] + 1)):
        parts.append(f"crops {present[0]} to {present[-1]}")
    elif present:
        parts.append(f"crop{'s' if len(present) > 1 else ''} {', '.join(map(str, present))}")
    return " and ".join(parts)
