"""What an extraction will take, before it begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from varkit.errors import MediaError
from varkit.interfaces import PictureClips
from varkit.media.chunks import SOUND_RATE
from varkit.media.decode import Decoder
from varkit.media.extract_folder import Request, to_do
from varkit.media.extraction import extract, place
from varkit.media.extractors import Named, build_extractors
from varkit.plugins.loading import load_plugins
from varkit.system.machine import prepare

MEASURED = 5.0
"""Seconds of a file that each extractor is timed on."""


@dataclass(frozen=True)
class Cost:
    """What one extractor costs.

    Attributes:
        name: of the extractor.
        pace: seconds of video per second, decoding included; None if no file could be used.
        bytes_per_hour: of video.
    """

    name: str
    pace: float | None
    bytes_per_hour: float


@dataclass(frozen=True)
class Plan:
    """What an extraction will take.

    Attributes:
        files: how many to work on.
        done: how many are in the store already.
        skipped: names and reasons.
        unreadable: names and reasons of files that cannot be opened.
        seconds: of all files to work on that say how long they are.
        unknown: how many do not say it.
        costs: by extractor.
    """

    files: int
    done: int
    skipped: tuple[tuple[str, str], ...]
    unreadable: tuple[tuple[str, str], ...]
    seconds: float
    unknown: int
    costs: tuple[Cost, ...]

    @property
    def disk(self) -> float:
        """Bytes that the streams will take."""
        return sum(cost.bytes_per_hour for cost in self.costs) * self.seconds / 3600

    @property
    def time(self) -> float | None:
        """Seconds that it takes at most, if one worker did all; None = unknown."""
        paces = [cost.pace for cost in self.costs]
        if not all(paces):
            return None
        return sum(self.seconds / pace for pace in paces if pace)

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON."""
        return asdict(self) | {"disk": self.disk, "time": self.time}


def plan(request: Request) -> Plan:
    """Look at every file's header, and time each extractor on the beginning of one file.

    Raises:
        MediaError: there is no such folder, or nothing in it.
        RecipeError: an extractor's options are wrong, or this machine lacks what it needs.
        DataError: the store is damaged.
    """
    device, _ = prepare(request.device, request.threads)
    extractors = build_extractors(request.wanted, load_plugins(request.plugins))
    place(extractors, device)
    listing, jobs, summary = to_do(request)
    unreadable, durations = [], {}
    with Decoder(request.limits) as decoder:
        for job in jobs:
            try:
                decoding = decoder.decode(listing.root / job.path)
                durations[job.path] = decoding.facts.duration
                for _ in decoding:
                    pass
            except MediaError as error:
                unreadable.append((job.path.as_posix(), error.what.partition(": ")[2]))
        sample = [listing.root / path for path in durations][:3]
        costs = [_cost(each, sample, decoder, device) for each in extractors]
    known = [seconds for seconds in durations.values() if seconds is not None]
    return Plan(
        files=len(jobs),
        done=len(summary.videos),
        skipped=tuple(summary.skipped),
        unreadable=tuple(unreadable),
        seconds=sum(known),
        unknown=len(durations) - len(known),
        costs=tuple(costs),
    )


def _cost(each: Named, files: Sequence[Path], decoder: Decoder, device: torch.device) -> Cost:
    reads = each.extractor.reads
    step = reads.stride / reads.fps if isinstance(reads, PictureClips) else reads.hop / SOUND_RATE
    numbers = sum(s.width * s.crops for s in each.extractor.streams.values())
    pace = None
    for file in files:
        try:
            extract(decoder, file, [each], device=device, seconds=0.1)  # the first call is slow
            began = time.perf_counter()
            made = extract(decoder, file, [each], device=device, seconds=MEASURED).made[each.name]
            took = time.perf_counter() - began
        except MediaError:
            continue
        if len(made.times):
            pace = float(made.times[-1, 1] - made.times[0, 0]) / took
            break
    return Cost(each.name, pace, 4 * numbers * 3600 / step)
