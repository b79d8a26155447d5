"""Writes a store as plain files: a .npy for each stream of each video, and a manifest."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from varkit.errors import DataError
from varkit.media.reader import origins, stream_widths
from varkit.media.store import Store, file_stem
from varkit.system.files import write_bytes, write_json, write_text

MANIFEST, EXTRACTORS = "manifest.csv", "extractors.json"


def export_store(
    root: Path, out: Path, *, progress: Callable[[int, int], None] | None = None
) -> list[str]:
    """Write the streams of a store as ``out/STREAM/VIDEO.npy``, with a manifest of them.

    A stream is (T, D) float32, or (C, T, D) for C crops; ``EXTRACTOR.times`` is (T, 2) float64. The
    manifest is one of the data set ``folder``; all videos are in its split ``test``, without a
    caption. ``extractors.json`` says how the streams were made.

    Args:
        root: the store's folder.
        out: a folder, which is created.
        progress: called after every video.

    Returns:
        The videos that have no streams.

    Raises:
        DataError: there is no store, a file of it is damaged, or ``out`` holds a manifest.
        WriteError: the disk is full or not writable.
    """
    if (out / MANIFEST).exists():
        raise DataError(f"{out} holds a {MANIFEST}", hint="choose another folder")
    table = io.StringIO()
    with Store(root) as store:
        keys, videos = list(stream_widths(store)), store.catalogue.videos()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["video", "split", "caption", "duration", *keys])
        for done, video in enumerate(videos, start=1):
            if video.sha256 is not None:
                tensors = store.tensors(video)
                stem = file_stem(video.name)
                places = {key: f"{key}/{stem}.npy" for key in tensors}
                for key, array in tensors.items():
                    data = io.BytesIO()
                    np.save(data, array)
                    write_bytes(out / places[key], data.getvalue())
                cells = [places.get(key, "") for key in keys]
                writer.writerow([video.name, "test", "", video.duration or "", *cells])
            if progress is not None:
                progress(done, len(videos))
        write_json(out / EXTRACTORS, origins(store, {key: key for key in keys}))
    write_text(out / MANIFEST, table.getvalue())  # the last: a manifest means a complete export
    return [video.name for video in videos if video.sha256 is None]
