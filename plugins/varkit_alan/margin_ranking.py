"""ALAN's ranking loss: every negative of the batch, in both directions."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from varkit.types import NonNegative


class MarginRanking:
    """The hinge over all negatives of a batch (ALAN, Eq. 6).

    L = 1/B sum_i sum_{j != i} [s_ij - s_ii + margin]_+ + [s_ji - s_ii + margin]_+

    Args:
        margin: Delta (ALAN IV-B: 0.05).
        reduction: ``paper`` = divide by B, Eq. 6 to the letter. ``mean`` = divide by the number
            of terms, 2B(B-1) without masking, as MMT does; this is 2(B-1) times less, so the
            weights of the other losses mean something else.
        mask_identical: leave out negatives whose query is literally the positive's. Not in the
            paper; benchmarks repeat a few captions.
    """

    def __init__(
        self,
        *,
        margin: NonNegative = 0.05,
        reduction: Literal["paper", "mean"] = "paper",
        mask_identical: bool = False,
    ) -> None:
        self.margin = margin
        self.reduction = reduction
        self.mask_identical = mask_identical

    def factored(self, video: Tensor, query: Tensor, group: Tensor) -> Tensor:
        """Return the () loss of (B, K) factor vectors, in at least fp32."""
        dtype = torch.promote_types(video.dtype, torch.float32)
        with torch.autocast(video.device.type, enabled=False):
            return self.dense(video.to(dtype) @ query.to(dtype).T, group)

    def dense(self, similarity: Tensor, group: Tensor) -> Tensor:
        """Return the () loss of a (B, B) similarity; 0 for B = 1.

        Args:
            similarity: (B, B), rows videos, columns queries.
            group: (B,) int64, equal where two queries are literally the same.
        """
        count = len(similarity)
        positive = similarity.diagonal()
        to_query = (similarity - positive.unsqueeze(1) + self.margin).relu()  # s_ij - s_ii
        to_video = (similarity - positive.unsqueeze(0) + self.margin).relu()  # s_ji - s_ii
        if self.mask_identical:
            negative = group.unsqueeze(1) != group.unsqueeze(0)
        else:
            negative = ~torch.eye(count, dtype=torch.bool, device=similarity.device)
        total = (to_query + to_video).masked_fill(~negative, 0.0).sum()
        if self.reduction == "paper":
            return total / count
        return total / (2 * negative.sum()).clamp(min=1)
