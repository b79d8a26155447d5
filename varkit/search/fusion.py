"""Fuses the answers of several indexes of the same videos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from varkit.search.hits import Hit

DAMPING = 60
"""k of reciprocal rank fusion (Cormack et al., SIGIR 2009)."""


def by_rank(lists: Sequence[Sequence[Hit]], k: int) -> list[Hit]:
    """Return the best videos by the sum of 1 / (60 + rank) over all lists.

    Scores of different indexes have no common scale, but ranks have. A hit keeps the moments and
    reasons of the list that ranks it best; its score is the sum, and its chance the least.

    Args:
        lists: of hits, the best first.
        k: how many to return.
    """
    total: dict[str, float] = {}
    best: dict[str, tuple[int, Hit]] = {}
    chances: dict[str, list[float]] = {}
    for hits in lists:
        for rank, hit in enumerate(hits, 1):
            total[hit.video] = total.get(hit.video, 0.0) + 1 / (DAMPING + rank)
            if hit.video not in best or rank < best[hit.video][0]:
                best[hit.video] = rank, hit
            if hit.chance is not None:
                chances.setdefault(hit.video, []).append(hit.chance)
    order = sorted(total, key=lambda video: (-total[video], best[video][0]))
    return [
        replace(best[v][1], score=total[v], chance=min(chances.get(v, []), default=None), parts={})
        for v in order[:k]
    ]
