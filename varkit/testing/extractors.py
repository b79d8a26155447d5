"""What every extractor promises (:class:`varkit.interfaces.Extractor`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit.interfaces import Extractor, PictureClips
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    Row,
    evaluation,
    expect_finite,
    expect_own_draws,
    expect_same,
    expect_unchanged,
)

WIDER = 4 / 3
"""Width by height of the made-up pictures that are not cropped."""
UNCROPPED = 96
"""Their shorter side where the extractor takes any size."""


@dataclass(frozen=True)
class _Case:
    extractor: Extractor
    fresh: Extractor
    clips: Tensor

    def streams(self, clips: Tensor | None = None) -> dict[str, Tensor]:
        with evaluation(self.extractor):
            return dict(self.extractor(self.clips if clips is None else clips))


def check_extractor(
    extractor: Extractor, *, fresh: Extractor, subject: str = "extractor"
) -> tuple[Result, ...]:
    """Check an extractor on made-up clips.

    Args:
        extractor: the component.
        fresh: another instance with the same options.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        return _Case(extractor, fresh, made_up_clips(extractor, min(3, extractor.batch)))

    return run(subject, extractor, _CHECKS, make_case, unchanged=_unchanged)


def made_up_clips(extractor: Extractor, count: int) -> Tensor:
    """Return ``count`` clips of noise, as the extractor reads them."""
    reads, chance = extractor.reads, torch.Generator().manual_seed(7)
    if isinstance(reads, PictureClips):
        short = reads.short_side or UNCROPPED
        size = (reads.crop, reads.crop) if reads.crop else (short, round(WIDER * short))
        shape = (count, reads.frames, *size, 3)
        return torch.randint(256, shape, generator=chance, dtype=torch.uint8)
    return torch.rand((count, reads.samples), generator=chance) - 0.5


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(clips=case.clips)


def streams_are_as_declared(case: _Case) -> None:
    """Every declared stream is a floating-point (N, D), or (N, C, D) where it has crops."""
    made, declared = case.streams(), case.extractor.streams
    expect(set(made) == set(declared), f"{sorted(made)}; declared are {sorted(declared)}")
    for name, stream in declared.items():
        crops = () if stream.crops == 1 else (stream.crops,)
        wanted = (len(case.clips), *crops, stream.width)
        right = tuple(made[name].shape) == wanted and made[name].dtype.is_floating_point
        expect(right, f"{name}: {made[name].dtype} of shape {tuple(made[name].shape)} for {wanted}")
        expect_finite(made[name], name)


def classes_name_the_columns(case: _Case) -> None:
    """A stream with classes has one for each column."""
    for name, stream in case.extractor.streams.items():
        count = len(stream.classes)
        expect(count in (0, stream.width), f"{name}: {count} classes for {stream.width} columns")


def clips_are_independent(case: _Case) -> None:
    """A clip's numbers depend neither on the other clips nor on their order."""
    together = case.streams()
    for n in range(len(case.clips)):
        alone = case.streams(case.clips[n : n + 1])
        expect_same(_rows(together, [n]), alone, f"clip {n} alone")
    order = list(reversed(range(len(case.clips))))
    expect_same(_rows(together, order), case.streams(case.clips[order]), "in reversed order")


def silence_and_darkness_are_finite(case: _Case) -> None:
    """Black pictures and silence give finite numbers."""
    for name, stream in case.streams(torch.zeros_like(case.clips)).items():
        expect_finite(stream, name)


def nothing_is_random(case: _Case) -> None:
    """Nothing is random."""

    def compute() -> Row:
        return case.streams()

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """The clips are not changed."""
    with _unchanged(case):
        case.streams()


def options_decide(case: _Case) -> None:
    """Another instance with the same options gives the same numbers and the same origin."""
    with evaluation(case.fresh):
        expect_same(case.streams(), dict(case.fresh(case.clips)), "from a fresh instance")
    origins = (case.extractor.origin, case.fresh.origin)
    expect(origins[0] == origins[1], f"{origins[0]} and {origins[1]}")


def origin_is_json(case: _Case) -> None:
    """Its origin can be written as JSON."""
    try:
        json.dumps(dict(case.extractor.origin), allow_nan=False)
    except (TypeError, ValueError) as error:
        expect(False, f"{case.extractor.origin}: {error}")


def _rows(streams: Mapping[str, Tensor], rows: list[int]) -> dict[str, Tensor]:
    return {name: stream[rows] for name, stream in streams.items()}


_CHECKS = (
    streams_are_as_declared,
    classes_name_the_columns,
    clips_are_independent,
    silence_and_darkness_are_finite,
    nothing_is_random,
    inputs_stay,
    options_decide,
    origin_is_json,
)
