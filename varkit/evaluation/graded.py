"""Figures of relevance judgements: average precision and discounted gain of all right answers.

As in trec_eval, except where scores tie: trec_eval orders these by identifier, whereas these are
expected values over all orders, whatever the tie rule of the ranks. McSherry and Najork, Computing
Information Retrieval Performance Measures Efficiently in the Presence of Tied Scores (2008).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.data.positives import Positives
from varkit.evaluation.metrics import DIRECTIONS, Report, summarize
from varkit.evaluation.rank import Ranks, Tile, right_pairs

CUT = 10
"""The candidates that count in nDCG."""
GRADED = ("mAP", f"nDCG@{CUT}")
"""Names of the figures, in percent."""
Places = tuple[NDArray[np.int64], NDArray[np.int64]]
"""For each of P right pairs, how many candidates score higher, and how many the same or are it."""


def retrieval_report(
    ranks: Ranks,
    positives: Positives,
    tiles: Callable[[], Iterable[Tile]],
    backward: Callable[[], Iterable[Tile]] | None = None,
) -> Report:
    """Return :func:`varkit.evaluation.metrics.summarize`, with the graded figures if there are any.

    Args:
        ranks: of the right answers.
        positives: the same right answers; without grades there are no further figures.
        tiles: yields pieces that together cover the (V, Q) similarity; called twice.
        backward: likewise, where videos search for queries; None = the same.
    """
    report = summarize(ranks)
    if positives.grade is not None:
        grade = positives.grade.numpy()
        sides = (positives.query, tiles), (positives.video, backward or tiles)
        for way, (seeker, parts) in zip(DIRECTIONS, sides, strict=True):
            places = _places(parts, positives, way)
            report[way] |= graded_figures(seeker.numpy(), grade, places)
    return report


def graded_figures(
    seeker: NDArray[np.int64], grade: NDArray[np.int64], places: Places
) -> dict[str, float]:
    """Return the graded figures of one direction: means over the seekers.

    Average precision is the mean of the precisions at all right answers. The gain of an answer is
    its grade, divided by log2(1 + rank); nDCG is the sum of these over the first candidates,
    divided by that of the best order.

    Args:
        seeker: (P,) who seeks, in each right pair.
        grade: (P,) how relevant the answer is, at least 1.
        places: of the answers.
    """
    above, equal = places
    # Right answers with the same score are a group: G groups, by seeker, then by score.
    (who, higher), first, group, right = np.unique(
        np.stack([seeker, above]),
        axis=1,
        return_index=True,
        return_inverse=True,
        return_counts=True,
    )
    size, gain = equal[first], np.bincount(group.ravel(), weights=grade)
    before = np.cumsum(right) - right  # right answers in the groups that score higher
    before -= before[np.searchsorted(who, who)]
    reach = int((higher + size).max())
    harmonic = np.concatenate([[0.0], np.cumsum(1 / np.arange(1, reach + 1))])
    inverse = harmonic[higher + size] - harmonic[higher]  # sum of 1 / rank over the group's places
    follow = (right - 1) / np.maximum(size - 1, 1)  # chance that another place of it is right too
    precision = (before + 1) * inverse + follow * (size - (higher + 1) * inverse)
    discount = np.concatenate([[0.0], np.cumsum(1 / np.log2(np.arange(2, CUT + 2)))])
    gained = discount[np.minimum(higher + size, CUT)] - discount[np.minimum(higher, CUT)]

    def total(of: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(of, weights=values)[np.unique(seeker)].astype(np.float64)

    order = np.lexsort([-grade, seeker])
    ideal = np.arange(len(order)) - np.searchsorted(seeker[order], seeker[order])
    most = np.diff(discount, append=discount[-1])[np.minimum(ideal, CUT)] * grade[order]
    mean_precision = total(who, right / size * precision) / total(seeker, np.ones(len(seeker)))
    ndcg = total(who, gain / size * gained) / total(seeker[order], most)
    return {GRADED[0]: 100 * float(mean_precision.mean()), GRADED[1]: 100 * float(ndcg.mean())}


def _places(tiles: Callable[[], Iterable[Tile]], positives: Positives, way: str) -> Places:
    """Return the places of the right answers in one direction."""
    forth = way == DIRECTIONS[0]
    sides = (positives.query, positives.queries), (positives.video, positives.videos)
    seeker, count = sides[0 if forth else 1]
    right = torch.empty(len(seeker))
    for rows, columns, tile in tiles():
        pairs, v, q = right_pairs(positives, rows.cpu(), columns.cpu())
        right[pairs] = tile.cpu().float()[v, q]
    above, equal = torch.zeros(2, len(seeker), dtype=torch.int64)
    for rows, columns, tile in tiles():
        scores = tile.to("cpu", torch.float32, copy=True)
        pairs, v, q = right_pairs(positives, rows.cpu(), columns.cpu())
        scores[v, q] = right[pairs]  # equal to itself, whatever the product's rounding
        here, of_seekers = (columns.cpu(), scores.T) if forth else (rows.cpu(), scores)
        row = torch.full((count,), -1)
        row[here] = torch.arange(len(here))
        for part in torch.split((row[seeker] >= 0).nonzero().flatten(), 1024):
            others, own = of_seekers[row[seeker[part]]], right[part, None]
            above[part] += (others > own).sum(1)
            equal[part] += (others == own).sum(1)
    return above.numpy(), equal.numpy()
