"""Joins captions with features by the names of videos, and writes what ``folder`` reads.

::

    FOLDER/manifest.jsonl           a line for each video
    FOLDER/features/STREAM/*.npy    (T, D), or (C, T, D) with the centre first
    FOLDER/import.json              what was imported from where, and what was left out

The folder appears when all of it is written. Of the features, one video is in memory at a time.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
import os
import re
import secrets
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from varkit import __version__
from varkit.errors import DataError, did_you_mean
from varkit.system.files import sha256, sync_folder, write_error, write_json, write_text
from varkit.system.inputs import InputError, reason
from varkit_datasets import cells
from varkit_datasets.findings import few
from varkit_datasets.importing import LAYOUTS
from varkit_datasets.importing.captions import LEFT_OUT, Captions, Video
from varkit_datasets.importing.containers import Container, open_container

MANIFEST, RECORD = "manifest.jsonl", "import.json"
SHOWN = 10
"""Places that are named of a fault."""
MOST_CROPS = 10
MEDIA = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".3gp", ".wmv", ".flv")
Missing = Literal["refuse", "leave-out", "may-lack"]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import.

    Attributes:
        layout: a key of :data:`varkit_datasets.importing.LAYOUTS`.
        captions: (split, file) pairs; None = the file says the split.
        features: stream -> path, as in :func:`~varkit_datasets.importing.containers.open_container`.
        out: the folder to write.
        lists: (split, file) pairs that decide the splits instead.
        renamed: a data set's name of a split -> varkit's, or ``none``.
        options: of the layout.
        missing: videos without features of a stream: an error, left out, or allowed to lack it.
        crops_axis: of arrays with three axes; 0 = (C, T, D), 1 = (T, C, D).
        centre: which crop is the centre; it comes first in the files that are written.
        force: replace a folder that another import wrote.
    """

    layout: str
    captions: Sequence[tuple[str | None, Path]]
    features: Mapping[str, str]
    out: Path
    lists: Sequence[tuple[str, Path]] = ()
    renamed: Mapping[str, str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    missing: Missing = "refuse"
    crops_axis: Literal[0, 1] = 0
    centre: int = 0
    force: bool = False


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
    _check(request)
    with _new_folder(request.out, force=request.force) as part:
        captions = _captions(request)
        streams = _Streams(request, captions, part, progress)
        streams.join()
        streams.write()
        videos = captions.videos
        rows = (json.dumps(streams.row(video), ensure_ascii=False) for video in videos.values())
        write_text(part / MANIFEST, "".join(f"{row}\n" for row in rows))
        result = Imported(
            {"use": "folder", "root": str(request.out), "manifest": MANIFEST} | streams.options(),
            _counts(videos.values()),
            captions.left_out,
            (*_lines(captions.findings.remarks), *streams.remarks()),
        )
        write_json(part / RECORD, _record(request, result))
    return result


def _check(request: Request) -> None:
    """Raise a DataError over the request itself."""
    layout = request.layout
    if layout not in LAYOUTS:
        raise DataError(
            f"no layout {layout!r}.{did_you_mean(layout, LAYOUTS)} Known: {', '.join(LAYOUTS)}"
        )
    if bool(request.captions) == (layout == "features"):
        which = "reads no captions" if request.captions else "needs at least one file of captions"
        raise DataError(f"layout {layout} {which}")
    if not request.features:
        raise DataError(
            "no features are named", hint="--features object=PATH names those of a stream"
        )
    for stream in request.features:
        if not re.fullmatch(r"[A-Za-z_][\w.-]*", stream, re.ASCII):
            raise DataError(
                f"stream {stream!r} must be a name of letters, digits, '_', '.' and '-'"
            )
    known = [] if layout == "features" else _options(_reader(layout))
    for option in request.options:
        if option not in known:
            has = ", ".join(f"--{name}" for name in known) or "none"
            raise DataError(f"layout {layout} has no option --{option}; its options: {has}")


def _reader(layout: str) -> Callable[..., None]:
    """Return the function that reads a file of a layout."""
    reader: Callable[..., None] = importlib.import_module(f"{__package__}.{layout}").read
    return reader


def _options(reader: Callable[..., None]) -> list[str]:
    parameters = inspect.signature(reader).parameters.values()
    return [each.name for each in parameters if each.kind is each.KEYWORD_ONLY]


def _captions(request: Request) -> Captions:
    """Read the captions of all files; their faults are raised together."""
    captions = Captions(request.renamed)
    for split, path in request.captions:
        given = None if split is None else captions.split("the command line", split)
        try:
            _reader(request.layout)(captions, path, given, **request.options)
        except DataError as error:
            captions.findings.refuse(error)
    if not captions.findings.faults:
        lenient = request.missing == "leave-out"
        try:
            captions.apply_lists(request.lists, lenient=lenient)
        except DataError as error:
            captions.findings.refuse(error)
        captions.finish()
    _refuse(request.layout, captions.findings.faults)
    return captions


class _Streams:
    """The features of all streams: found, checked, written.

    Args:
        request: what to import.
        captions: the videos; without any, those of the features are added to them.
        part: the folder that is being written.
        progress: as in :func:`import_folder`.
    """

    def __init__(
        self, request: Request, captions: Captions, part: Path, progress: Progress
    ) -> None:
        self._request, self._captions = request, captions
        self._part, self._progress = part, progress
        self._keys: dict[str, dict[str, str]] = {}
        self._files: dict[str, dict[str, str]] = {stream: {} for stream in request.features}
        self._shapes: dict[str, dict[str, tuple[int, ...]]] = {s: {} for s in request.features}
        self._absent: dict[str, set[str]] = {stream: set() for stream in request.features}

    def join(self) -> None:
        """Find the array of each video in each stream, and leave out videos that lack one."""
        if self._request.layout == "features":
            for given in self._request.features.values():
                with self._open(given) as container:
                    for name in container.names:
                        self._captions.add(given, name, [], split="test")
        for stream, given in self._request.features.items():
            with self._open(given) as container:
                self._keys[stream] = self._find(stream, container)
                self._lacking(stream, container.names)
                for remark in container.remarks:
                    self._captions.findings.remark(remark)
        _refuse(self._request.layout, self._captions.findings.faults)

    def _open(self, given: str) -> AbstractContextManager[Container]:
        videos = self._captions.videos.values()
        return open_container(given, frozenset(name for video in videos for name in _names(video)))

    def _find(self, stream: str, container: Container) -> dict[str, str]:
        """Return video -> its name in a container."""
        keys, bare = set(container.names), dict[str, str]()
        doubled = set()
        for name in container.names:
            if bare.setdefault(_bare(name), name) != name:
                doubled.add(_bare(name))
        found = {}
        for name, video in self._captions.videos.items():
            key = next((each for each in _names(video) if each in keys), None)
            if key is None:
                short = next((each for each in _names(video) if each in bare), None)
                if short in doubled:
                    self._captions.findings.fault(
                        f"stream {stream!r}: several arrays may be that of a video", repr(name)
                    )
                key = bare[short] if short is not None else None
            if key is not None:
                found[name] = key
        used = {*found.values(), *self._captions.left_out}
        unused = [repr(n) for n in container.names if n not in used and _bare(n) not in used]
        if unused:
            what = f"stream {stream!r}: arrays of videos that the captions lack"
            self._captions.findings.remark(what, *unused)
        return found

    def _lacking(self, stream: str, there: Sequence[str]) -> None:
        """Refuse the videos that a stream lacks, leave them out, or let them lack it.

        Args:
            stream: its name.
            there: the names of its arrays.
        """
        lacking = [name for name in self._captions.videos if name not in self._keys[stream]]
        given, missing = self._request.features[stream], self._request.missing
        if missing == "may-lack":
            self._absent[stream].update(lacking)
        elif missing == "leave-out" and len(lacking) < len(self._captions.videos):
            for name in lacking:
                self._captions.leave_out(name, f"no features of stream {stream!r}")
        elif lacking:
            count = len(self._captions.videos)
            what = "--missing leave-out leaves them out, --missing may-lack keeps them"
            if len(lacking) == count:
                what = f"it has {few([*map(repr, there)])}"
            self._captions.findings.fault(
                f"stream {stream!r}: {given} lacks {len(lacking):,} of {count:,} videos ({what})",
                *(repr(name) for name in lacking),
            )

    def write(self) -> None:
        """Write all arrays, in the order in which they are read fastest."""
        videos = self._captions.videos
        total, done = sum(len(keys.keys() & videos) for keys in self._keys.values()), 0
        for stream, given in self._request.features.items():
            folder = self._part / "features" / stream
            folder.mkdir(parents=True)
            wanted = {key: video for video, key in self._keys[stream].items() if video in videos}
            with self._open(given) as container:
                for key in (name for name in container.names if name in wanted):
                    self._write(stream, wanted[key], key, container, folder)
                    done += 1
                    self._progress(done, total)
            self._check_shapes(stream)
        _refuse(self._request.layout, self._captions.findings.faults)
        if self._request.missing == "leave-out":
            for stream, absent in self._absent.items():
                for video in absent & videos.keys():
                    self._captions.leave_out(video, f"nothing in its array of stream {stream!r}")
                    for files in self._files.values():
                        if video in files:
                            (self._part / files[video]).unlink()
            _refuse(self._request.layout, {} if videos else {"no video is left": []})

    def _write(self, stream: str, video: str, key: str, container: Container, folder: Path) -> None:
        where = f"stream {stream!r}, {self._request.features[stream]}, {key!r}"
        try:
            array = _clips(container.read(key), self._request)
        except Exception as error:  # of h5py and zipfile, which may be any
            said = str(error) if isinstance(error, (InputError, DataError)) else reason(error)
            self._captions.findings.fault(f"{where}: {said}")
            return
        if array is None:
            self._absent[stream].add(video)
            if self._request.missing == "refuse":
                self._captions.findings.fault(
                    f"stream {stream!r}: arrays without a clip, or of NaN alone; --missing may-lack "
                    "lets their videos lack the stream",
                    repr(key),
                )
            return
        name = _file_name(video)
        try:
            np.save(folder / name, array, allow_pickle=False)
        except OSError as error:
            raise write_error(error, folder / name, array.nbytes) from error
        self._files[stream][video] = f"features/{stream}/{name}"
        self._shapes[stream][video] = array.shape

    def _check_shapes(self, stream: str) -> None:
        """All arrays of a stream have one width; axes of crops and time are not swapped."""
        shapes = self._shapes[stream]
        widths = Counter(shape[-1] for shape in shapes.values())
        if len(widths) > 1:
            usual = widths.most_common(1)[0][0]
            self._captions.findings.fault(
                f"stream {stream!r}: arrays are not {usual} wide as most",
                *(f"{v!r} {shape}" for v, shape in shapes.items() if shape[-1] != usual),
            )
        crops = {shape[:-2] for shape in shapes.values()}
        times = {shape[-2] for shape in shapes.values()}
        if len(crops) > 1 and () not in crops and len(times) == 1 and max(times) <= MOST_CROPS:
            other = 1 - self._request.crops_axis
            self._captions.findings.fault(
                f"stream {stream!r}: axes are swapped, as in {next(iter(shapes.values()))} read as "
                f"(crops, T, D); try --crops-axis {other}"
            )

    def row(self, video: Video) -> dict[str, Any]:
        """Return a video's line of the manifest."""
        row = {"video": video.name, "split": video.split, "caption": video.captions or None}
        row |= {key: value for key, value in video.facts.items() if value is not None}
        if video.duration is not None:
            row["duration"] = video.duration
        if any(video.moments):
            row["moments"] = video.moments
        return row | {
            _column(stream): files.get(video.name) for stream, files in self._files.items()
        }

    def options(self) -> dict[str, Any]:
        """Return what the ``data`` section says of the streams."""
        videos = self._captions.videos
        options: dict[str, Any] = {"streams": {stream: _column(stream) for stream in self._files}}
        lack = [stream for stream, absent in self._absent.items() if absent & set(videos)]
        if lack:
            options["may_lack"] = lack
        if any(max(lengths) - min(lengths) > 1 for lengths in self._lengths()):
            options["clips_of"] = next(iter(self._files))
        return options

    def _lengths(self) -> Iterator[list[int]]:
        """Yield the numbers of clips of each video."""
        for video in self._captions.videos:
            yield [shapes[video][-2] for shapes in self._shapes.values() if video in shapes] or [0]

    def remarks(self) -> Iterator[str]:
        """Yield what users should know of the folder as a whole."""
        videos = self._captions.videos
        for stream, absent in self._absent.items():
            if absent := absent & set(videos):
                yield f"stream {stream!r} is absent of {len(absent):,} of {len(videos):,} videos"
        if unknown := sum(video.duration is None for video in videos.values()):
            yield (
                f"{unknown:,} of {len(videos):,} videos have no duration: set seconds_per_clip in "
                "the data section if a clip does not last 16 frames at 30 a second"
            )
        there = {video.split for video in videos.values()}
        for split in ("train", "test"):
            if split not in there:
                yield (
                    f"no video is in split {split!r}: {split}=FILE, --list {split}=FILE or "
                    f"--split NAME={split} makes one"
                )


def _column(stream: str) -> str:
    """Return the manifest's column of a stream, which no other column is called."""
    return f"{stream}_features"


def _clips(array: NDArray[Any], request: Request) -> NDArray[Any] | None:
    """Return an array as (T, D), or (C, T, D) with the centre first; None = an absent stream.

    Raises:
        InputError: it has another shape, or holds something other than finite numbers.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"holds {array.dtype}, not numbers")
    dims = array.shape
    if array.ndim > 3:
        array = array.reshape([size for size in dims if size != 1] or [1])
    if array.ndim == 1 and array.size:
        array = array[None]
    if array.ndim not in (2, 3):
        raise InputError(f"has shape {dims}; expected (T, D), or (C, T, D) for C crops")
    if array.ndim == 3:
        array = array if request.crops_axis == 0 else array.transpose(1, 0, 2)
        if request.centre >= len(array) > 1:
            raise InputError(f"has {len(array)} crops; there is no crop {request.centre}")
        if request.centre and len(array) > 1:
            others = [crop for crop in range(len(array)) if crop != request.centre]
            array = array[[request.centre, *others]]
    if 0 in array.shape:
        return None
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, np.float16 if array.dtype == np.float16 else np.float32)
    finite = np.isfinite(array)
    if finite.all():
        return array
    if np.isnan(array).all():
        return None
    clip = int(np.argmin(finite.all(axis=-1).reshape(-1, array.shape[-2]).all(axis=0)))
    raise InputError(f"clip {clip} holds NaN or infinity")


def _names(video: Video) -> tuple[str, ...]:
    """Return what arrays of a video may be called."""
    names = (video.name, *video.aliases)
    return (*names, *(bare for name in names if (bare := _bare(name)) not in names))


def _bare(name: str) -> str:
    """Return a name without folders and a media file's suffix.

    >>> _bare("clips/1006_Film_00.12.03.100-00.12.05.201.avi"), _bare("a.b")
    ('1006_Film_00.12.03.100-00.12.05.201', 'a.b')
    """
    name = name.rpartition("/")[2]
    suffix = next((suffix for suffix in MEDIA if name.lower().endswith(suffix)), "")
    return name.removesuffix(name[-len(suffix) :]) if suffix else name


def _file_name(video: str) -> str:
    """Return the name of a video's file: readable, allowed everywhere, and one a video."""
    if re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,150}", video, re.ASCII):
        return f"{video}.npy"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", video)[:80].strip("._-")
    return f"{readable}-{hashlib.sha256(video.encode()).hexdigest()[:12]}.npy"


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
            part.rename(out)
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
