"""XDViolence-AR as its authors lay it out: lists of names, I3D and VGGish features in files."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError
from varkit.interfaces import Count, Natural, Place, Positive
from varkit_datasets.annotations import XD_VIOLENCE, annotate, base_name, share_frames
from varkit_datasets.disjoint import source_disjoint
from varkit_datasets.entries import NORMAL, Entry, join
from varkit_datasets.feature_files import find, find_streams
from varkit_datasets.findings import Findings, absence, lines
from varkit_datasets.layout import SIMULATED, Layout
from varkit_datasets.sources import Source
from varkit_datasets.stored import Stored, survey
from varkit_datasets.text_lists import read_lines

ROOT = "data/xdviolence_ar"
STREAMS: Mapping[str, str] = {"object": "rgb", "motion": "flow"}
COUNTS = {"train": 3954, "test": 800}
LABELS = {
    "A": NORMAL,
    "B1": "Fighting",
    "B2": "Shooting",
    "B4": "Riot",
    "B5": "Abuse",
    "B6": "Car accident",
    "G": "Explosion",
}
Split = Literal["published", "source_disjoint"]
NOTHING = "0"
"""Fills the unused places of a label: ``B1-0-0``."""
SOUND = "__vggish"
_PAPER = "arXiv 2307.12545"
_NAME = re.compile(r"(?P<video>.+_label_(?P<label>[A-Z0-9-]+))(?:__(?P<crop>[0-9]{1,3}))?")


class XDViolenceAR(Stored):
    """XDViolence-AR (Wu et al., arXiv 2307.12545): 4,754 films and web videos, and their sound.

    ``root`` contains ``train.list`` and ``test.list`` of XD-Violence, a folder of features for each
    stream and one for the sounds, and optionally ``annotations.txt``, which says when anomalies
    happen.

    Args:
        root: the folder.
        streams: stream -> its folder below ``root``, with files ``NAME__k.npy`` for crop k, or
            ``NAME.npy`` of (T, D) or (C, T, D) numbers, in ``train`` and ``test`` or in neither.
        audio: the sounds' folder below ``root``, with files ``NAME__vggish.npy``.
        frame_rate: frames per second.
        frames_per_clip: ALAN IV-B: 16.
        frame_counts: a file below ``root`` with a line ``NAME FRAMES`` for each video, for features
            of a fixed number of segments: a video's clips then share its frames equally. null =
            each clip has ``frames_per_clip`` frames.
        seconds_per_sound_clip: length of a sound's clip; null = that of a video's clip, as in the
            released features. VGGish alone gives one every 0.96 seconds.
        centre: the number of the centre crop.
        split: ``published``, as listed: two thirds of the test videos are cut from a film or web
            video that train has parts of too. ``source_disjoint`` = about as many test videos, in
            total and of each class, but all parts of a source are in the same split
            (:func:`varkit_datasets.disjoint.source_disjoint`). Published figures are not
            comparable with it, and tables show it in the data's name. Videos that were listed in
            train have no ground truth in either.
        split_seed: of ``source_disjoint``; another seed is another split.
        name: what tables call the data.
    """

    published: ClassVar[Mapping[str, tuple[float, str]]] = {
        "videos": (4754, f"{_PAPER}, Table I"),
        "videos.train": (3954, _PAPER),
        "videos.test": (800, _PAPER),
        "hours": (217, f"{_PAPER}, Table I"),
        "seconds.mean": (164, f"{_PAPER}, Table I"),
    }

    def __init__(
        self,
        *,
        root: Place = ROOT,
        streams: Mapping[str, str] = STREAMS,
        audio: str = "audio",
        frame_rate: Positive = 24,
        frames_per_clip: Count = 16,
        frame_counts: str | None = None,
        seconds_per_sound_clip: Positive | None = None,
        centre: Natural = 0,
        split: Split = "published",
        split_seed: Natural = 0,
        name: str = "XDViolence-AR",
    ) -> None:
        super().__init__(
            layout(
                root=root,
                streams=streams,
                audio=audio,
                frame_rate=frame_rate,
                frames_per_clip=frames_per_clip,
                frame_counts=frame_counts,
                seconds_per_sound_clip=seconds_per_sound_clip,
                centre=centre,
                split=split,
                split_seed=split_seed,
                name=name,
            )
        )

    @staticmethod
    def survey(**options: Any) -> Survey:
        """Open what can be read, and list what is wrong with the rest."""
        return survey(layout(**options))

    @staticmethod
    def missing(*, root: str = ROOT, **options: object) -> list[str]:
        """Return what this machine lacks to read the benchmark."""
        if (why := absence(Path(root), folder=True)) is not None:
            return [f"{why} (`varkit data get xdviolence_ar` says what to put there)"]
        return []

    @staticmethod
    def guide(
        *,
        root: str = ROOT,
        streams: Mapping[str, str] = STREAMS,
        audio: str = "audio",
        **options: object,
    ) -> str:
        """Return where to get the benchmark, and where to put its files."""
        folders = "\n".join(
            f"  {folder + '/':<18}train/NAME__0.npy ... NAME__4.npy, test/...    stream {stream!r}"
            for stream, folder in streams.items()
        )
        command = shlex.join(["varkit", "data", "verify", "xdviolence_ar", f"root={root}"])
        return GUIDE.format(root=root, folders=folders, audio=audio + "/", command=command)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write two videos per split as in the benchmark; return the options to read them."""
        numbers = np.random.default_rng(0)
        names = {
            "train": ["A.Film.2001__#00-01-00_00-01-30_label_B1-G-0", "v=abc__#1_label_A"],
            "test": ["B.Film.2002__#00-00-10_00-00-40_label_B6-0-0", "v=def__#1_label_A"],
        }
        for split, videos in names.items():
            listed = [f"{split}/{video}__{crop}.npy" for video in videos for crop in range(5)]
            (folder / f"{split}.list").write_text("\n".join(listed), encoding="utf-8")
            files = {f"rgb/{name}": 20 for name in listed} | {f"flow/{name}": 19 for name in listed}
            files |= {f"audio/{split}/{video}{SOUND}.npy": 20 for video in videos}
            for file, length in files.items():
                (folder / file).parent.mkdir(parents=True, exist_ok=True)
                np.save(folder / file, numbers.standard_normal((length, 4), dtype=np.float32))
        annotation = f"{names['test'][0]} 35 70\n"
        (folder / "annotations.txt").write_text(annotation, encoding="utf-8")
        return {"root": str(folder)}


GUIDE = """\
XDViolence-AR comes from its authors and those of XD-Violence; varkit does not include it.

Lists      rgb.list and rgb_test.list, in the folder list of the GitHub project Roc-Ng/XDVioDet,
           are train.list and test.list; only the file names in them count.
Anomalies  annotations.txt of XD-Violence, also in projects that use it, such as
           nwpu-zxr/VadCLIP. Only pictures and checks need it.
Features   XD-Violence's project page, named by Roc-Ng/XDVioDet, has I3D-RGB and I3D-Flow (five
           crops of each video) and VGGish, a row for every 16 frames.

Put them there:

{root}/
  train.list
  test.list
  annotations.txt   optional
{folders}
  {audio:<18}train/NAME__vggish.npy, test/...

__0 is the centre crop. The folders train and test may be left out.

Then: {command}
"""


def layout(
    *,
    root: str = ROOT,
    streams: Mapping[str, str] = STREAMS,
    audio: str = "audio",
    frame_rate: float = 24,
    frames_per_clip: int = 16,
    frame_counts: str | None = None,
    seconds_per_sound_clip: float | None = None,
    centre: int = 0,
    split: Split = "published",
    split_seed: int = 0,
    name: str = "XDViolence-AR",
) -> Layout:
    """List the folder without opening feature files; options as of :class:`XDViolenceAR`."""
    path, findings = Path(root), Findings()
    splits = {split: _read_list(path / f"{split}.list", split, findings) for split in COUNTS}
    entries = join(splits, COUNTS, (*sorted(LABELS.values()),), findings)
    if split == "source_disjoint":
        entries = source_disjoint(entries, source, split_seed)
        name = f"{name}, source-disjoint split {split_seed}"
        findings.remark(f"source-disjoint split: {_sizes(entries)}")
    _remark_on_sources(entries, findings)
    videos = {video: entry.video() for video, entry in entries.items()}
    annotate(videos, path / "annotations.txt", XD_VIOLENCE, frame_rate, findings)
    if frame_counts is not None:
        share_frames(videos, path / frame_counts, frame_rate, findings)
    folders = {video: entry.folder for video, entry in entries.items()}
    for video, files in find_streams(path, streams, folders, centre, findings).items():
        videos[video].streams = files
    for video, sounds in find(path, audio, folders, findings, suffix=SOUND, what="sounds").items():
        videos[video].queries = [Source(sounds[None])]
    seconds = frames_per_clip / frame_rate
    return Layout(
        root=path,
        name=name,
        videos={video: row for video, row in videos.items() if row.streams and row.queries},
        query="audio",
        seconds=seconds,
        sound_seconds=seconds_per_sound_clip,
        simulated=(path / SIMULATED).is_file(),
        faults=lines(findings.faults),
        remarks=lines(findings.remarks),
    )


def _read_list(path: Path, split: str, findings: Findings) -> dict[str, Entry]:
    crops: dict[str, set[int]] = {}
    labels: dict[str, tuple[str, ...]] = {}
    try:
        listed = read_lines(path)
    except DataError as error:
        findings.refuse(error)
        return {}
    if not listed:
        findings.fault(f"{path} is empty")
    for number, line in listed:
        where = f"line {number}"
        match = _NAME.fullmatch(base_name(line))
        if match is None:
            findings.fault(f"{path.name}: not a video name with '_label_'", where)
            continue
        try:
            classes = classes_of(match["label"])
        except ValueError as error:
            findings.fault(f"{path.name}: {error}", where)
            continue
        video, crop = match["video"], int(match["crop"] or 0)
        if crop in crops.setdefault(video, set()):
            findings.fault(f"{path.name}: repeated crop", f"{where} ({video!r})")
        crops[video].add(crop)
        labels[video] = classes
    most = max(map(len, crops.values()), default=0)
    fewer = [repr(video) for video, numbers in crops.items() if len(numbers) < most]
    if fewer:
        findings.fault(f"{path.name}: fewer than {most} crops", *fewer)
    return {video: Entry(split, split, classes) for video, classes in labels.items()}


def classes_of(label: str) -> tuple[str, ...]:
    """Return the classes that a label names, sorted; the order of its parts has no meaning.

    >>> classes_of("G-B1-0")
    ('Explosion', 'Fighting')

    Raises:
        ValueError: it names nothing, or something unknown, or normal and anomalous at once.
    """
    parts = sorted(set(label.split("-")) - {NOTHING})
    unknown = [part for part in parts if part not in LABELS]
    if unknown or not parts:
        known = ", ".join(LABELS)
        raise ValueError(f"label {label!r} names {unknown or 'nothing'}; known: {known}")
    if "A" in parts and len(parts) > 1:
        raise ValueError(f"label {label!r} says that a video is normal and anomalous")
    return tuple(sorted(LABELS[part] for part in parts))


def source(video: str) -> str:
    """Return the film, or the web video, that a video was cut from.

    >>> source("Bad.Boys.1995__#01-11-55_01-12-40_label_G-B2-B6")
    'Bad.Boys.1995'
    """
    return video.partition("__#")[0]


def _sizes(entries: Mapping[str, Entry]) -> str:
    """Return how many videos each split has, in total and of each class."""
    parts = []
    for split in COUNTS:
        own = {video: entry for video, entry in entries.items() if entry.split == split}
        sources = len(set(map(source, own)))
        classes = Counter(name for entry in own.values() for name in entry.classes)
        listed = ", ".join(f"{name} {count:,}" for name, count in sorted(classes.items()))
        parts.append(f"{split} {len(own):,} videos of {sources:,} sources ({listed})")
    return "; ".join(parts)


def _remark_on_sources(entries: Mapping[str, Entry], findings: Findings) -> None:
    parts = {
        split: [video for video, entry in entries.items() if entry.split == split]
        for split in COUNTS
    }
    trained = {source(video) for video in parts["train"]}
    shared = [repr(video) for video in parts["test"] if source(video) in trained]
    if shared:
        findings.remark(
            f"{len(shared):,} of {len(parts['test']):,} test videos are cut from a film or web "
            "video that train has parts of too",
            *shared,
        )
