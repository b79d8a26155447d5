"""What every space promises (:class:`varkit.interfaces.Space`)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from varkit.interfaces import Space
from varkit.interfaces.searching import Array, Channel, Streamed, Track
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import expect_own_draws, expect_same, expect_unchanged
from varkit.testing.stand_ins import TEXTS

CLIPS = 5
"""Of the made-up video."""


@dataclass(frozen=True)
class _Case:
    space: Space
    fresh: Space
    streams: Mapping[str, Track]

    def channel(self) -> tuple[str, Channel] | None:
        """Return the name of the channel that answers sentences, and the channel."""
        answering = [pair for pair in self.space.channels.items() if "text" in pair[1].answers]
        return answering[0] if answering else None

    def queries(self) -> Array:
        return self.space.encode_text(TEXTS)


def check_space(
    space: Space, *, fresh: Space, streams: Mapping[str, Streamed], subject: str = "space"
) -> tuple[Result, ...]:
    """Check a space on a made-up video and sentences.

    Args:
        space: the component.
        fresh: another instance with the same options, which was given what ``space`` kept.
        streams: those that the space was built for.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        return _Case(space, fresh, made_up_tracks(streams))

    return run(subject, space, _CHECKS, make_case, unchanged=_unchanged)


def made_up_tracks(streams: Mapping[str, Streamed]) -> dict[str, Track]:
    """Return tracks of a video: shares of classes, or noise; each has a clock of its own."""
    tracks = {}
    for n, (key, stream) in enumerate(streams.items()):
        chance = np.random.default_rng(n)
        values = chance.random((CLIPS, stream.width)) + 0.01
        if stream.classes:
            values /= values.sum(axis=1, keepdims=True)
        starts = (1 + n / 8) * np.arange(CLIPS, dtype=np.float64)
        times = np.stack([starts, starts + 1 + n / 8], axis=1)
        tracks[key] = Track(values.astype(np.float32), times)
    return tracks


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(
        streams={
            key: {"values": torch.from_numpy(track.values), "times": torch.from_numpy(track.times)}
            for key, track in case.streams.items()
        }
    )


def channels_are_valid(case: _Case) -> None:
    """There are channels with blocks of positive widths and finite weights of at least 0."""
    expect(len(case.space.channels) > 0, "there is no channel")
    for name, channel in case.space.channels.items():
        names = [block.name for block in channel.blocks]
        expect(len(names) > 0, f"{name} has no block")
        expect(len(set(names)) == len(names), f"{name} has blocks of one name: {names}")
        known = {"text", "sound", "example"}
        answers = set(channel.answers)
        expect(bool(answers) and answers <= known, f"{name} answers {sorted(answers)}")
        for block in channel.blocks:
            good = block.width >= 1 and np.isfinite(block.weight) and block.weight >= 0
            expect(good, f"{name}: {block}")
    answering = [n for n, channel in case.space.channels.items() if "text" in channel.answers]
    expect(len(answering) <= 1, f"more than one channel answers sentences: {answering}")


def tracks_are_as_declared(case: _Case) -> None:
    """A block is (T, width) float32, with ascending (T, 2) times; with ``log``, never negative."""
    channels, made = case.space.channels, case.space.tracks(case.streams)
    expect(set(made) <= set(channels), f"channels {sorted(made)}; declared: {sorted(channels)}")
    expect(any(made.values()), "a video with all streams has no block")
    for name, tracks in made.items():
        blocks = {block.name: block for block in channels[name].blocks}
        expect(set(tracks) <= set(blocks), f"{name}: {sorted(tracks)} of blocks {sorted(blocks)}")
        for place, track in tracks.items():
            values, times, what = track.values, track.times, f"{name}.{place}"
            _expect_array(values, (len(times), blocks[place].width), what)
            expect(len(times) > 0, f"{what} has no clip; leave the block out")
            expect(times.shape == (len(values), 2), f"{what}: times of shape {times.shape}")
            ascending = (times[:, 0] < times[:, 1]).all() and (np.diff(times[:, 0]) > 0).all()
            expect(bool(ascending), f"{what}: its times do not ascend")
            if blocks[place].log:
                expect(bool((values >= 0).all()), f"{what} has a negative number")
                expect(bool(values.any(axis=1).all()), f"{what} has a clip of zeros")


def what_a_video_lacks_is_left_out(case: _Case) -> None:
    """Without a stream there are no more blocks than with it, and none without any stream."""
    whole = {name: set(tracks) for name, tracks in case.space.tracks(case.streams).items()}
    for key in case.streams:
        rest = {k: track for k, track in case.streams.items() if k != key}
        for name, tracks in case.space.tracks(rest).items():
            more = set(tracks) - whole.get(name, set())
            expect(not more, f"without {key}, {name} has also {sorted(more)}")
    made = case.space.tracks({})
    expect(not any(made.values()), f"a video without streams has {dict(made)}")


def sentences_are_rows(case: _Case) -> None:
    """Sentences are (Q, K) finite float32; in blocks with ``log``, never negative."""
    if pair := case.channel():
        queries = case.queries()
        _expect_array(queries, (len(TEXTS), pair[1].width), "encode_text")
        for block, part in zip(pair[1].blocks, pair[1].slices, strict=True):
            negative = block.log and bool((queries[:, part] < 0).any())
            expect(not negative, f"encode_text: {block.name} has a negative number")


def sentences_are_independent(case: _Case) -> None:
    """A sentence is the same alone and in a batch, and in any order."""
    if case.channel():
        together, backwards = case.queries(), case.space.encode_text(TEXTS[::-1])
        expect_same(_row(together), _row(backwards[::-1].copy()), "in reversed order")
        alone = np.concatenate([case.space.encode_text([text]) for text in TEXTS])
        expect_same(_row(together), _row(alone), "one at a time")


def what_it_keeps_is_enough(case: _Case) -> None:
    """An instance that is given what this one kept gives the same numbers, and the same origin."""
    for key, values in case.space.kept.items():
        expect(bool(np.isfinite(values).all()), f"it keeps {key} with NaN or infinity")
    if case.channel():
        again = case.fresh.encode_text(TEXTS)
        expect_same(_row(case.queries()), _row(again), "sentences of an instance with what it kept")
    expect_same(_flat(case.space, case), _flat(case.fresh, case), "tracks of another instance")
    origins = (dict(case.space.origin), dict(case.fresh.origin))
    expect(origins[0] == origins[1], f"origins {origins[0]} and {origins[1]}")


def origin_is_json(case: _Case) -> None:
    """Its origin can be written as JSON and read again."""
    origin = dict(case.space.origin)
    try:
        same = json.loads(json.dumps(origin, allow_nan=False)) == origin
    except (TypeError, ValueError) as error:
        expect(False, f"{origin}: {error}")
    else:
        expect(same, f"{origin} is another after it was written and read")


def reasons_name_blocks(case: _Case) -> None:
    """Reasons name blocks of the channel, with shares from 0 to 1, the greatest first."""
    if not (pair := case.channel()):
        return
    name, channel = pair
    tracks = case.space.tracks(case.streams).get(name, {})
    row = np.concatenate(
        [
            tracks[block.name].values[0] if block.name in tracks else np.zeros(block.width, "f4")
            for block in channel.blocks
        ]
    )
    for vector in (row, np.zeros_like(row)):
        reasons = case.space.reasons(name, case.queries()[0], vector)
        shares = [reason.share for reason in reasons]
        expect(all(0 <= share <= 1 for share in shares), f"shares {shares}")
        expect(shares == sorted(shares, reverse=True), f"shares in the order {shares}")
        unknown = {reason.block for reason in reasons} - {block.name for block in channel.blocks}
        expect(not unknown, f"reasons of blocks that {name} has not: {sorted(unknown)}")


def nothing_is_random(case: _Case) -> None:
    """Two calls give the same numbers, whatever the global random state, and do not touch it."""

    def compute() -> dict[str, Tensor]:
        return _flat(case.space, case) | (_row(case.queries()) if case.channel() else {})

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """The tracks that it is given are not changed."""
    with _unchanged(case):
        case.space.tracks(case.streams)


def _expect_array(values: Array, shape: tuple[int, ...], what: str) -> None:
    right = isinstance(values, np.ndarray) and values.dtype == np.float32 and values.shape == shape
    kind = f"{getattr(values, 'dtype', type(values))} of shape {getattr(values, 'shape', None)}"
    expect(right, f"{what} is {kind}; expected float32 of shape {shape}")
    expect(bool(np.isfinite(values).all()), f"{what} has NaN or infinity")


def _row(values: Array) -> dict[str, Tensor]:
    return {"encode_text": torch.from_numpy(values)}


def _flat(space: Space, case: _Case) -> dict[str, Tensor]:
    return {
        f"{name}.{block}": torch.from_numpy(track.values)
        for name, tracks in space.tracks(case.streams).items()
        for block, track in tracks.items()
    }


_CHECKS = (
    channels_are_valid,
    tracks_are_as_declared,
    what_a_video_lacks_is_left_out,
    sentences_are_rows,
    sentences_are_independent,
    what_it_keeps_is_enough,
    origin_is_json,
    reasons_name_blocks,
    nothing_is_random,
    inputs_stay,
)
