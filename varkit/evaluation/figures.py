"""Figures of retrieval, from ranks; :mod:`varkit.evaluation.rank` makes the ranks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.data.positives import Positives
from varkit.evaluation.rank import Ranks

Report = dict[str, Any]

DIRECTIONS = ("query_to_video", "video_to_query")
RECALLS = (1, 5, 10)
FIGURES = (
    *(f"{way}.{key}" for way in DIRECTIONS for key in ("R@1", "R@5", "R@10", "MdR", "MnR")),
    "SumR",
)
"""Names of the figures of a report, for :func:`figure`."""


def summarize(ranks: Ranks) -> Report:
    """Return the figures of both directions.

    ``R@K`` is the percentage of ranks at most K (an averaged rank of 5.5 is a miss at 5),
    ``MdR`` the median and ``MnR`` the mean rank, ``n`` how many were ranked, ``ties`` how many of
    those tie with another candidate. ``SumR`` is the sum of the six recalls before rounding,
    ``SumR_optimistic`` the same with every tie counted in the model's favour; ``tie_rule`` and
    ``positives`` say how ties counted and which answers were right.

    >>> from varkit.evaluation.rank import ranks_from_similarity
    >>> ranks = ranks_from_similarity(torch.eye(2), Positives.own(torch.arange(2)))
    >>> summarize(ranks)["SumR"]
    600.0
    """
    found = {"query_to_video": ranks.query_to_video, "video_to_query": ranks.video_to_query}
    report: Report = {
        "tie_rule": ranks.tie_rule,
        "positives": ranks.positives,
        **{way: figures(answers.rank, answers.ties) for way, answers in found.items()},
        "collapsed": ranks.collapsed,
    }
    report["SumR"] = sum_of_recalls(report)
    favoured = {way: figures(answers.optimistic, answers.ties) for way, answers in found.items()}
    report["SumR_optimistic"] = sum_of_recalls(favoured)
    return report


def figure(report: Mapping[str, Any], name: str) -> float:
    """Return one of :data:`FIGURES` of a report.

    >>> figure({"query_to_video": {"R@1": 12.5}}, "query_to_video.R@1")
    12.5
    """
    way, _, key = name.rpartition(".")
    return float(report[way][key] if way else report[key])


def sum_of_recalls(report: Report) -> float:
    """Return SumR: R@1, R@5 and R@10 of both directions, added."""
    return float(sum(report[way][f"R@{k}"] for way in DIRECTIONS for k in RECALLS))


def figures(ranks: NDArray[np.float64], ties: NDArray[np.int64]) -> dict[str, float | int]:
    """Return the figures of one direction from (n,) ranks and how many candidates tie with each."""
    found: dict[str, float | int] = {f"R@{k}": 100 * float(np.mean(ranks <= k)) for k in RECALLS}
    found["MdR"] = float(np.median(ranks))
    found["MnR"] = float(np.mean(ranks))
    found["n"] = len(ranks)
    found["ties"] = int(np.count_nonzero(ties))
    return found


def chance(positives: Positives) -> Report:
    """Return the expected figures of a ranking at random.

    The best of c right answers among N candidates has rank above r with probability
    C(N - c, r) / C(N, r). Recalls and means are expectations; ``MdR`` is the median of that
    distribution.

    >>> chance(Positives.own(torch.arange(290)))["query_to_video"]["MdR"]
    145.5
    """
    of_query, of_video = (
        torch.bincount(side).numpy() for side in (positives.query, positives.video)
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
    """Figures of the best of ``right[i]`` answers, at random among ``candidates``."""
    cumulative = np.zeros(candidates)  # P(rank <= r), averaged over the rankings
    for answers, count in zip(*np.unique(right, return_counts=True), strict=True):
        step = np.arange(candidates)
        above = np.cumprod(np.maximum(candidates - answers - step, 0) / (candidates - step))
        cumulative += count / len(right) * (1 - above)
    lower = 1 + int(np.argmax(cumulative >= 0.5 - 1e-12))
    upper = 1 + int(np.argmax(cumulative > 0.5 + 1e-12))
    found: dict[str, float | int] = {
        f"R@{k}": 100 * float(cumulative[min(k, candidates) - 1]) for k in RECALLS
    }
    found["MdR"] = (lower + upper) / 2
    found["MnR"] = float(np.mean((candidates + 1) / (right + 1)))
    found["n"] = len(right)
    found["ties"] = 0
    return found
