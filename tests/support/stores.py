"""Small stores of features, written without decoding anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from varkit.media.catalogue import Source, Video
from varkit.media.extraction import Made
from varkit.media.extractors import Record
from varkit.media.store import Store, write_streams

WIDTHS = {"image": {"features": 4}, "i3d": {"features": 3, "classes": 2}, "yamnet": {"features": 2}}


def record(name: str, crops: int = 1, **options: object) -> Record:
    return Record(
        use=name,
        options=options,
        reads={},
        streams={
            stream: {"width": width, "crops": crops, "classes": []}
            for stream, width in WIDTHS[name].items()
        },
        origin={"version": 1},
    )


def clock(length: int, seconds: float, start: float = 0.0) -> np.ndarray:
    edges = start + seconds * np.arange(length + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)


def made(name: str, times: np.ndarray, *, seed: int = 0, crops: int = 1) -> Made:
    """Random numbers, of which the first of each clip is its number in the stream."""
    random, streams = np.random.default_rng(seed), {}
    for stream, width in WIDTHS[name].items():
        numbers = random.standard_normal((crops, len(times), width)).astype(np.float32)
        numbers[:, :, 0] = np.arange(len(times)) + 1000 * np.arange(crops)[:, None]
        streams[stream] = numbers[0] if crops == 1 else numbers
    return Made(streams, times)


SILENT = Made({}, np.zeros((0, 2)), "it has no sound")


def put(store: Store, name: str, extracted: Mapping[str, Made], **facts: object) -> Video:
    """Add a video, of which nothing but its streams is real."""
    source = Source(Path(name), 1, 1, f"sha256 of {name}")
    video = replace(Video(name, source, "ok", duration=8.0), **facts)
    if video.status != "failed":
        video = write_streams(store.root, video, extracted, store.fingerprints(), None)
    store.catalogue.put(video)
    return video


def make_store(
    root: Path,
    videos: Mapping[str, Mapping[str, Made]],
    *,
    crops: Mapping[str, int] | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> Path:
    with Store(root, writing=True) as store:
        for name in WIDTHS:
            how = record(name, (crops or {}).get(name, 1), **(options or {}).get(name, {}))
            store.catalogue.register(name, how, {})
        for name, extracted in videos.items():
            put(store, name, extracted)
    return root
