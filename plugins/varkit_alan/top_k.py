"""Top-k sampling: the most anomalous clips, without chance."""

from __future__ import annotations

import torch
from torch import Tensor

from varkit.errors import VarkitError
from varkit.interfaces import Count, Draws


class TopK:
    """The N clips with the highest anomaly confidence; ties go to the earlier clip.

    It is the limit of ALAN Eq. 1 for τ → 0, but without replacement. A video with T < N gives all
    its clips and repeats the most anomalous ones.

    Args:
        count: N (ALAN IV-B: 50).
    """

    def __init__(self, *, count: Count = 50) -> None:
        self.count = count

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return ``(B, N)`` ascending clips; see :class:`varkit.interfaces.Sampler`.

        Raises:
            VarkitError: there are no scores, since the recipe has no detector.
        """
        if scores is None:
            raise VarkitError(
                "top_k: no anomaly confidence to choose by: the recipe has no detector",
                hint="add a detector: section to the recipe, e.g. {use: temporal_convolution}",
            )
        ranking = scores.masked_fill(~mask, -torch.inf).argsort(dim=1, descending=True, stable=True)
        length = mask.sum(dim=1, keepdim=True)
        places = torch.arange(self.count, device=mask.device) % length
        return ranking.gather(1, places).sort(dim=1).values
