"""UCFCrime-AR as its authors lay it out: captions in two workbooks, I3D features in files."""

from __future__ import annotations

import importlib.util
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Count, Natural, Positive
from varkit_benchmarks.annotations import UCF_CRIME, annotate, base_name, read_annotations
from varkit_benchmarks.colours import colour_disagreements
from varkit_benchmarks.entries import NORMAL, Entry, join
from varkit_benchmarks.feature_files import find_streams
from varkit_benchmarks.findings import Findings, absence, lines
from varkit_benchmarks.layout import SIMULATED, Layout
from varkit_benchmarks.spreadsheets import read_table
from varkit_benchmarks.stored import Stored, survey

ROOT = "data/ucfcrime_ar"
STREAMS: Mapping[str, str] = {"object": "rgb", "motion": "flow"}
COUNTS = {"train": 1610, "test": 290}
CLASSES = (
    "Abuse",
    "Arrest",
    "Arson",
    "Assault",
    "Burglary",
    "Explosion",
    "Fighting",
    NORMAL,
    "RoadAccidents",
    "Robbery",
    "Shooting",
    "Shoplifting",
    "Stealing",
    "Vandalism",
)
ANNOTATIONS = ("Temporal_Anomaly_Annotation.txt", "Test_Annotation.txt")
NAME, ENGLISH, CHINESE = "Video Name", "English Text", "Chinese Text"
_PAPER = "arXiv 2307.12545"


class UCFCrimeAR(Stored):
    """UCFCrime-AR (Wu et al., arXiv 2307.12545): 1,900 surveillance videos and their captions.

    Below ``root`` lie ``ucf_crime_train.xlsx`` and ``ucf_crime_test.xlsx``, a folder of features
    for each stream, and, where it is to be known where anomalies are,
    ``Temporal_Anomaly_Annotation.txt`` of UCF-Crime.

    Args:
        root: the folder.
        streams: stream -> its folder below ``root``, with files ``Class/NAME__k.npy`` for crop k,
            or ``Class/NAME.npy`` of (T, D) or (C, T, D) numbers; class folders may be left out.
        language: of the captions, English or Chinese.
        frame_rate: frames a second.
        frames_per_clip: ALAN IV-B: 16.
        centre: the number of the centre crop.
        name: what tables call the data.
    """

    published: ClassVar[Mapping[str, tuple[float, str]]] = {
        "videos": (1900, f"{_PAPER}, Table I"),
        "videos.train": (1610, _PAPER),
        "videos.test": (290, _PAPER),
        "hours": (128, f"{_PAPER}, Table I"),
        "seconds.mean": (242, f"{_PAPER}, Table I"),
        "words.mean": (16.3, f"{_PAPER}, Fig. 3, English"),
        "characters.mean": (22.4, f"{_PAPER}, Fig. 3, Chinese"),
    }

    def __init__(
        self,
        *,
        root: str = ROOT,
        streams: Mapping[str, str] = STREAMS,
        language: Literal["en", "zh"] = "en",
        frame_rate: Positive = 30,
        frames_per_clip: Count = 16,
        centre: Natural = 0,
        name: str = "UCFCrime-AR",
    ) -> None:
        super().__init__(
            layout(
                root=root,
                streams=streams,
                language=language,
                frame_rate=frame_rate,
                frames_per_clip=frames_per_clip,
                centre=centre,
                name=name,
            )
        )

    @staticmethod
    def survey(**options: Any) -> Survey:
        """Open what can be opened, and say what is wrong with the rest."""
        return survey(layout(**options))

    @staticmethod
    def missing(*, root: str = ROOT, **options: object) -> list[str]:
        """Return what this machine lacks to read the benchmark."""
        if (why := absence(Path(root), folder=True)) is not None:
            return [f"{why} (`varkit data get ucfcrime_ar` says what to put there)"]
        if importlib.util.find_spec("openpyxl") is None:
            return ["openpyxl, to read the captions: pip install openpyxl"]
        return []

    @staticmethod
    def guide(*, root: str = ROOT, streams: Mapping[str, str] = STREAMS, **options: object) -> str:
        """Return where the benchmark is to be had, and what to put where."""
        folders = "\n".join(
            f"  {folder + '/':<40}Abuse/Abuse001_x264__0.npy ...    stream {stream!r}"
            for stream, folder in streams.items()
        )
        command = shlex.join(["varkit", "data", "verify", "ucfcrime_ar", f"root={root}"])
        return GUIDE.format(root=root, folders=folders, command=command)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write two videos a split as the benchmark would, and return the options to read them."""
        import openpyxl

        numbers = np.random.default_rng(0)
        names = {
            "train": ["Abuse/Abuse001", "Training_Normal_Videos_Anomaly/Normal_Videos001"],
            "test": ["Arson/Arson009", "Testing_Normal_Videos_Anomaly/Normal_Videos_003"],
        }
        for split, videos in names.items():
            book = openpyxl.Workbook()
            book.active.append([NAME, CHINESE, ENGLISH])
            for video in videos:
                book.active.append([f"{video}_x264.mp4\n", "一名男子在跑。", "A man runs."])
                for stream, length in (("rgb", 20), ("flow", 19)):
                    file = folder / stream / f"{video}_x264__0.npy"
                    file.parent.mkdir(parents=True, exist_ok=True)
                    np.save(file, numbers.standard_normal((length, 4), dtype=np.float32))
            book.save(folder / f"ucf_crime_{split}.xlsx")
        annotation = "Arson009_x264.mp4  Arson  35  70  -1  -1  \n"
        (folder / ANNOTATIONS[0]).write_text(annotation, encoding="utf-8")
        return {"root": str(folder)}


GUIDE = """\
UCFCrime-AR comes from its authors and from those of UCF-Crime; varkit brings nothing of it.

Captions   the GitHub project Roc-Ng/VAR holds ucf_crime_train.xlsx and ucf_crime_test.xlsx.
Anomalies  UCF-Crime's Temporal_Anomaly_Annotation.txt, which comes with its videos and is also
           in projects that use it, such as nwpu-zxr/VadCLIP. Only pictures and checks need it.
Features   I3D-RGB and I3D-Flow of all 1,900 videos, a row for every 16 frames. The authors of
           the benchmark share theirs from Roc-Ng/VAR; others fit too.

Put them there:

{root}/
  ucf_crime_train.xlsx
  ucf_crime_test.xlsx
  Temporal_Anomaly_Annotation.txt         optional
{folders}

__0 is the centre crop, __1 and so on are the others; a single file without a number may hold
(T, D), or (crops, T, D). Class folders may be left out.

Then: {command}
"""


def layout(
    *,
    root: str = ROOT,
    streams: Mapping[str, str] = STREAMS,
    language: Literal["en", "zh"] = "en",
    frame_rate: float = 30,
    frames_per_clip: int = 16,
    centre: int = 0,
    name: str = "UCFCrime-AR",
) -> Layout:
    """Look through the folder; options as of :class:`UCFCrimeAR`. No feature file is opened."""
    path, found = Path(root), Findings()
    splits = {split: read_captions(path, split, language, found) for split in COUNTS}
    entries = join(splits, COUNTS, CLASSES, found)
    _remark_on_colours(entries, language, found)
    videos = {video: entry.video() for video, entry in entries.items()}
    places = [path / file for file in ANNOTATIONS]
    annotations = next((place for place in places if absence(place) is None), places[0])
    if (why := absence(annotations)) is None:
        known = read_annotations(annotations, UCF_CRIME, found)
        annotate(videos, known, annotations, frame_rate, found)
    else:
        found.remark(f"where anomalies are is unknown: {why}")
    folders = {video: entry.folder for video, entry in entries.items()}
    for video, files in find_streams(path, streams, folders, centre, found).items():
        videos[video].streams = files
    return Layout(
        root=path,
        name=name,
        videos={video: row for video, row in videos.items() if row.streams},
        query="text",
        seconds=frames_per_clip / frame_rate,
        sound_seconds=frames_per_clip / frame_rate,
        simulated=(path / SIMULATED).is_file(),
        faults=lines(found.faults),
        remarks=lines(found.remarks),
    )


def read_captions(
    root: Path, split: str, language: Literal["en", "zh"], found: Findings
) -> dict[str, Entry]:
    """Return the videos of a split's workbook below ``root``; ``found`` takes its faults."""
    path = root / f"ucf_crime_{split}.xlsx"
    chosen, other = (ENGLISH, CHINESE) if language == "en" else (CHINESE, ENGLISH)
    entries: dict[str, Entry] = {}
    try:
        rows = read_table(path, [NAME, chosen], [other])
    except DataError as error:
        found.refuse(error)
        return entries
    if not rows:
        found.fault(f"{path} has no rows")
    for number, row in rows:
        where = f"row {number}"
        try:
            video, folder, happens = split_name(row[NAME])
        except ValueError as error:
            found.fault(f"{path.name}: {error}", where)
            continue
        if not row[chosen]:
            found.fault(f"{path.name}: nothing in {chosen!r}", where)
        elif video in entries:
            found.fault(f"{path.name}: a video for the second time", f"{where} ({video!r})")
        else:
            captions = row[chosen], row.get(other, "")
            entries[video] = Entry(split, folder, (happens,), captions)
    return entries


def split_name(text: str) -> tuple[str, str, str]:
    """Return the video, folder and class that a name in UCF-Crime says.

    >>> split_name("Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4")
    ('Normal_Videos_003_x264', 'Testing_Normal_Videos_Anomaly', 'Normal')

    Raises:
        ValueError: there is no name, it is of no known class, or of another than its folder.
    """
    video = base_name(text)
    if not video:
        raise ValueError(f"nothing in {NAME!r}")
    folder = text.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
    letters = re.match("[A-Za-z]*", video)
    assert letters is not None  # no letters match too
    happens = letters[0]
    if happens not in CLASSES:
        raise ValueError(f"{text!r} is of no known class.{did_you_mean(happens, CLASSES)}")
    if folder and folder != happens and not (happens == NORMAL and "_Normal_" in folder):
        raise ValueError(f"{text!r} is of another class than its folder")
    return video, folder, happens


def _remark_on_colours(
    entries: Mapping[str, Entry], language: Literal["en", "zh"], found: Findings
) -> None:
    both = {
        v: entry.captions for v, entry in entries.items() if entry.captions and all(entry.captions)
    }
    if language == "zh":
        both = {video: (english, chinese) for video, (chinese, english) in both.items()}
    coloured, different = colour_disagreements(both)
    clashes = [repr(video) for video, (a, b) in different.items() if a and b and not a & b]
    if different:
        found.remark(
            f"captions that name other colours in English than in Chinese: {len(different):,} of "
            f"{coloured:,} that name any, {len(clashes):,} of them with no colour in common",
            *clashes,
        )
