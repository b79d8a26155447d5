"""Oracle sampling: clips of the true anomaly, as if the detector were perfect."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varkit.data.collate import segment_edges
from varkit.interfaces import Count, Draws
from varkit_alan.fixed_frame import FixedFrame


class Oracle:
    """N independent uniform draws, with replacement, from the clips that are truly anomalous.

    A video without an anomaly, or without ground truth, is sampled as by ``fixed_frame``. The
    benchmarks publish ground truth for their test videos only, so all training there is as with
    ``fixed_frame``. A sound is anomalous where its video is. The results are not retrieval results:
    they show how much a better detector could gain.

    Args:
        truth: video, or sound -> ``(T,)`` True = anomalous, or None.
        count: N (ALAN IV-B: 50).
    """

    def __init__(
        self, truth: Callable[[str], NDArray[np.bool_] | None], *, count: Count = 50
    ) -> None:
        self.truth = truth
        self.count = count
        self.elsewhere = FixedFrame(count=count)

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return ``(B, N)`` ascending clips; see :class:`varkit.interfaces.Sampler`."""
        picks = self.elsewhere(scores, mask, draws, training=training)
        u = draws.uniform(self.count)
        for b, (item, length) in enumerate(zip(draws.items, mask.sum(dim=1).tolist(), strict=True)):
            truth = self.truth(item)
            if truth is not None and truth.any():
                inside = torch.from_numpy(np.flatnonzero(resampled(truth, length)))
                chosen = inside[(u[b] * len(inside)).long()]
                picks[b] = chosen.sort().values.to(picks.device)
        return picks


def resampled(truth: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Resample ``(T,)`` ground truth to ``(length,)`` clips.

    A long video's clips may be averages over equal segments
    (:func:`varkit.data.collate.segment_means`). Such a clip is anomalous if any clip of its segment
    is, so no anomaly is lost. Where a sound has more clips than its video, each takes the value of
    the video's clip at the same place.
    """
    edges = segment_edges(len(truth), length)
    before = np.concatenate([[0], truth.cumsum()])
    anomalous: NDArray[np.bool_] = (
        before[np.maximum(edges[1:], edges[:-1] + 1)] > before[edges[:-1]]
    )
    return anomalous
