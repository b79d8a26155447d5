"""How well the detector and the samplers find the anomaly, given ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np
from numpy.typing import NDArray

from varkit.data.collate import segment_edges
from varkit.errors import DataError
from varkit.evaluation.metrics import Report
from varkit.interfaces import Array, Dataset

DETECTION = ("detector", "sampling", "sampling_uniform", "sampling_oracle")
"""Keys of :func:`detection`'s report."""


@dataclass(frozen=True)
class Curve:
    """The scores and picks of one video over time.

    Attributes:
        scores: (T,) anomaly confidence; None without a detector.
        picks: sampler -> (N,) the clips that it chose.
    """

    scores: Array | None
    picks: Mapping[str, NDArray[np.int64]]

    def over(self, length: int, count: int) -> Curve:
        """Expand a curve over ``count`` segments to the T = ``length`` clips of the video.

        Every clip gets its segment's score; a picked segment becomes its middle clip.
        """
        edges = segment_edges(length, count)
        scores = None if self.scores is None else np.repeat(self.scores, np.diff(edges))
        middle = (edges[:-1] + edges[1:]) // 2
        return Curve(scores, {name: middle[picks] for name, picks in self.picks.items()})


def auc(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the ROC curve, or None if one class is empty.

    It is the probability that an anomalous clip scores above a normal one; ties count half.

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


def average_precision(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> float | None:
    """Return the area under the precision-recall curve, or None if one class is empty.

    The curve is a step function, as in scikit-learn: the precision at every distinct score,
    weighted by the recall gained there. A detector that knows nothing has the share of positives.

    Args:
        scores: (T,) confidence.
        truth: (T,) True = anomalous.

    >>> average_precision(np.array([0.1, 0.8, 0.8], np.float32), np.array([False, False, True]))
    0.5
    """
    if truth.all() or not truth.any():
        return None
    _, place, counts = np.unique(-scores, return_inverse=True, return_counts=True)
    hits = np.bincount(place, weights=truth)  # at each distinct score, from the highest
    precision = np.cumsum(hits) / np.cumsum(counts)
    return float((precision * hits).sum() / truth.sum())


def detection(dataset: Dataset, curves: Mapping[str, Curve]) -> Report:
    """Measure detector and samplers on the videos with ground truth.

    Args:
        dataset: gives the ground truth.
        curves: video -> its scores and picks.

    Returns:
        Those keys of :data:`DETECTION` that apply.

        ``detector``: over the clips of all videos, ``auc``, ``ap`` (average precision), ``clips``
        and ``anomalous``, the share of anomalous clips, which is the ``ap`` of a detector that
        knows nothing. ``abnormal`` holds the same over only the videos with an anomaly, because
        it is easier to tell videos apart than to find the moment.

        ``sampling``: sampler -> share of its picks inside the anomaly, over the videos that have
        one. On the same videos, ``sampling_uniform`` is the expected share of uniform picks, and
        ``sampling_oracle``: sampler -> the largest possible share if no clip is picked twice.

    Raises:
        DataError: ground truth and video differ in length, or a confidence is not finite.
    """
    known = {video: truth for video in curves if (truth := dataset.truth(video)) is not None}
    for video, truth in known.items():
        _check(dataset, video, curves[video], truth)
    abnormal = {video: truth for video, truth in known.items() if truth.any()}
    report: Report = {}
    detector = _detector(curves, known)
    if detector:
        inside = _detector(curves, abnormal)
        report["detector"] = {**detector, "abnormal": inside} if inside else detector
    samplers = sorted({name for video in abnormal for name in curves[video].picks})
    if samplers:
        report |= _sampling(curves, abnormal, samplers)
    return report


def _detector(curves: Mapping[str, Curve], truths: Mapping[str, NDArray[np.bool_]]) -> Report:
    videos = [video for video in truths if curves[video].scores is not None]
    if not videos:
        return {}
    scores = np.concatenate([curves[video].scores for video in videos])
    truth = np.concatenate([truths[video] for video in videos])
    area, precision = auc(scores, truth), average_precision(scores, truth)
    if area is None or precision is None:
        return {}
    share = float(truth.mean())
    return {"auc": area, "ap": precision, "clips": len(truth), "anomalous": share}


def _sampling(
    curves: Mapping[str, Curve], truths: Mapping[str, NDArray[np.bool_]], samplers: Sequence[str]
) -> Report:
    shares: dict[str, float] = {}
    oracle: dict[str, float] = {}
    for sampler in samplers:
        inside, best = [], []
        for video, truth in truths.items():
            picks = curves[video].picks[sampler]
            different = min(len(picks), len(truth))
            inside.append(float(truth[picks].mean()))
            best.append(min(int(truth.sum()), different) / different)
        shares[sampler], oracle[sampler] = fmean(inside), fmean(best)
    uniform = fmean(float(truth.mean()) for truth in truths.values())
    return {"sampling": shares, "sampling_uniform": uniform, "sampling_oracle": oracle}


def _check(dataset: Dataset, video: str, curve: Curve, truth: NDArray[np.bool_]) -> None:
    where = f"{dataset.name}: video {video!r}"
    if curve.scores is not None:
        if len(truth) != len(curve.scores):
            raise DataError(
                f"{where} has {len(curve.scores)} clips but ground truth for {len(truth)}"
            )
        if not np.isfinite(curve.scores).all():
            raise DataError(f"{where}: the detector's confidence is not finite")
    last = max((int(picks.max()) for picks in curve.picks.values()), default=0)
    if last >= len(truth):
        raise DataError(
            f"{where}: clip {last} was picked, but there is ground truth for {len(truth)} clips"
        )
