"""Retrieval metrics the slow, obvious way: the full matrix, one sorted row at a time, float64."""

from __future__ import annotations

import numpy as np

PLACE = {"average": np.mean, "optimistic": np.min, "pessimistic": np.max}


def places(scores, target, ties):
    """1-based rank of position ``target``: the places of all that score the same, condensed."""
    ordered = sorted(scores, reverse=True)
    same = [place for place, score in enumerate(ordered, 1) if score == scores[target]]
    return float(PLACE[ties](same))


def ranks(similarity, owner, ties="average"):
    """Ranks of (V, Q) ``similarity``: (Q,) of queries, and (V,) the best among its queries."""
    similarity = np.asarray(similarity, dtype=np.float64)
    of_queries = [places(similarity[:, q], v, ties) for q, v in enumerate(owner)]
    of_videos = [
        min(places(similarity[v], q, ties) for q in np.flatnonzero(np.asarray(owner) == v))
        for v in range(similarity.shape[0])
    ]
    return np.array(of_queries), np.array(of_videos)


def figures(ranks_):
    """R@K, median and mean by their definitions."""
    ordered = sorted(ranks_)
    n = len(ordered)
    median = ordered[n // 2] if n % 2 else (ordered[n // 2 - 1] + ordered[n // 2]) / 2
    recall = {f"R@{k}": 100 * sum(r <= k for r in ordered) / n for k in (1, 5, 10)}
    return {**recall, "MdR": median, "MnR": sum(ordered) / n}


def auc(scores, truth):
    """Share of (anomalous, normal) pairs in the right order, ties half."""
    pairs = [
        (a, b)
        for a, t in zip(scores, truth, strict=True)
        if t
        for b, u in zip(scores, truth, strict=True)
        if not u
    ]
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)
