"""A folder of your own data: a manifest and feature files."""

from __future__ import annotations

import importlib.util
import json
import shlex
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Place, Positive
from varkit.media import catalogue
from varkit_datasets.findings import absence, lines
from varkit_datasets.layout import SIMULATED, Layout
from varkit_datasets.manifest import MissingFiles, read_manifest
from varkit_datasets.stored import Stored, survey
from varkit_datasets.tables import Delimiter
from varkit_datasets.videos import Extraction, Options, attach

STREAMS: Mapping[str, str] = {"object": "rgb"}
"""The example in the guide."""
NO_COLUMNS: Mapping[str, str | None] = {}
NO_EXTRACTORS: Options = {}
STORE = "features"
"""The store of the features of a folder's videos, below the folder."""


class Folder(Stored):
    """Videos and their queries as a manifest lists them (see :mod:`varkit_datasets.manifest`).

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre, as
    .npy, .npz or .safetensors. Streams of one video may differ by one clip, since optical flow
    has one frame less; the longer ones are cut. Nothing but the manifest stays in memory.

    The streams may also be in a store that ``varkit extract`` made. Then the manifest's column
    ``video`` names media files, with or without their folder and suffix, and clips have the times
    that the store gives. With ``videos``, the features are extracted before a training.

    Args:
        root: the folder; feature files are relative to it.
        manifest: a .csv, .tsv, .json, .jsonl or .parquet file, relative to ``root``.
        streams: stream -> the manifest's column that names its feature file; on a store, the
            stream's name there, as in ``{object: image.features, audio: yamnet.features}``.
        query: whether a query is a caption (column ``caption``) or a sound (column ``audio``).
        seconds_per_clip: length of a clip, for videos without a duration in the manifest; the
            default is 16 frames at 30 a second, as in ALAN IV-B and UCF-Crime.
        seconds_per_sound_clip: length of a sound's clip; null = a sound is timed like the video
            that it belongs to, also by the video's duration.
        columns: names of columns in the manifest, such as ``{video: video_id, caption: sentence}``;
            null = a column of this name means something else, and is not read.
        delimiter: between the cells of a .csv file; null = the only one in its header.
        missing_files: ``leave_out`` = use the data without the videos whose feature files are
            missing, and list these videos; ``refuse`` = that is an error.
        may_lack: streams that single videos may lack, such as ``[audio]``: by an empty cell, a
            missing file, an array without clips, or one that is NaN throughout.
        clips_of: the stream whose clips count if streams have other rates, such as ``object``:
            all are resampled to its clips by time; null = more than one clip of difference is an
            error. On a store it is by default the first stream.
        crops_axis: of arrays with three axes; 0 = (C, T, D), 1 = (T, C, D).
        store: a store of features; with ``videos`` it is made where it is missing, by default in
            ``root``/features.
        videos: a folder of video and sound files, whose features are wanted.
        extract: the extractors of ``videos`` and their options, as in ``{image: {fps: 2}, yamnet:
            {}}``; ``use`` is an extractor's name in the registry, where it differs.
        name: what tables call the data; by default the folder's name.
    """

    def __init__(
        self,
        *,
        root: Place,
        manifest: str = "manifest.csv",
        streams: Mapping[str, str],
        query: Literal["text", "audio"] = "text",
        seconds_per_clip: Positive = 16 / 30,
        seconds_per_sound_clip: Positive | None = None,
        columns: Mapping[str, str | None] = NO_COLUMNS,
        delimiter: Delimiter | None = None,
        missing_files: MissingFiles = "refuse",
        may_lack: tuple[str, ...] = (),
        clips_of: str | None = None,
        crops_axis: Literal[0, 1] = 0,
        store: Place | None = None,
        videos: Place | None = None,
        extract: Options = NO_EXTRACTORS,
        name: str | None = None,
    ) -> None:
        listed = layout(
            root=root,
            manifest=manifest,
            streams=streams,
            query=query,
            seconds_per_clip=seconds_per_clip,
            seconds_per_sound_clip=seconds_per_sound_clip,
            columns=columns,
            delimiter=delimiter,
            missing_files=missing_files,
            may_lack=may_lack,
            clips_of=clips_of,
            crops_axis=crops_axis,
            store=store,
            videos=videos,
            extract=extract,
            name=name,
        )
        super().__init__(listed)
        for remark in listed.remarks:
            warnings.warn(f"{self.name}: {remark}", stacklevel=2)

    @staticmethod
    def survey(**options: Any) -> Survey:
        """Open what can be read of a folder, and list what is wrong with the rest."""
        return survey(layout(**options))

    @staticmethod
    def prepare(
        plugins: Sequence[Path],
        progress: Callable[[int, int], None] | None = None,
        *,
        root: str,
        store: str | None = None,
        videos: str | None = None,
        extract: Options = NO_EXTRACTORS,
        **options: object,
    ) -> None:
        """Extract what is missing of the videos' features, in this process."""
        extraction = _extraction(root, store, videos, extract)
        if extraction is not None and extraction.videos.exists():
            extraction.run(plugins, progress)

    @staticmethod
    def missing(
        *,
        root: str,
        manifest: str = "manifest.csv",
        store: str | None = None,
        videos: str | None = None,
        **options: object,
    ) -> list[str]:
        """Return what this machine lacks to read the folder."""
        path, place = Path(root) / manifest, store_of(root, store, videos)
        if (why := absence(path)) is not None:
            return [f"{why}: put the data there, or set data.root to its folder"]
        if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            return ["pyarrow, to read the manifest: pip install 'varkit[parquet]'"]
        if place is None or (place / catalogue.NAME).exists():
            return []
        if videos is None:
            return [f"there is no store {place}: make it with varkit extract, or set data.store"]
        if (why := absence(Path(videos), folder=True)) is not None:
            return [f"{why}: put the videos there, or set data.videos to their folder"]
        if importlib.util.find_spec("av") is None:
            return ["PyAV, to decode the videos: pip install 'varkit[media]'"]
        return []

    @staticmethod
    def guide(
        *,
        root: str = "data/mine",
        manifest: str = "manifest.csv",
        streams: Mapping[str, str] = STREAMS,
        query: Literal["text", "audio"] = "text",
        store: str | None = None,
        videos: str | None = None,
        extract: Options = NO_EXTRACTORS,
        **options: object,
    ) -> str:
        """Return a description of a folder."""
        stored = {"videos": videos, "store": store, "extract": json.dumps(extract)}
        places = [f"{key}={place}" for key, place in stored.items() if place not in (None, "{}")]
        text = query == "text"
        cells = {
            "video": "cam3_0412",
            "split": "train",
            "caption" if text else "audio": '"a man climbs over the fence"' if text else "a.npy",
            "label": "1",
        }
        if not places:
            cells |= {column: f"{column}/cam3_0412.npy" for column in streams.values()}
        given = [f"{stream}: {column}" for stream, column in streams.items()]
        command = ["varkit", "data", "verify", "folder", f"root={root}", *places]
        return GUIDE.format(
            features=FEATURES["store" if places else "files"],
            root=root,
            manifest=manifest,
            columns=",".join(cells),
            row=",".join(cells.values()),
            command=shlex.join([*command, f"streams={{{', '.join(given)}}}"]),
        )

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write two videos and return the options that read them."""
        numbers = np.random.default_rng(0)
        rows = ["video,split,caption,rgb"]
        for split in ("train", "test"):
            clips = numbers.standard_normal((5, 4), dtype=np.float32)
            np.save(folder / f"{split}.npy", clips)
            rows.append(f"{split},{split},a man runs,{split}.npy")
        (folder / "manifest.csv").write_text("\n".join(rows), encoding="utf-8")
        return {"root": str(folder), "streams": {"object": "rgb"}}


FEATURES = {
    "files": "feature files of\n(T, D) numbers, a row for each clip",
    "store": "their features in a\nstore that varkit extract makes",
}
GUIDE = """\
Your own data: a manifest with a row for each query, and {features}.
docs/data.md lists optional columns.

{root}/{manifest}

  {columns}
  {row}

split is train, val or test; label is 1 = anomalous, 0 = normal or empty = unknown.

Then: {command}
"""


def layout(
    *,
    root: str,
    manifest: str = "manifest.csv",
    streams: Mapping[str, str],
    query: Literal["text", "audio"] = "text",
    seconds_per_clip: float = 16 / 30,
    seconds_per_sound_clip: float | None = None,
    columns: Mapping[str, str | None] = NO_COLUMNS,
    delimiter: Delimiter | None = None,
    missing_files: MissingFiles = "refuse",
    may_lack: Sequence[str] = (),
    clips_of: str | None = None,
    crops_axis: Literal[0, 1] = 0,
    store: str | None = None,
    videos: str | None = None,
    extract: Options = NO_EXTRACTORS,
    name: str | None = None,
) -> Layout:
    """List the folder without opening feature files; options as of :class:`Folder`."""
    if not streams:
        raise DataError(f"folder {root}: name at least one stream, as in {{object: rgb}}")
    for stream in (*may_lack, *([] if clips_of is None else [clips_of])):
        if stream not in streams:
            raise DataError(
                f"folder {root}: may_lack and clips_of name streams; there is no {stream!r}."
                f"{did_you_mean(stream, streams)} Streams: {', '.join(streams)}"
            )
    path, place = Path(root), store_of(root, store, videos)
    rows, listed, findings = read_manifest(
        path / manifest,
        root=path,
        streams=streams if place is None else {},
        query=query,
        columns=columns,
        delimiter=delimiter,
        missing_files=missing_files,
        may_lack=may_lack if place is None else (),
    )
    features = None
    if place is not None:
        features = attach(
            rows,
            place,
            streams,
            findings,
            may_lack=may_lack,
            missing_files=missing_files,
            extraction=_extraction(root, store, videos, extract),
        )
        clips_of = clips_of or next(iter(streams))
    if crops_axis:
        for row in rows.values():
            for stream, sources in row.streams.items():
                row.streams[stream] = tuple(replace(x, crops_axis=crops_axis) for x in sources)
    return Layout(
        root=path,
        name=name or path.resolve().name,
        videos=rows,
        query=query,
        seconds=seconds_per_clip,
        sound_seconds=seconds_per_sound_clip,
        simulated=(path / SIMULATED).is_file(),
        may_lack=frozenset(may_lack),
        clips_of=clips_of,
        faults=lines(findings.faults),
        remarks=lines(findings.remarks),
        listed=listed,
        store=features,
    )


def store_of(root: str, store: str | None, videos: str | None) -> Path | None:
    """Return the folder of the store that streams are in, or None."""
    if store is not None:
        return Path(store)
    return None if videos is None else Path(root) / STORE


def _extraction(
    root: str, store: str | None, videos: str | None, extract: Options
) -> Extraction | None:
    """Return how the store is made, or None if the folder names no videos.

    Raises:
        DataError: the folder names videos without extractors, or extractors without videos.
    """
    if bool(extract) != (videos is not None):
        raise DataError(
            f"folder {root}: options videos and extract belong together, as in "
            "videos=footage 'extract={image: {}}'"
        )
    place = store_of(root, store, videos)
    return None if videos is None or place is None else Extraction(Path(videos), place, extract)
