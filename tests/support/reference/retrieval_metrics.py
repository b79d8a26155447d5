"""Retrieval metrics the slow, obvious way: the full matrix, one sorted row at a time, float64."""

from __future__ import annotations

from collections import defaultdict
from itertools import combinations, permutations, product

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


def by_id(queries, videos, of_queries, of_videos):
    """(direction, identifier) -> rank, as a file of ranks has them."""
    answers = {"query_to_video": (queries, of_queries), "video_to_query": (videos, of_videos)}
    return {
        (way, name): rank
        for way, (names, ranks_) in answers.items()
        for name, rank in zip(names, ranks_, strict=True)
    }


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


def average_precision(scores, truth):
    """Sum over thresholds, from the highest: recall gained there times the precision there."""
    total, recall = 0.0, 0.0
    for threshold in sorted(set(scores), reverse=True):
        kept = [t for s, t in zip(scores, truth, strict=True) if s >= threshold]
        now = sum(kept) / sum(truth)
        total += (now - recall) * sum(kept) / len(kept)
        recall = now
    return total


def right_videos(captions, rule):
    """Captions of every video -> (video, number) of the queries, and the right videos of each."""

    def plain(text):
        words = text.lower().split()
        if words and words[-1].endswith("."):
            words[-1] = words[-1][:-1]
        return [word for word in words if word]

    every = [(v, k) for v, texts in enumerate(captions) for k in range(len(texts))]
    same = {
        pair: [other for other in every if plain(captions[other[0]][other[1]]) == text]
        for pair in every
        for text in [plain(captions[pair[0]][pair[1]])]
    }
    kept = [pair for pair in every if rule != "unique" or same[pair][0] == pair]
    return kept, [{pair[0]} if rule == "own" else {v for v, _ in same[pair]} for pair in kept]


def first_places(scores, right):
    """Places of the first right candidate, in all orders of those that score the same."""
    best = max(scores[c] for c in right)
    above = sum(s > best for s in scores)
    group = [c for c, s in enumerate(scores) if s == best]
    orders = combinations(range(len(group)), sum(c in right for c in group))
    return [above + 1 + min(places) for places in orders]


def first_right(scores, right, ties):
    """Rank of the first right candidate, over all orders of those that score the same."""
    return float(PLACE[ties](first_places(scores, right)))


def hits(scores, right):
    """Shares of these orders in which a right candidate is among the first 1, 5 and 10."""
    places = first_places(scores, right)
    return [sum(place <= k for place in places) / len(places) for k in (1, 5, 10)]


def components(pairs, videos):
    """First of the videos that share queries with each: a walk from video to query to video."""

    def reach(seen, video):
        for query in [q for v, q in pairs if v == video]:
            for other in [v for v, q in pairs if q == query]:
                if other not in seen:
                    seen.add(other)
                    reach(seen, other)
        return seen

    return [min(reach({v}, v)) for v in range(videos)]


def best_ranks(similarity, right, rule, ties):
    """Ranks of queries and videos of (V, Q) ``similarity``, where several answers may be right."""
    similarity = np.asarray(similarity, dtype=np.float64)
    of_queries = [first_right(similarity[:, q], right[q], ties) for q in range(len(right))]
    if rule == "own":
        return of_queries, list(ranks(similarity, [min(videos) for videos in right], ties)[1])
    of_videos = [
        first_right(row, {q for q, videos in enumerate(right) if v in videos}, ties)
        for v, row in enumerate(similarity)
    ]
    return of_queries, of_videos


def graded(scores, grades, cut=10):
    """Average precision, and nDCG over the first ``cut``: means over every order of the ties."""
    places = defaultdict(list)
    for candidate, score in enumerate(scores):
        places[score].append(candidate)
    orders = product(*(permutations(places[score]) for score in sorted(places, reverse=True)))
    values = []
    for order in orders:
        gains = [grades[candidate] for group in order for candidate in group]
        precision = [sum(g > 0 for g in gains[:n]) / n for n, g in enumerate(gains, 1) if g > 0]
        values.append((np.mean(precision), discounted(gains, cut)))
    precision, gain = np.mean(values, axis=0)
    return precision, gain / discounted(sorted(grades, reverse=True), cut)


def discounted(gains, cut):
    return sum(gain / np.log2(1 + rank) for rank, gain in enumerate(gains[:cut], 1))
