"""Oracle sampling: clips of the true anomaly, the most that any detector could give a sampler."""

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

    A video without an anomaly, or of which nobody knows, is sampled as ``fixed_frame`` does.
    Published ground truth covers the benchmarks' test videos alone: there, training is
    ``fixed_frame`` throughout. A sound is anomalous where its video is. No result of this sampler
    is one of retrieval: it shows what a better detector could bring.

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
                inside = torch.from_numpy(np.flatnonzero(over(truth, length)))
                chosen = inside[(u[b] * len(inside)).long()]
                picks[b] = chosen.sort().values.to(picks.device)
        return picks


def over(truth: NDArray[np.bool_], length: int) -> NDArray[np.bool_]:
    """Return ``(length,)`` truth of a time line that is cut otherwise than the ground truth's.

    A long video's clips may be averages over equal segments
    (:func:`varkit.data.collate.segment_means`); such a clip is anomalous if any clip of its segment
    is, so that no anomaly is lost. Where a sound has more clips than its video, each is what the
    video's clip at its place is.
    """
    edges = segment_edges(len(truth), length)
    before = np.concatenate([[0], truth.cumsum()])
    anomalous: NDArray[np.bool_] = (
        before[np.maximum(edges[1:], edges[:-1] + 1)] > before[edges[:-1]]
    )
    return anomalous
