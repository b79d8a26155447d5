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
from varkit.interfaces import Count, Natural, Place, Positive
from varkit_datasets.annotations import UCF_CRIME, annotate, base_name, share_frames
from varkit_datasets.colours import colour_disagreements
from varkit_datasets.entries import NORMAL, Entry, join
from varkit_datasets.feature_files import find_streams
from varkit_datasets.findings import Findings, absence, lines
from varkit_datasets.layout import SIMULATED, Layout
from varkit_datasets.spreadsheets import read_table
from varkit_datasets.stored import Stored, survey

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

    ``root`` contains ``ucf_crime_train.xlsx`` and ``ucf_crime_test.xlsx``, a folder of features for
    each stream, and optionally ``Temporal_Anomaly_Annotation.txt`` of UCF-Crime, which says when
    anomalies happen.

    Args:
        root: the folder.
        streams: stream -> its folder below ``root``, with files ``Class/NAME__k.npy`` for crop k,
            or ``Class/NAME.npy`` of (T, D) or (C, T, D) numbers; class folders may be left out.
        language: of the captions, English or Chinese.
        frame_rate: frames per second.
        frames_per_clip: ALAN IV-B: 16.
        frame_counts: a file below ``root`` with a line ``NAME FRAMES`` for each video, for features
            of a fixed number of segments: a video's clips then share its frames equally. null =
            each clip has ``frames_per_clip`` frames.
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
        root: Place = ROOT,
        streams: Mapping[str, str] = STREAMS,
        language: Literal["en", "zh"] = "en",
        frame_rate: Positive = 30,
        frames_per_clip: Count = 16,
        frame_counts: str | None = None,
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
                frame_counts=frame_counts,
                centre=centre,
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
            return [f"{why} (`varkit data get ucfcrime_ar` says what to put there)"]
        if importlib.util.find_spec("openpyxl") is None:
            return ["openpyxl, to read the captions: pip install openpyxl"]
        return []

    @staticmethod
    def guide(*, root: str = ROOT, streams: Mapping[str, str] = STREAMS, **options: object) -> str:
        """Return where to get the benchmark, and where to put its files."""
        folders = "\n".join(
            f"  {folder + '/':<40}Abuse/Abuse001_x264__0.npy ...    stream {stream!r}"
            for stream, folder in streams.items()
        )
        command = shlex.join(["varkit", "data", "verify", "ucfcrime_ar", f"root={root}"])
        return GUIDE.format(root=root, folders=folders, command=command)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write two videos per split as in the benchmark; return the options to read them."""
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
UCFCrime-AR comes from its authors and those of UCF-Crime; varkit does not include it.

Captions   the GitHub project Roc-Ng/VAR holds ucf_crime_train.xlsx and ucf_crime_test.xlsx.
Anomalies  UCF-Crime's Temporal_Anomaly_Annotation.txt, which comes with its videos and is also
           in projects that use it, such as nwpu-zxr/VadCLIP. Only pictures and checks need it.
Features   I3D-RGB and I3D-Flow of all 1,900 videos, a row for every 16 frames. The authors of
           the benchmark share theirs at Roc-Ng/VAR; other features work too.

Put them there:

{root}/
  ucf_crime_train.xlsx
  ucf_crime_test.xlsx
  Temporal_Anomaly_Annotation.txt         optional
{folders}

__0 is the centre crop, __1 and so on are the rest. A single file without a number may hold
(T, D) or (crops, T, D). Class folders may be left out.

Then: {command}
"""


def layout(
    *,
    root: str = ROOT,
    streams: Mapping[str, str] = STREAMS,
    language: Literal["en", "zh"] = "en",
    frame_rate: float = 30,
    frames_per_clip: int = 16,
    frame_counts: str | None = None,
    centre: int = 0,
    name: str = "UCFCrime-AR",
) -> Layout:
    """List the folder without opening feature files; options as of :class:`UCFCrimeAR`."""
    path, findings = Path(root), Findings()
    splits = {split: read_captions(path, split, language, findings) for split in COUNTS}
    entries = join(splits, COUNTS, CLASSES, findings)
    _remark_on_colours(entries, language, findings)
    videos = {video: entry.video() for video, entry in entries.items()}
    places = [path / file for file in ANNOTATIONS]
    annotations = next((place for place in places if absence(place) is None), places[0])
    annotate(videos, annotations, UCF_CRIME, frame_rate, findings)
    if frame_counts is not None:
        share_frames(videos, path / frame_counts, frame_rate, findings)
    folders = {video: entry.folder for video, entry in entries.items()}
    for video, files in find_streams(path, streams, folders, centre, findings).items():
        videos[video].streams = files
    return Layout(
        root=path,
        name=name,
        videos={video: row for video, row in videos.items() if row.streams},
        query="text",
        seconds=frames_per_clip / frame_rate,
        sound_seconds=None,
        simulated=(path / SIMULATED).is_file(),
        faults=lines(findings.faults),
        remarks=lines(findings.remarks),
        listed=videos,
    )


def read_captions(
    root: Path, split: str, language: Literal["en", "zh"], findings: Findings
) -> dict[str, Entry]:
    """Return the videos of a split's workbook in ``root``; ``findings`` collects its faults."""
    path = root / f"ucf_crime_{split}.xlsx"
    chosen, other = (ENGLISH, CHINESE) if language == "en" else (CHINESE, ENGLISH)
    entries: dict[str, Entry] = {}
    try:
        rows = read_table(path, [NAME, chosen], [other])
    except DataError as error:
        findings.refuse(error)
        return entries
    if not rows:
        findings.fault(f"{path} has no rows")
    for number, row in rows:
        where = f"row {number}"
        try:
            video, folder, kind = split_name(row[NAME])
        except ValueError as error:
            findings.fault(f"{path.name}: {error}", where)
            continue
        if not row[chosen]:
            findings.fault(f"{path.name}: {chosen!r} is empty", where)
        elif video in entries:
            findings.fault(f"{path.name}: repeated video", f"{where} ({video!r})")
        else:
            captions = row[chosen], row.get(other, "")
            entries[video] = Entry(split, folder, (kind,), captions)
    return entries


def split_name(text: str) -> tuple[str, str, str]:
    """Return the video, folder and class of a name in UCF-Crime.

    >>> split_name("Testing_Normal_Videos_Anomaly/Normal_Videos_003_x264.mp4")
    ('Normal_Videos_003_x264', 'Testing_Normal_Videos_Anomaly', 'Normal')

    Raises:
        ValueError: the name is empty, its class is unknown, or its class differs from its folder.
    """
    video = base_name(text)
    if not video:
        raise ValueError(f"{NAME!r} is empty")
    folder = text.replace("\\", "/").rpartition("/")[0].rpartition("/")[2]
    letters = re.match("[A-Za-z]*", video)
    assert letters is not None  # the pattern matches an empty string too
    kind = letters[0]
    if kind not in CLASSES:
        raise ValueError(f"{text!r} has an unknown class.{did_you_mean(kind, CLASSES)}")
    if folder and folder != kind and not (kind == NORMAL and "_Normal_" in folder):
        raise ValueError(f"{text!r} has another class than its folder")
    return video, folder, kind


def _remark_on_colours(
    entries: Mapping[str, Entry], language: Literal["en", "zh"], findings: Findings
) -> None:
    both = {
        v: entry.captions for v, entry in entries.items() if entry.captions and all(entry.captions)
    }
    if language == "zh":
        both = {video: (english, chinese) for video, (chinese, english) in both.items()}
    coloured, different = colour_disagreements(both)
    clashes = [repr(video) for video, (a, b) in different.items() if a and b and not a & b]
    if different:
        findings.remark(
            f"captions with different colours in English and Chinese: {len(different):,} of "
            f"{coloured:,} that name any; {len(clashes):,} have no colour in common",
            *clashes,
        )
