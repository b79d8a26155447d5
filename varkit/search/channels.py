"""Scores of a channel, block by block; and channels as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces.searching import FLOOR, Array, Block, Channel, Track


def block_scores(
    channel: Channel, query: Array, rows: Array, absent: Array | None
) -> NDArray[np.float64]:
    """Return the weighted (R, blocks) scores of rows, whose sums are the rows' scores.

    Args:
        channel: of the rows.
        query: (K,).
        rows: (R, K).
        absent: (blocks,) as :meth:`varkit.interfaces.searching.Engine.search` takes it, of one
            query.
    """
    scores = np.empty((len(rows), len(channel.blocks)), np.float64)
    for b, (block, part) in enumerate(zip(channel.blocks, channel.slices, strict=True)):
        products = rows[:, part].astype(np.float64) @ query[part].astype(np.float64)
        if block.log:
            logs = np.log(np.maximum(products, 0) + FLOOR)
            products = logs if absent is None else np.where(products == 0, absent[b], logs)
        scores[:, b] = block.weight * products
    return scores


def absent_scores(channel: Channel, queries: Array, sample: Array) -> Array:
    """Return the (Q, blocks) mean logarithms over the rows of a sample that have each block.

    They stand in for rows without the block, so that a silent film is neither first nor last. Where
    a query asks a block alone, and is zero in all others, such rows are last.

    Args:
        channel: of the rows.
        queries: (Q, K).
        sample: (S, K) rows of the gallery.
    """
    means = np.full((len(queries), len(channel.blocks)), np.log(FLOOR), np.float32)
    for b, (block, part) in enumerate(zip(channel.blocks, channel.slices, strict=True)):
        if block.log:
            products = queries[:, part] @ sample[:, part].T.astype(np.float32)
            held = products != 0
            logs = np.where(held, np.log(np.maximum(products, 0) + FLOOR), 0)
            count = held.sum(axis=1)
            usual = np.where(count, logs.sum(axis=1) / np.maximum(count, 1), 0)
            others = np.delete(queries, np.r_[part], axis=1)
            alone = queries[:, part].any(axis=1) & ~others.any(axis=1) & (others.shape[1] > 0)
            means[:, b] = np.where(alone, np.log(FLOOR), usual)
    return means


def pooled(channel: Channel, clips: Mapping[str, Array]) -> Array:
    """Return the (K,) row of a window, which is zero in blocks that it lacks.

    Args:
        channel: of the row.
        clips: block -> (t, width), its clips in the window.
    """
    row = np.zeros(channel.width, np.float32)
    for block, part in zip(channel.blocks, channel.slices, strict=True):
        if len(values := clips.get(block.name, ())):
            powers = np.asarray(values, np.float64) ** block.power
            mean = (powers.mean(axis=0) ** (1 / block.power)).astype(np.float32)
            row[part] = unit(mean) if block.unit else mean
    return row


def unit(vectors: Array) -> Array:
    """Return (..., D) vectors scaled to length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = (vectors / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return scaled


def to_json(channel: Channel) -> dict[str, Any]:
    """Return a channel as JSON."""
    return {"answers": sorted(channel.answers), "blocks": [asdict(b) for b in channel.blocks]}


def from_json(value: Mapping[str, Any]) -> Channel:
    """Return a channel from JSON; raises a KeyError or TypeError if it is something else."""
    blocks = tuple(
        Block(
            str(b["name"]),
            int(b["width"]),
            float(b["weight"]),
            log=bool(b["log"]),
            unit=bool(b["unit"]),
            power=float(b["power"]),
        )
        for b in value["blocks"]
    )
    return Channel(blocks, frozenset(value["answers"]))


def at_centres(times: NDArray[np.float64], spans: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return which clip is nearest to the centre of each of (T, 2) spans; ``times`` is (S, 2)."""
    centres, own = spans.mean(axis=1), times.mean(axis=1)
    right = np.clip(np.searchsorted(own, centres), 0, len(own) - 1)
    left = np.maximum(right - 1, 0)
    nearer = np.abs(own[left] - centres) <= np.abs(own[right] - centres)
    nearest: NDArray[np.int64] = np.where(nearer, left, right)
    return nearest


def row_scores(channel: Channel, queries: Array, rows: Array, absent: Array | None) -> Array:
    """Return the (Q, R) scores of rows; see :func:`block_scores`, ``absent`` is (Q, blocks)."""
    total = np.zeros((len(queries), len(rows)), np.float32)
    for b, (block, part) in enumerate(zip(channel.blocks, channel.slices, strict=True)):
        products = queries[:, part] @ rows[:, part].T
        if block.log:
            logs = np.log(np.maximum(products, 0) + FLOOR)
            products = logs if absent is None else np.where(products == 0, absent[:, b, None], logs)
        total += block.weight * products
    return total


def clip_rows(channel: Channel, tracks: Mapping[str, Track]) -> tuple[NDArray[np.float64], Array]:
    """Return the (T, 2) times and (T, K) rows of a video's clips.

    The first block that the video has gives the clock; of others, the clip nearest in time counts.

    Args:
        channel: of the rows.
        tracks: block -> what it says of the video; at least one.
    """
    clock = next(block.name for block in channel.blocks if block.name in tracks)
    times = tracks[clock].times
    rows = np.zeros((len(times), channel.width), np.float32)
    for block, part in zip(channel.blocks, channel.slices, strict=True):
        if block.name in tracks:
            track = tracks[block.name]
            values = track.values[at_centres(track.times, times)].astype(np.float32)
            rows[:, part] = unit(values) if block.unit else values
    return times, rows
