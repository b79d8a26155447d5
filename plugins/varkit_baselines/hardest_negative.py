"""The ranking loss of VSE++ and T2VLAD: only the hardest negative counts."""

from __future__ import annotations

import torch
from torch import Tensor

from varkit.interfaces import NonNegative, Pairs


class HardestNegative:
    """The hinge over the most similar negative of each video and of each query.

    L = 1/B sum_i max_{j != i} [s_ij - s_ii + margin]_+ + max_{j != i} [s_ji - s_ii + margin]_+

    Source: Faghri et al., VSE++ (arXiv 1707.05612), and Wang et al., T2VLAD (arXiv 2104.10054) with
    PaddlePaddle/PaddleVideo@ed245e9c, ``applications/T2VLAD`` (``topk`` 1).

    Equally hard negatives share the gradient, so the order of a batch changes nothing.

    Args:
        margin: Delta (T2VLAD: 0.2).
        mask_identical: leave out negatives whose query is identical to the positive's. They would
            always be the hardest. Not in the papers.
    """

    def __init__(self, *, margin: NonNegative = 0.2, mask_identical: bool = False) -> None:
        self.margin = margin
        self.mask_identical = mask_identical

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors."""
        return self.dense(video @ query.T, pairs)

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity; 0 for B = 1.

        Args:
            similarity: (B, B), rows videos, columns queries.
            pairs: which of them have identical queries.
        """
        positive = similarity.diagonal()
        to_query = (similarity - positive.unsqueeze(1) + self.margin).relu()  # s_ij - s_ii
        to_video = (similarity - positive.unsqueeze(0) + self.margin).relu()  # s_ji - s_ii
        if self.mask_identical:
            excluded = pairs.group.unsqueeze(1) == pairs.group.unsqueeze(0)
        else:
            excluded = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        hardest_query = to_query.masked_fill(excluded, 0.0).amax(dim=1)
        hardest_video = to_video.masked_fill(excluded, 0.0).amax(dim=0)
        return (hardest_query + hardest_video).mean()
