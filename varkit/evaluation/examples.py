"""A few queries with their best videos, and a few videos over time, to look at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from typing_extensions import TypedDict

from varkit.evaluation.evaluate import Evaluation
from varkit.interfaces import Dataset

T = TypeVar("T")


class Hit(TypedDict):
    """A video that a query retrieved."""

    video: str
    score: float
    correct: bool


class Retrieved(TypedDict):
    """A query, its video, the rank of the right answer, and the best videos."""

    query: str
    video: str
    rank: float
    top: list[Hit]


class Sampled(TypedDict):
    """A video over time: confidence, picks by sampler, and ground truth if it is known."""

    video: str
    seconds: float
    scores: list[float]
    picks: dict[str, list[int]]
    truth: list[bool] | None
    times: list[list[float]]


class Examples(TypedDict):
    """The content of ``examples.json``."""

    retrieval: list[Retrieved]
    sampling: list[Sampled]


def examples(evaluation: Evaluation, dataset: Dataset, *, count: int = 6) -> Examples:
    """Choose examples and return them in the form of ``examples.json``.

    Queries are evenly spaced from the best rank to the worst, so that failures show. One video is
    normal; the rest are evenly spaced among the videos with a known anomaly.

    Args:
        evaluation: of ``dataset``.
        dataset: gives captions, times and ground truth.
        count: how many queries, and how many videos.
    """
    by_rank = np.argsort(evaluation.ranks[0].query_to_video.rank, kind="stable").tolist()
    return {
        "retrieval": [_retrieval(evaluation, dataset, q) for q in spread(by_rank, count)],
        "sampling": [
            _sampling(evaluation, dataset, video) for video in _videos(evaluation, dataset, count)
        ],
    }


def spread(values: Sequence[T], count: int) -> list[T]:
    """Return at most ``count`` of the values, evenly spaced, first and last among them."""
    places = np.linspace(0, len(values) - 1, min(count, len(values))).round().astype(int)
    return [values[place] for place in places]


def _retrieval(evaluation: Evaluation, dataset: Dataset, query: int) -> Retrieved:
    scores = evaluation.scores(query)
    right = evaluation.positives.of_query(query)
    content = dataset.query(evaluation.queries[query])
    top = scores.topk(min(5, len(scores)))
    return {
        "query": content if isinstance(content, str) else evaluation.queries[query],
        "video": evaluation.videos[int(evaluation.owner[query])],
        "rank": float(evaluation.ranks[0].query_to_video.rank[query]),
        "top": [
            {"video": evaluation.videos[v], "score": round(score, 4), "correct": v in right}
            for v, score in zip(top.indices.tolist(), top.values.tolist(), strict=True)
        ],
    }


def _videos(evaluation: Evaluation, dataset: Dataset, count: int) -> list[str]:
    anomalous: list[str] = []
    normal: list[str] = []  # or unknown
    for video in evaluation.curves:
        truth = dataset.truth(video)
        (anomalous if truth is not None and truth.any() else normal).append(video)
    rest = spread(normal, max(1, count - len(anomalous)))
    return [*spread(anomalous, count - min(1, len(rest))), *rest]


def _sampling(evaluation: Evaluation, dataset: Dataset, video: str) -> Sampled:
    curve, truth = evaluation.curves[video], dataset.truth(video)
    times = dataset.open(video).times
    return {
        "video": video,
        "seconds": round(float(times[-1, 1]), 3),
        "scores": [] if curve.scores is None else [round(float(s), 4) for s in curve.scores],
        "picks": {sampler: picks.tolist() for sampler, picks in curve.picks.items()},
        "truth": None if truth is None else truth.tolist(),
        "times": [[round(float(a), 3), round(float(b), 3)] for a, b in times],
    }
