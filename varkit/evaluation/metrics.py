"""Figures of retrieval, computed from ranks (:mod:`varkit.evaluation.rank`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.data.positives import Positives
from varkit.evaluation.rank import RECALLS, Ranks, hit_chances, within

Report = dict[str, Any]

DIRECTIONS = ("query_to_video", "video_to_query")
FIGURES = (
    *(f"{way}.{key}" for way in DIRECTIONS for key in ("R@1", "R@5", "R@10", "MdR", "MnR")),
    "SumR",
)
"""Names of the figures of a report, for :func:`figure`."""


def summarize(ranks: Ranks) -> Report:
    """Return the figures of both directions.

    ``R@K`` is the percentage with a right answer among the first K, with ties the expected
    percentage, ``MdR`` the median rank, ``MnR`` the mean rank, ``n`` the number of ranks, and
    ``ties`` how many answers tie with another candidate. ``SumR`` is the sum of the six recalls
    before rounding, ``SumR_optimistic`` the same with every tie in the model's favour.
    ``tie_rule`` and ``positives`` are the rules that were used.

    >>> from varkit.evaluation.rank import ranks_from_similarity
    >>> ranks = ranks_from_similarity(torch.eye(2), Positives.own(torch.arange(2)))
    >>> summarize(ranks)["SumR"]
    600.0
    """
    ways = {"query_to_video": ranks.query_to_video, "video_to_query": ranks.video_to_query}
    report: Report = {
        "tie_rule": ranks.tie_rule,
        "positives": ranks.positives,
        **{way: figures(x.rank, x.hits, x.ties) for way, x in ways.items()},
        "collapsed": ranks.collapsed,
    }
    report["SumR"] = sum_of_recalls(report)
    report["SumR_optimistic"] = sum_of_recalls(
        {way: recalls(within(answers.optimistic)) for way, answers in ways.items()}
    )
    return report


def figure(report: Mapping[str, Any], name: str) -> float:
    """Return one figure of a report, by its name in :data:`FIGURES`.

    >>> figure({"query_to_video": {"R@1": 12.5}}, "query_to_video.R@1")
    12.5
    """
    way, _, key = name.rpartition(".")
    return float(report[way][key] if way else report[key])


def sum_of_recalls(report: Report) -> float:
    """Return SumR, the sum of R@1, R@5 and R@10 of both directions."""
    return float(sum(report[way][f"R@{k}"] for way in DIRECTIONS for k in RECALLS))


def recalls(hits: NDArray[np.float64]) -> dict[str, float]:
    """Return R@K of (n, 3) hits; see :class:`varkit.evaluation.rank.Answers`."""
    return {f"R@{k}": 100 * float(np.mean(own)) for k, own in zip(RECALLS, hits.T, strict=True)}


def figures(
    ranks: NDArray[np.float64], hits: NDArray[np.float64], ties: NDArray[np.int64]
) -> dict[str, float | int]:
    """Return the figures of one direction.

    Args:
        ranks: (n,).
        hits: (n, 3) chances to be among the first K.
        ties: (n,) how many candidates tie with each answer.
    """
    return {
        **recalls(hits),
        "MdR": float(np.median(ranks)),
        "MnR": float(np.mean(ranks)),
        "n": len(ranks),
        "ties": int(np.count_nonzero(ties)),
    }


def chance(positives: Positives) -> Report:
    """Return the expected figures of a random ranking.

    Recalls are those of a model that gives all candidates one score. The best of c right answers
    among N candidates has a rank above r with probability C(N - c, r) / C(N, r); ``MnR`` is the
    mean of this distribution over all seekers, ``MdR`` its median.

    >>> chance(Positives.own(torch.arange(290)))["query_to_video"]["MdR"]
    145.5
    """
    of_query, of_video = (
        torch.unique(side, return_counts=True)[1].numpy()
        for side in (positives.query, positives.video)
    )
    ways = {
        "query_to_video": _expected(positives.videos, of_query),
        "video_to_query": _expected(positives.queries, of_video),
    }
    return {
        "tie_rule": "average",
        "positives": positives.rule,
        **ways,
        "SumR": sum_of_recalls(ways),
    }


def _expected(candidates: int, right: NDArray[np.int64]) -> dict[str, float | int]:
    """Return the expected figures of the best of ``right[i]`` answers among ``candidates``."""
    cumulative = np.zeros(candidates)  # P(rank <= r), averaged over the rankings
    for answers, count in zip(*np.unique(right, return_counts=True), strict=True):
        step = np.arange(candidates)
        above = np.cumprod(np.maximum(candidates - answers - step, 0) / (candidates - step))
        cumulative += count / len(right) * (1 - above)
    lower = 1 + int(np.argmax(cumulative >= 0.5 - 1e-12))
    upper = 1 + int(np.argmax(cumulative > 0.5 + 1e-12))
    return {
        **recalls(hit_chances(np.zeros_like(right), candidates - right, right)),
        "MdR": (lower + upper) / 2,
        "MnR": float(np.mean((candidates + 1) / (right + 1))),
        "n": len(right),
        "ties": 0,
    }
