"""XML's ranking loss: one negative is drawn for each query and each video."""

from __future__ import annotations

import torch
from torch import Tensor

from varkit.interfaces import Count, Natural, NonNegative, Pairs


class SampledNegative:
    """The hinge over one negative video of each query and one negative query of each video.

    L = 1/B sum_i [s_{n(i) i} - s_ii + margin]_+ + [s_{i m(i)} - s_ii + margin]_+

    n(i) and m(i) are drawn from the negatives of query i and of video i, ordered by similarity:
    from all of them until epoch ``hard_from_epoch``, then from the ``hard_pool`` most similar.

    Source: Lei et al., TVR (arXiv 2001.09099), and jayleicn/TVRetrieval@d99a9ea,
    ``baselines/crossmodal_moment_localization/model_xml.py`` (``get_video_level_loss``).

    Differs from the code: the random numbers belong to the pairs, not to the batch, so the same
    pairs in another order have the same loss.

    Args:
        margin: Delta (XML: 0.1).
        hard_from_epoch: the first epoch, counted from 0, with hard negatives (XML: 20).
        hard_pool: how many of the most similar negatives are drawn from then on (XML: 20).
        mask_identical: leave out negatives whose query is identical to the positive's. Not in the
            paper.
    """

    def __init__(
        self,
        *,
        margin: NonNegative = 0.1,
        hard_from_epoch: Natural = 20,
        hard_pool: Count = 20,
        mask_identical: bool = False,
    ) -> None:
        self.margin = margin
        self.hard_from_epoch = hard_from_epoch
        self.hard_pool = hard_pool
        self.mask_identical = mask_identical

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors."""
        return self.dense(video @ query.T, pairs)

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity; 0 for B = 1.

        Args:
            similarity: (B, B), rows videos, columns queries.
            pairs: their random numbers, the epoch, and which have identical queries.
        """
        if self.mask_identical:
            excluded = pairs.group.unsqueeze(1) == pairs.group.unsqueeze(0)
        else:
            excluded = torch.eye(len(similarity), dtype=torch.bool, device=similarity.device)
        pool = (~excluded).sum(dim=1)
        if pairs.epoch >= self.hard_from_epoch:
            pool = pool.clamp(max=self.hard_pool)
        negatives = similarity.masked_fill(excluded, -torch.inf)
        positive = similarity.diagonal()
        # Of tied negatives any may be drawn: their scores are equal.
        drawn = (pairs.uniform * pool.unsqueeze(1)).long()
        video = negatives.T.sort(descending=True).values.gather(1, drawn[:, :1]).squeeze(1)
        query = negatives.sort(descending=True).values.gather(1, drawn[:, 1:]).squeeze(1)
        # A pair without any negative gets -inf, which the hinge turns into 0.
        hinge = (video - positive + self.margin).relu() + (query - positive + self.margin).relu()
        return hinge.mean()
