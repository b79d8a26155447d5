"""Joins captions with features by the names of videos, and writes what ``folder`` reads.

::

    FOLDER/manifest.jsonl           a line for each video
    FOLDER/features/STREAM/*.npy    (T, D), or (C, T, D) with the centre first
    FOLDER/import.json              what was imported from where, and what was left out

The folder appears when all of it is written. Of the features, one video is in memory at a time.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varkit import __version__
from varkit.errors import DataError
from varkit.system.files import sha256, sync_folder, write_error, write_json, write_text
from varkit_datasets import cells
from varkit_datasets.findings import few
from varkit_datasets.importing.captions import Captions, Video
from varkit_datasets.importing.request import Request, check, reader_of
from varkit_datasets.importing.streams import Stream

MANIFEST, RECORD = "manifest.jsonl", "import.json"
SHOWN = 10
"""Places that are named of a fault."""
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Imported:
    """What was imported.

    Attributes:
        data: the ``data`` section of a recipe that reads it.
        counts: split -> ``videos`` and ``captions``.
        left_out: video -> why.
        remarks: what users should know.
    """

    data: Mapping[str, Any]
    counts: Mapping[str, Mapping[str, int]]
    left_out: Mapping[str, str]
    remarks: Sequence[str]


def import_folder(request: Request, progress: Progress = lambda done, total: None) -> Imported:
    """Import captions and features.

    Args:
        request: what to import.
        progress: called with the number of arrays written, and of all.

    Raises:
        DataError: an option or a file is wrong; of captions and of features, all faults are listed.
        WriteError: the folder cannot be written.
    """
    check(request)
    with _new_folder(request.out, force=request.force) as part:
        captions = _captions(request)
        streams = [Stream(name, request, captions) for name in request.features]
        if request.layout == "features":
            _add_gallery(captions, streams)
        for stream in streams:
            stream.join()
        _refuse(request.layout, captions.findings.faults)
        _write(streams, captions, part, progress)
        videos = captions.videos.values()
        rows = (json.dumps(_row(video, streams), ensure_ascii=False) for video in videos)
        write_text(part / MANIFEST, "".join(f"{row}\n" for row in rows))
        section = {"use": "folder", "root": str(request.out), "manifest": MANIFEST}
        remarks = (*_lines(captions.findings.remarks), *_remarks(captions, streams))
        section |= _options(captions, streams)
        result = Imported(section, _counts(videos), captions.left_out, remarks)
        write_json(part / RECORD, _record(request, result))
    return result


def _captions(request: Request) -> Captions:
    """Read the captions of all files; their faults are raised together."""
    captions = Captions(request.renamed)
    for split, path in request.captions:
        given = None if split is None else captions.split("the command line", split)
        try:
            reader_of(request.layout)(captions, path, given, **request.options)
        except DataError as error:
            captions.findings.refuse(error)
    _refuse(request.layout, captions.findings.faults)
    captions.apply_lists(request.lists, lenient=request.missing == "leave-out")
    captions.finish()
    _refuse(request.layout, captions.findings.faults)
    return captions


def _add_gallery(captions: Captions, streams: Sequence[Stream]) -> None:
    """Add the videos of all streams, as candidates of the test split."""
    for stream in streams:
        with stream.container() as container:
            for name in container.names:
                captions.add(stream.request.features[stream.name], name, [], split="test")


def _write(streams: Sequence[Stream], captions: Captions, part: Path, progress: Progress) -> None:
    """Write the arrays of all streams; their faults are raised together."""
    total = sum(len(stream.keys.keys() & captions.videos) for stream in streams)
    done = 0

    def tell() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    for stream in streams:
        stream.write(part, tell)
    _refuse(streams[0].request.layout, captions.findings.faults)
    if streams[0].request.missing == "leave-out":
        for stream in streams:
            stream.leave_out_absent(part, streams)
    if not captions.videos:
        raise DataError("no video is left")


def _row(video: Video, streams: Sequence[Stream]) -> dict[str, Any]:
    """Return a video's line of the manifest."""
    row: dict[str, Any] = {
        "video": video.name,
        "split": video.split,
        "caption": video.captions or None,
    }
    row |= video.facts
    if video.duration is not None:
        row["duration"] = video.duration
    if any(video.moments):
        row["moments"] = video.moments
    return row | {stream.column: stream.files.get(video.name) for stream in streams}


def _options(captions: Captions, streams: Sequence[Stream]) -> dict[str, Any]:
    """Return what the ``data`` section says of the streams."""
    options: dict[str, Any] = {"streams": {stream.name: stream.column for stream in streams}}
    if lack := [stream.name for stream in streams if stream.absent & captions.videos.keys()]:
        options["may_lack"] = lack
    for video in captions.videos:
        lengths = [stream.shapes[video][-2] for stream in streams if video in stream.shapes]
        if lengths and max(lengths) - min(lengths) > 1:
            options["clips_of"] = streams[0].name
    return options


def _remarks(captions: Captions, streams: Sequence[Stream]) -> Iterator[str]:
    """Yield what users should know of the folder as a whole."""
    videos = captions.videos
    for stream in streams:
        if absent := stream.absent & videos.keys():
            count = f"{len(absent):,} of {len(videos):,} videos"
            yield f"stream {stream.name!r} is absent of {count}"
    if unknown := sum(video.duration is None for video in videos.values()):
        yield (
            f"{unknown:,} of {len(videos):,} videos have no duration: set seconds_per_clip in the "
            "data section if a clip does not last 16 frames at 30 a second"
        )
    there = {video.split for video in videos.values()}
    for split in ("train", "test"):
        if split not in there:
            yield (
                f"no video is in split {split!r}: {split}=FILE, --list {split}=FILE or "
                f"--split NAME={split} makes one"
            )


def _counts(videos: Any) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {}
    for video in videos:
        count = counts.setdefault(video.split, {"videos": 0, "captions": 0})
        count["videos"] += 1
        count["captions"] += len(video.captions)
    return {split: counts[split] for split in cells.SPLITS if split in counts}


def _record(request: Request, result: Imported) -> dict[str, Any]:
    def hashed(files: Sequence[tuple[str | None, Path]]) -> list[dict[str, Any]]:
        return [{"split": s, "file": str(path), "sha256": sha256(path)} for s, path in files]

    return {
        "schema": 1,
        "varkit": __version__,
        "layout": request.layout,
        "captions": hashed(request.captions),
        "lists": hashed(request.lists),
        "features": dict(request.features),
        "options": {
            "renamed": dict(request.renamed),
            "missing": request.missing,
            "crops_axis": request.crops_axis,
            "centre": request.centre,
        }
        | dict(request.options),
        "counts": result.counts,
        "left_out": result.left_out,
        "remarks": list(result.remarks),
    }


@contextmanager
def _new_folder(out: Path, *, force: bool) -> Iterator[Path]:
    """Yield a folder beside ``out`` that becomes it at the end, or nothing at all.

    Raises:
        DataError: ``out`` has content that no import wrote, or that is not to be replaced.
    """
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise DataError(f"{out} is not a folder", hint="choose another --out")
    full = out.is_dir() and any(out.iterdir())
    if full and not (out / RECORD).is_file():
        raise DataError(f"{out} is not empty, and no import wrote it", hint="choose another --out")
    if full and not force:
        raise DataError(f"{out} has an import already", hint="--force replaces it")
    out = Path(os.path.abspath(out))  # of which the last part is a name
    part = out.with_name(f".{out.name}.{secrets.token_hex(4)}.part")
    try:
        part.mkdir(parents=True)
        yield part
        if out.exists():
            old = part.with_suffix(".old.part")
            out.rename(old)
            try:
                part.rename(out)
            except BaseException:
                old.rename(out)
                raise
            shutil.rmtree(old)
        else:
            part.rename(out)
        sync_folder(out.parent)
    except OSError as error:
        raise write_error(error, out, 0) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _refuse(layout: str, faults: Mapping[str, list[str]]) -> None:
    """Raise all faults at once."""
    if faults:
        listed = _lines(faults)
        count = f"{len(listed)} fault{'s' if len(listed) > 1 else ''}"
        raise DataError("\n  ".join([f"import of {layout}: {count}", *listed]))


def _lines(places: Mapping[str, list[str]]) -> list[str]:
    return [f"{what}: {few(where, SHOWN)}" if where else what for what, where in places.items()]
