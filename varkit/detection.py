"""How well detector and samplers find the anomaly, where ground truth is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from varkit.errors import DataError
from varkit.interfaces import Array, Dataset
from varkit.metrics import Report


@dataclass(frozen=True)
class Curve:
    """What the model made of one video's time line.

    Attributes:
        scores: (T,) anomaly confidence; None without a detector.
        picks: sampler -> (N,) the clips that it chose.
    """

    scores: Array | None
    picks: Mapping[str, NDArray[np.int64]]


def auc(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve, or None where one of the classes is empty.

    It is the probability that a clip with ``truth`` scores above one without; ties count half.

    Args:
        scores: (T,) confidence.
        truth: (T,) True = anomalous.

    >>> auc(np.array([0.1, 0.8, 0.8], dtype=np.float32), np.array([False, False, True]))
    0.75
    """
    positive = int(truth.sum())
    negative = len(truth) - positive
    if positive == 0 or negative == 0:
        return None
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    average_rank = np.cumsum(counts) - (counts - 1) / 2
    wins = average_rank[place][truth].sum() - positive * (positive + 1) / 2
    return float(wins / (positive * negative))


def detection(dataset: Dataset, curves: Mapping[str, Curve]) -> Report:
    """Measure detector and samplers on the videos whose ground truth is known.

    Args:
        dataset: knows the truth.
        curves: video -> what the model made of it.

    Returns:
        ``sampling``: sampler -> share of its picks inside the anomaly, over the videos that have
        one; ``detector``: ``auc`` over the ``clips`` of all. Either is left out where it has no
        meaning.

    Raises:
        DataError: ground truth and video differ in length.
    """
    scores: list[Array] = []
    truths: list[NDArray[np.bool_]] = []
    inside: dict[str, list[NDArray[np.bool_]]] = {}
    for video, curve in curves.items():
        truth = dataset.truth(video)
        if truth is None:
            continue
        if curve.scores is not None:
            if len(truth) != len(curve.scores):
                raise DataError(
                    f"{dataset.name}: video {video!r} has {len(curve.scores)} clips "
                    f"but ground truth for {len(truth)}"
                )
            scores.append(curve.scores)
            truths.append(truth)
        if truth.any():
            for sampler, picks in curve.picks.items():
                inside.setdefault(sampler, []).append(truth[picks])
    report: Report = {}
    if inside:
        report["sampling"] = {
            sampler: float(np.concatenate(picked).mean()) for sampler, picked in inside.items()
        }
    area = auc(np.concatenate(scores), np.concatenate(truths)) if scores else None
    if area is not None:
        report["detector"] = {"auc": area, "clips": sum(map(len, truths))}
    return report
