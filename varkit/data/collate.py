"""Sequences of unequal length made to fit one tensor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Array, Clips, Draws, Sequences


def collate_clips(sequences: Sequence[Sequences], draws: Draws) -> Clips:
    """Pad B sequences with zeros to the longest.

    Args:
        sequences: of one data set, so with the same streams.
        draws: of these items, length B.

    Raises:
        DataError: a sequence is empty, or its streams are not (T, D) of one T and one D.
    """
    for item, sequence in zip(draws.items, sequences, strict=True):
        _check(item, sequence, sequences[0])
    shape = len(sequences), max(len(sequence) for sequence in sequences)
    widths = {name: stream.shape[1] for name, stream in sequences[0].streams.items()}
    # numpy's zeros take no memory before they are written to, and most of them are padding.
    streams = {n: torch.from_numpy(np.zeros((*shape, w), np.float32)) for n, w in widths.items()}
    mask = torch.zeros(shape, dtype=torch.bool)
    times = torch.zeros(*shape, 2)
    for b, sequence in enumerate(sequences):
        for name, stream in streams.items():
            stream[b, : len(sequence)] = torch.from_numpy(sequence.streams[name])
        times[b, : len(sequence)] = torch.from_numpy(sequence.times)
        mask[b, : len(sequence)] = True
    return Clips(streams, mask, times, draws)


def _check(item: str, sequence: Sequences, first: Sequences) -> None:
    expected = {name: (len(sequence), s.shape[-1]) for name, s in first.streams.items()}
    found = {name: stream.shape for name, stream in sequence.streams.items()}
    if len(sequence) == 0:
        raise DataError(f"{item!r} has no clips; expected at least one")
    if found != expected:
        raise DataError(
            f"{item!r} has clips of shape {found}; by its {len(sequence)} times and the "
            f"other items of its batch they should be {expected}"
        )


def segment_edges(total: int, count: int) -> NDArray[np.int64]:
    """Return (count + 1,) edges: segment i holds the clips [edges[i], edges[i + 1])."""
    edges: NDArray[np.int64] = np.arange(count + 1) * total // count
    return edges


def segment_means(sequences: Sequences, count: int) -> Sequences:
    """Average a sequence over ``count`` equal segments; a shorter one is returned as it is.

    Segment i holds the clips [floor(i T / count), floor((i + 1) T / count)); it begins when its
    first clip does and ends when its last clip does.
    """
    total = len(sequences)
    if total <= count:
        return sequences
    edges = segment_edges(total, count)
    times = np.stack([sequences.times[edges[:-1], 0], sequences.times[edges[1:] - 1, 1]], axis=1)
    streams = {name: means(clips, edges) for name, clips in sequences.streams.items()}
    return Sequences(streams, times)


def means(clips: Array, edges: NDArray[np.int64]) -> Array:
    """Return the (S, D) means of (T, D) clips over the S segments between S + 1 edges."""
    sizes = np.diff(edges)
    segments = torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes))
    # torch's index_add_, since numpy's add.reduceat takes seven times as long.
    sums = torch.zeros(len(sizes), clips.shape[1])
    sums.index_add_(0, segments, torch.from_numpy(clips))
    found: Array = (sums / torch.from_numpy(sizes)[:, None]).numpy()
    return found
