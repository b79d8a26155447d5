"""One stream: its arrays are found by the names of videos, checked, and written."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from varkit.errors import DataError
from varkit.system.files import write_error
from varkit.system.inputs import InputError, reason
from varkit_datasets.findings import few
from varkit_datasets.importing.captions import Captions, Video
from varkit_datasets.importing.clips import as_clips
from varkit_datasets.importing.containers import Container, open_container
from varkit_datasets.importing.request import Request

MOST_CROPS = 10
MEDIA = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v", ".3gp", ".wmv", ".flv")


@dataclass
class Stream:
    """A stream.

    Attributes:
        name: of the stream.
        request: what to import.
        captions: the videos, and where findings go.
        keys: video -> its array in the container.
        files: video -> the file that was written, below the folder.
        shapes: video -> the shape that was written.
        absent: the videos that have nothing of it.
    """

    name: str
    request: Request
    captions: Captions
    keys: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    absent: set[str] = field(default_factory=set)

    @property
    def column(self) -> str:
        """The manifest's column of its files, which no other column is called."""
        return f"{self.name}_features"

    def container(self) -> AbstractContextManager[Container]:
        """Open its features."""
        videos = self.captions.videos.values()
        names = frozenset(name for video in videos for name in _names(video))
        return open_container(self.request.features[self.name], names)

    def join(self) -> None:
        """Find the array of each video; those without one are faults, left out, or lack it."""
        with self.container() as container:
            self._find(container.names)
            self._lacking(container.names)
            for remark in container.remarks:
                self.captions.findings.remark(remark)

    def _find(self, there: Sequence[str]) -> None:
        """Find keys by the names of videos, else by names without folders and suffixes."""
        keys, bare, doubled = set(there), dict[str, str](), set[str]()
        for key in there:
            if bare.setdefault(_bare(key), key) != key:
                doubled.add(_bare(key))
        for name, video in self.captions.videos.items():
            exact = next((each for each in _names(video) if each in keys), None)
            short = next((each for each in _names(video) if each in bare), None)
            if exact is None and short in doubled:
                self.captions.findings.fault(
                    f"stream {self.name!r}: several arrays may be that of a video", repr(name)
                )
            if exact is not None or short is not None:
                self.keys[name] = exact or bare[short or ""]
        used = {*self.keys.values(), *self.captions.left_out}
        unused = [repr(key) for key in there if key not in used and _bare(key) not in used]
        if unused:
            what = f"stream {self.name!r}: arrays of videos that the captions lack"
            self.captions.findings.remark(what, *unused)

    def _lacking(self, there: Sequence[str]) -> None:
        lacking = [name for name in self.captions.videos if name not in self.keys]
        count, missing = len(self.captions.videos), self.request.missing
        some = len(lacking) < count
        if some and missing == "may-lack":
            self.absent.update(lacking)
        elif some and missing == "leave-out":
            for name in lacking:
                self.captions.leave_out(name, f"no features of stream {self.name!r}")
        elif lacking:
            what = "--missing leave-out leaves them out, --missing may-lack keeps them"
            if not some:
                what = f"it has {few([*map(repr, there)])}"
            given = self.request.features[self.name]
            self.captions.findings.fault(
                f"stream {self.name!r}: {given} lacks {len(lacking):,} of {count:,} videos "
                f"({what})",
                *(repr(name) for name in lacking),
            )

    def write(self, part: Path, tell: Callable[[], None]) -> None:
        """Write all arrays, in the order in which they are read fastest.

        Args:
            part: the folder that is being written.
            tell: called after each.
        """
        (part / "features" / self.name).mkdir(parents=True)
        videos = self.captions.videos
        wanted = {key: video for video, key in self.keys.items() if video in videos}
        with self.container() as container:
            for key in (name for name in container.names if name in wanted):
                self._write(wanted[key], key, container, part)
                tell()
        self._check_shapes()

    def _write(self, video: str, key: str, container: Container, part: Path) -> None:
        request, findings = self.request, self.captions.findings
        try:
            array = as_clips(container.read(key), request.crops_axis, request.centre)
        except Exception as error:  # of h5py and zipfile, which may be any
            said = str(error) if isinstance(error, (InputError, DataError)) else reason(error)
            where = f"stream {self.name!r}, {request.features[self.name]}, {key!r}"
            findings.fault(f"{where}: {said}")
            return
        if array is None:
            self.absent.add(video)
            if request.missing == "refuse":
                findings.fault(
                    f"stream {self.name!r}: arrays without a clip, or of NaN alone (--missing "
                    "leave-out leaves out their videos, --missing may-lack keeps them)",
                    repr(key),
                )
            return
        file = f"features/{self.name}/{_file_name(video)}"
        try:
            np.save(part / file, array, allow_pickle=False)
        except OSError as error:
            raise write_error(error, part / file, array.nbytes) from error
        self.files[video], self.shapes[video] = file, array.shape

    def _check_shapes(self) -> None:
        """Arrays have one width and one number of crops; axes of crops and time are not swapped."""
        if self.absent and not self.shapes and self.request.missing == "may-lack":
            self.captions.findings.fault(f"stream {self.name!r}: no video has anything of it")
        if not self.shapes:
            return
        self._agree("are not {} wide", {video: shape[-1] for video, shape in self.shapes.items()})
        crops = {v: shape[0] if len(shape) == 3 else 1 for v, shape in self.shapes.items()}
        times = {shape[-2] for shape in self.shapes.values()}
        most = max(crops, key=lambda video: crops[video])
        varied = len(set(crops.values())) > 1 and len(times) == 1 and max(times) <= MOST_CROPS
        varied &= all(len(shape) == 3 for shape in self.shapes.values())
        if varied or crops[most] > MOST_CROPS:
            self.captions.findings.fault(
                f"stream {self.name!r}: axes are swapped, as in {self.shapes[most]} "
                f"read as (crops, T, D); try --crops-axis {1 - self.request.crops_axis}"
            )
        else:
            self._agree("do not have {} crops", crops)

    def _agree(self, what: str, sizes: Mapping[str, int]) -> None:
        """Videos of another size than most are a fault."""
        usual = Counter(sizes.values()).most_common(1)[0][0]
        if odd := [f"{v!r} {self.shapes[v]}" for v, size in sizes.items() if size != usual]:
            what = what.format(usual)
            self.captions.findings.fault(f"stream {self.name!r}: arrays {what} as most", *odd)

    def leave_out_absent(self, part: Path, streams: Sequence[Stream]) -> None:
        """Leave out the videos whose arrays hold nothing, and delete what other streams wrote."""
        for video in sorted(self.absent & self.captions.videos.keys()):
            self.captions.leave_out(video, f"nothing in its array of stream {self.name!r}")
            for stream in streams:
                if video in stream.files:
                    (part / stream.files[video]).unlink()


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
    return name[: len(name) - len(suffix)]


def _file_name(video: str) -> str:
    """Return the name of a video's file: readable, allowed everywhere, and one a video."""
    if re.fullmatch(r"[a-z0-9_][a-z0-9_.-]{0,150}", video, re.ASCII):
        return f"{video}.npy"
    readable = re.sub(r"[^A-Za-z0-9._-]+", "_", video)[:80].strip("._-")
    return f"{readable}-{hashlib.sha256(video.encode()).hexdigest()[:12]}.npy"
