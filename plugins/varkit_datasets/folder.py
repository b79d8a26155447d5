"""A folder of your own data: a manifest and feature files."""

from __future__ import annotations

import importlib.util
import shlex
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from varkit.data.inspect.verify import Survey
from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Place, Positive
from varkit_datasets.findings import absence, lines
from varkit_datasets.layout import SIMULATED, Layout
from varkit_datasets.manifest import MissingFiles, read_manifest
from varkit_datasets.stored import Stored, survey
from varkit_datasets.tables import Delimiter

STREAMS: Mapping[str, str] = {"object": "rgb"}
"""The example in the guide."""
NO_COLUMNS: Mapping[str, str | None] = {}


class Folder(Stored):
    """Videos and their queries as a manifest lists them (see :mod:`varkit_datasets.manifest`).

    A feature file holds (T, D) numbers, or (C, T, D) for C crops of which crop 0 is the centre, as
    .npy, .npz or .safetensors. Streams of one video may differ by one clip, since optical flow
    has one frame less; the longer ones are cut. Nothing but the manifest stays in memory.

    Args:
        root: the folder; feature files are relative to it.
        manifest: a .csv, .tsv, .json, .jsonl or .parquet file, relative to ``root``.
        streams: stream -> the manifest's column that names its feature file.
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
            error.
        crops_axis: of arrays with three axes; 0 = (C, T, D), 1 = (T, C, D).
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
    def missing(*, root: str, manifest: str = "manifest.csv", **options: object) -> list[str]:
        """Return what this machine lacks to read the folder."""
        path = Path(root) / manifest
        if (why := absence(path)) is not None:
            return [f"{why}: put the data there, or set data.root to its folder"]
        if path.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
            return ["pyarrow, to read the manifest: pip install 'varkit[parquet]'"]
        return []

    @staticmethod
    def guide(
        *,
        root: str = "data/mine",
        manifest: str = "manifest.csv",
        streams: Mapping[str, str] = STREAMS,
        query: Literal["text", "audio"] = "text",
        **options: object,
    ) -> str:
        """Return a description of a folder."""
        text = query == "text"
        cells = {
            "video": "cam3_0412",
            "split": "train",
            "caption" if text else "audio": '"a man climbs over the fence"' if text else "a.npy",
            "label": "1",
        } | {column: f"{column}/cam3_0412.npy" for column in streams.values()}
        given = [f"{stream}: {column}" for stream, column in streams.items()]
        command = ["varkit", "data", "verify", "folder", f"root={root}"]
        return GUIDE.format(
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


GUIDE = """\
Your own data: a manifest with a row for each query, and feature files of (T, D) numbers, a row for
each clip. docs/data.md lists optional columns.

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
    path = Path(root)
    videos, listed, findings = read_manifest(
        path / manifest,
        root=path,
        streams=streams,
        query=query,
        columns=columns,
        delimiter=delimiter,
        missing_files=missing_files,
        may_lack=may_lack,
    )
    if crops_axis:
        for row in videos.values():
            for stream, sources in row.streams.items():
                row.streams[stream] = tuple(replace(x, crops_axis=crops_axis) for x in sources)
    return Layout(
        root=path,
        name=name or path.resolve().name,
        videos=videos,
        query=query,
        seconds=seconds_per_clip,
        sound_seconds=seconds_per_sound_clip,
        simulated=(path / SIMULATED).is_file(),
        may_lack=frozenset(may_lack),
        clips_of=clips_of,
        faults=lines(findings.faults),
        remarks=lines(findings.remarks),
        listed=listed,
    )
