"""Finds feature files by the names that the benchmarks' authors give them.

Crop k of a video is ``FOLDER/NAME__k.npy``. A file ``FOLDER/NAME.npy`` holds all crops, or the
only one. FOLDER is a class or a split, or is left out.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PureWindowsPath

from varkit_datasets.findings import Findings, absence, alike
from varkit_datasets.sources import Source

DEPTH = 3
"""How deep nested folders are searched; links are followed, and may be circular."""

Crops = dict[int | None, Path]
"""Crop number -> file; None = a file without a number."""


def find_streams(
    root: Path,
    streams: Mapping[str, str],
    videos: Mapping[str, str],
    centre: int,
    findings: Findings,
) -> dict[str, dict[str, tuple[Source, ...]]]:
    """Find the feature files of videos.

    Every video must have the crops that most videos have, the same in every stream.

    Args:
        root: of the data set.
        streams: stream -> its folder below ``root``.
        videos: video -> the folder to prefer if several hold files of it.
        centre: the number of the centre crop.
        findings: collects what is missing as faults, and files of no video as remarks.

    Returns:
        Video -> stream -> its files, the centre first; videos that lack a file are left out.
    """
    if not streams:
        findings.fault("streams: name at least one, as in {object: rgb}")
    by_stream: dict[str, dict[str, tuple[Source, ...]]] = {}
    numbers: dict[str, str] = {}
    for stream, folder in streams.items():
        files = find(root, folder, videos, findings, suffix="", what=f"stream {stream!r}")
        usual = _usual(files)
        unusual = {v: crops for v, crops in files.items() if _numbers(crops) != usual}
        for video, crops in unusual.items():
            there = f"{video!r} has {_named(_numbers(crops))}"
            what = f"expected {_named(usual)}" if usual else "two kinds of files"
            findings.fault(f"stream {stream!r}: {what}", there)
        if usual and centre not in usual and not (usual == (None,) and centre == 0):
            findings.fault(
                f"stream {stream!r}: no crop {centre} to be the centre, only "
                f"{_named(usual)}: set data.centre"
            )
            usual = ()
        order = sorted(usual, key=lambda k: (k != centre, k or 0))
        by_stream[stream] = {
            video: tuple(Source(crops[k]) for k in order)
            for video, crops in files.items()
            if order and video not in unusual
        }
        if usual and usual != (None,):
            numbers[stream] = _named(usual)
    if len(set(numbers.values())) > 1:
        listed = ", ".join(f"{stream} has {there}" for stream, there in numbers.items())
        findings.fault(f"streams differ in crops: {listed}")
    complete = [v for v in videos if streams and all(v in by_stream[s] for s in streams)]
    return {v: {stream: by_stream[stream][v] for stream in streams} for v in complete}


def find(
    root: Path,
    folder: str,
    videos: Mapping[str, str],
    findings: Findings,
    *,
    suffix: str,
    what: str,
) -> dict[str, Crops]:
    """Find the files of videos in one folder.

    Args:
        root: of the data set.
        folder: below ``root``.
        videos: as in :func:`find_streams`.
        findings: collects videos without a file as faults, and files of no video as remarks.
        suffix: between a video's name and ``.npy``, as in ``NAME__vggish.npy``.
        what: its name in messages.

    Returns:
        Video -> its files, all of one folder.
    """
    place = root / folder
    windows = PureWindowsPath(folder)
    if Path(folder).is_absolute() or windows.drive or ".." in windows.parts or not folder:
        findings.fault(f"{what}: {folder!r} must be a folder below {root}, or a link there")
        return {}
    if (why := absence(place, folder=True)) is not None:
        findings.fault(f"{what}: {why}")
        return {}
    groups, extra = _groups(place, videos, suffix, findings)
    chosen: dict[str, Crops] = {}
    for video, folders in groups.items():
        first, *duplicates = sorted(folders, key=partial(_rank, videos[video]))
        chosen[video] = folders[first]
        extra += [path for copy in duplicates for path in folders[copy].values()]
    if extra and findings.complete:
        findings.remark(
            f"{what}: {len(extra):,} files below {place} belong to no video, or repeat one",
            *(repr(path.relative_to(place).as_posix()) for path in extra),
        )
    lacking = [video for video in videos if video not in chosen]
    if lacking:
        named = f"NAME{suffix}.npy" if suffix else "NAME.npy or NAME__0.npy"
        close = alike(lacking[0], (path.name for path in extra))
        findings.fault(
            f"{what}: {place} holds no {named} of {len(lacking):,} of {len(videos):,} videos"
            + (f" (did you mean {close!r}?)" if close else ""),
            *map(repr, lacking),
        )
    return chosen


def _groups(
    place: Path, videos: Mapping[str, str], suffix: str, findings: Findings
) -> tuple[dict[str, dict[Path, Crops]], list[Path]]:
    """Return video -> folder -> its files there, and the files of no video."""
    groups: dict[str, dict[Path, Crops]] = {}
    extra: list[Path] = []
    for path in files_below(place, DEPTH, findings):
        video, crop = _parse(path.name, videos, suffix)
        if video not in videos:
            extra.append(path)
            continue
        crops = groups.setdefault(video, {}).setdefault(path.parent, {})
        if crops.setdefault(crop, path) != path:
            extra.append(path)
    return groups, extra


def files_below(folder: Path, depth: int, findings: Findings) -> Iterator[Path]:
    """Yield the regular files below a folder, in order; hidden ones are left out."""
    try:
        with os.scandir(folder) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        findings.fault(f"{folder} cannot be read: {error.strerror}")
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
            yield from files_below(Path(entry.path), depth - 1, findings)


def _rank(usual: str, folder: Path) -> tuple[bool, int, Path]:
    return folder.name != usual, len(folder.parts), folder


def _parse(name: str, videos: Mapping[str, str], suffix: str) -> tuple[str, int | None]:
    """Return the video and the number of the crop that a file name gives."""
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
    """Return the crops that most videos have; in a tie, the larger number of crops."""
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
