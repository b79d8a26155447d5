"""Queries that are files: extracted like the videos of the index."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from varkit.errors import DataError
from varkit.interfaces.searching import Array, Space, Track
from varkit.media.decode import Decoder
from varkit.media.extraction import extract
from varkit.media.extractors import Wanted, build_extractors
from varkit.media.limits import Limits
from varkit.search.channels import pooled
from varkit.search.facts import Facts
from varkit.search.parts import plugins_of

AROUND = 5.0
"""Seconds before and after a time that stand for it."""


def rows_of_file(
    facts: Facts,
    space: Space,
    channels: Sequence[str],
    file: Path,
    at: float | None = None,
    *,
    heard: bool = False,
) -> dict[str, Array]:
    """Return channel -> (K,) row of a file, or of the seconds around a time.

    Channels of which the file has nothing are left out.

    Args:
        facts: of the index.
        space: of the index.
        channels: which ones.
        file: of media.
        at: seconds; None = the whole file.
        heard: whether its sound alone counts; the pictures are then not decoded.

    Raises:
        MediaError: the file cannot be decoded.
        DataError: an extractor is another one than the index was made with.
    """
    wanted = [Wanted(name, each.use, each.options) for name, each in facts.extract.items()]
    wanted = [each for each in wanted if each.name in facts.hears or not heard]
    built = build_extractors(wanted, plugins_of(facts))
    for each in built:
        if each.fingerprint != (mark := facts.fingerprints[each.name]):
            raise DataError(
                f"extractor {each.name!r} is not the one that the index was made with: its "
                f"fingerprint is {each.fingerprint}, that of the index {mark}",
                hint="install the same weights, or make the index again",
            )
    decoder = Decoder(Limits())
    try:
        made = extract(decoder, file, built, device=torch.device("cpu")).made
    finally:
        decoder.close()
    streams = {
        f"{name}.{stream}": Track(values[0] if values.ndim == 3 else values, each.times)
        for name, each in made.items()
        if each.absent is None
        for stream, values in each.streams.items()
    }
    end = max((float(track.times[-1, 1]) for track in streams.values()), default=0.0)
    if at is not None and at > end:
        raise DataError(f"{file} lasts {end:.1f} s; there is nothing at {at:.1f} s")
    rows = {}
    for name, blocks in space.tracks(streams).items():
        if name not in channels:
            continue
        near = {block: _near(track, at) for block, track in blocks.items()}
        row = pooled(facts.channels[name], near)
        if row.any():
            rows[name] = row
    return rows


def _near(track: Track, at: float | None) -> Array:
    if at is None:
        return track.values
    distance = np.abs(track.times.mean(axis=1) - at)
    chosen: Array = track.values[distance <= max(AROUND, float(distance.min()))]
    return chosen
