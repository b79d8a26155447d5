"""A folder of videos as listed, before any feature is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from varkit.media import catalogue
from varkit.media.reader import Origin
from varkit_datasets.sources import Source

SIMULATED = "ground_truth.json"
"""The file that only a simulated benchmark has."""


@dataclass
class Video:
    """What is known of one video before any feature is read.

    Attributes:
        split: ``train``, ``val`` or ``test``.
        label: 1, 0, or None where unknown.
        streams: stream -> its feature files: one per crop, the centre first, or one with all
            crops; none where the video lacks the stream.
        anomalies: (start, end) in seconds; None where unknown.
        queries: captions, or feature files of sounds.
        classes: what happens, sorted; empty where unknown.
        duration: seconds that its clips share equally; None = every clip is as long as the
            layout says. Clips of a store have times of their own.
        stored: what the layout's store knows of it; None = its streams are in files of their own.
    """

    split: str
    label: int | None
    streams: dict[str, tuple[Source, ...]]
    anomalies: tuple[tuple[float, float], ...] | None
    queries: list[str | Source] = field(default_factory=list)
    classes: tuple[str, ...] = ()
    duration: float | None = None
    stored: catalogue.Video | None = None


@dataclass(frozen=True)
class Features:
    """A store of features that a layout takes its streams from.

    Attributes:
        root: the store's folder.
        streams: stream -> its name in the store, such as ``image.features``.
        made_by: stream -> how it was made.
    """

    root: Path
    streams: Mapping[str, str]
    made_by: Mapping[str, Origin]


@dataclass(frozen=True)
class Layout:
    """A folder as listed, before any feature is read.

    Attributes:
        root: the folder.
        name: what tables call the data.
        videos: identifier -> video, in order; those with a fault are left out.
        query: whether a query is a caption or a sound.
        seconds: length of a video's clip.
        sound_seconds: length of a sound's clip; None = as for the clips of its video.
        simulated: whether the data are simulated.
        may_lack: the streams that single videos may lack.
        clips_of: the stream to whose clips the others are resampled; None = they are not.
        faults: what must be fixed before training.
        remarks: what users should know.
        listed: all videos, whether or not their feature files are there.
        store: where the streams of all videos are; None = in files of their own.
    """

    root: Path
    name: str
    videos: Mapping[str, Video]
    query: Literal["text", "audio"]
    seconds: float
    sound_seconds: float | None
    simulated: bool = False
    may_lack: frozenset[str] = frozenset()
    clips_of: str | None = None
    faults: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    listed: Mapping[str, Video] = field(default_factory=dict)
    store: Features | None = None
