"""Rows of a gallery with random vectors."""

from __future__ import annotations

import numpy as np

from varkit.interfaces.searching import Block, Channel, Rows

LOGS = Channel((Block("a", 7, log=True), Block("b", 5, 0.3, log=True)), frozenset({"text"}))
PLAIN = Channel((Block("a", 7), Block("b", 5, 0.5)), frozenset({"text", "example"}))


def made(ids, channel=PLAIN, *, seed=0, camera=None):
    """Rows with random vectors; those of probabilities sum to 1, or are absent."""
    chance, count = np.random.default_rng(seed), len(ids)
    vectors = chance.standard_normal((count, channel.width)).astype(np.float32)
    if channel is LOGS:
        vectors = np.abs(vectors) ** 3 + 1e-7
        for part in channel.slices:
            vectors[:, part] /= vectors[:, part].sum(1, keepdims=True)
            vectors[chance.random(count) < 0.3, part] = 0
    known = chance.random(count) < 0.7
    begin = np.where(known, np.arange(count) * 10.0, np.nan)
    return Rows(
        ids=np.array(ids, np.int64),
        vectors=vectors,
        video=np.array(ids, np.int64) // 4,
        begin=begin,
        end=begin + 10,
        anomaly=np.where(known, chance.random(count), np.nan).astype(np.float32),
        camera=[camera or (f"camera {i % 3}" if i % 4 else None) for i in ids],
    )
