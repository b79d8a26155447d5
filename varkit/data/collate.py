"""Pads sequences of unequal length to one tensor, and averages long ones over segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Array, Clips, Draws, Sequences


def collate_clips(sequences: Sequence[Sequences], draws: Draws) -> Clips:
    """Pad B sequences with zeros to the longest.

    Args:
        sequences: of one data set, so with the same streams.
        draws: the random numbers of these B items.

    Raises:
        DataError: a sequence is empty, or its streams are not (T, D) of one T and one D.
    """
    for item, sequence in zip(draws.items, sequences, strict=True):
        _check(item, sequence, sequences[0])
    shape = len(sequences), max(len(sequence) for sequence in sequences)
    widths = {name: stream.shape[1] for name, stream in sequences[0].streams.items()}
    # numpy's zeros take no memory until they are written to, and most of them are padding.
    streams = {n: torch.from_numpy(np.zeros((*shape, w), np.float32)) for n, w in widths.items()}
    mask = torch.zeros(shape, dtype=torch.bool)
    times = torch.zeros(*shape, 2)
    for b, sequence in enumerate(sequences):
        for name, stream in streams.items():
            stream[b, : len(sequence)] = torch.from_numpy(sequence.streams[name])
        times[b, : len(sequence)] = torch.from_numpy(sequence.times)
        mask[b, : len(sequence)] = True
    present = {
        name: torch.tensor([name not in sequence.absent for sequence in sequences])
        for name in streams
        if any(name in sequence.absent for sequence in sequences)
    }
    return Clips(streams, mask, times, draws, present)


def _check(item: str, sequence: Sequences, first: Sequences) -> None:
    expected = {name: (len(sequence), s.shape[-1]) for name, s in first.streams.items()}
    shapes = {name: stream.shape for name, stream in sequence.streams.items()}
    if len(sequence) == 0:
        raise DataError(f"{item!r} has no clips; expected at least one")
    if shapes != expected:
        raise DataError(
            f"{item!r} has clips of shape {shapes}; expected {expected}, given its "
            f"{len(sequence)} times and the widths of the first item in the batch"
        )


def segment_edges(total: int, count: int) -> NDArray[np.int64]:
    """Return (count + 1,) edges: segment i holds the clips [edges[i], edges[i + 1])."""
    edges: NDArray[np.int64] = np.arange(count + 1) * total // count
    return edges


def segment_means(streams: Mapping[str, Iterable[Array]], times: Array, count: int) -> Sequences:
    """Average T clips over ``count`` equal segments; return the clips unchanged if T <= count.

    Segment i holds the clips [floor(i T / count), floor((i + 1) T / count)). It starts with its
    first clip and ends with its last.

    Args:
        streams: name -> clips in order, in pieces of (t, D), T in total.
        times: (T, 2) seconds.
        count: the number of segments.

    Raises:
        DataError: a stream has more or fewer clips than there are times.
    """
    if len(times) <= count:
        return Sequences({name: _joined(pieces) for name, pieces in streams.items()}, times)
    edges = segment_edges(len(times), count)
    ends = np.stack([times[edges[:-1], 0], times[edges[1:] - 1, 1]], axis=1)
    return Sequences({name: _means(name, pieces, edges) for name, pieces in streams.items()}, ends)


def with_absent(means: Sequences, widths: Mapping[str, int]) -> Sequences:
    """Add the streams that are not there, as zeros, and name them as absent.

    Args:
        means: of the streams that are there.
        widths: of all streams, in order.
    """
    absent = frozenset(widths.keys() - means.streams.keys())
    if not absent:
        return means
    streams = {
        name: np.zeros((len(means), width), np.float32) if name in absent else means.streams[name]
        for name, width in widths.items()
    }
    return Sequences(streams, means.times, absent)


def _joined(pieces: Iterable[Array]) -> Array:
    first, *rest = pieces
    return np.concatenate([first, *rest]) if rest else first


def _means(name: str, pieces: Iterable[Array], edges: NDArray[np.int64]) -> Array:
    """Return the (S, D) means of clips over the S segments between S + 1 edges."""
    total, sizes = int(edges[-1]), np.diff(edges)
    segments = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    sums, done = None, 0
    for clips in pieces:
        if sums is None:
            sums = torch.zeros(len(sizes), clips.shape[1])
        # index_add_ takes a seventh of the time of numpy's add.reduceat. It adds one clip at a
        # time, so the sums do not depend on the sizes of the pieces, not even in the last bit.
        own = segments[done : done + len(clips)]
        sums.index_add_(0, own, torch.from_numpy(clips[: len(own)]))
        done += len(clips)
    if sums is None or done != total:
        raise DataError(f"stream {name!r} has {done} clips, but there are times for {total}")
    means: Array = (sums / torch.from_numpy(sizes)[:, None]).numpy()
    return means
