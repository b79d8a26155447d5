"""Random sampling, the control for sampling by anomaly confidence."""

from __future__ import annotations

from torch import Tensor

from varkit.interfaces import Count, Draws


class Random:
    """N independent uniform draws, with replacement, in training and in evaluation.

    It equals anomaly-led sampling (ALAN Eq. 1) with the same confidence everywhere.

    Args:
        count: N (ALAN IV-B: 50).
    """

    def __init__(self, *, count: Count = 50) -> None:
        self.count = count

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return ``(B, N)`` ascending clips; see :class:`varkit.interfaces.Sampler`."""
        length = mask.sum(dim=1, keepdim=True)
        u = draws.uniform(self.count).to(mask.device)
        return (u * length).long().sort(dim=1).values
