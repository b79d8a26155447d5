"""NetVLAD: a set of vectors is pooled by its residuals to soft cluster centres."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from varkit.blocks.batch_statistics import expect_batch
from varkit.blocks.unit import unit


class NetVlad(nn.Module):
    """Soft assignment to K clusters; per cluster, the sum of the residuals.

    a = softmax(BN(x A)) over K + G, of which the G ghosts are dropped;
    V_k = sum_t a_tk (x_t - c_k);  each V_k, then all of V, is scaled to length 1

    Source: Arandjelovic et al. 2016 (arXiv 1511.07247), with the ghosts of Zhong et al. 2018
    (arXiv 1810.09951), as used by Collaborative Experts, albanie/collaborative-experts@7eb3b9d,
    ``model/net_vlad.py``. The output is D-major: element d K + k is coordinate d of cluster k.

    Differs from the code, which ignores the mask, so padding is pooled and counts in the batch
    statistics. ``mask_padding=False`` does the same; the padding's content then matters.

    Args:
        dim: D, of the vectors.
        clusters: K.
        ghosts: G, clusters that absorb vectors and are then dropped.
        mask_padding: leave padding out of the sums and of the batch statistics.
    """

    def __init__(
        self, dim: int, clusters: int, *, ghosts: int = 0, mask_padding: bool = True
    ) -> None:
        super().__init__()
        self.mask_padding = mask_padding
        self.assignment = nn.Parameter(torch.randn(dim, clusters + ghosts) / dim**0.5)
        self.centres = nn.Parameter(torch.randn(dim, clusters) / dim**0.5)
        self.norm = nn.BatchNorm1d(clusters + ghosts)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, L, D)`` with a mask ``(B, L)`` to ``(B, D K)``; a row with no vector gives 0.

        Raises:
            VarkitError: training on a single vector, which has no batch statistics.
        """
        real = mask if self.mask_padding else torch.ones_like(mask)
        return pool(x, soft_assign(x, real, self.assignment, self.norm), self.centres)


def soft_assign(x: Tensor, mask: Tensor, assignment: Tensor, norm: nn.BatchNorm1d) -> Tensor:
    """Return how much each vector belongs to each cluster.

    Args:
        x: ``(B, L, D)``.
        mask: ``(B, L)``.
        assignment: ``(D, K + G)``.
        norm: of the logits; its statistics are over the real vectors.

    Returns:
        ``(B, L, K + G)``, rows sum to 1; 0 where the mask is False.

    Raises:
        VarkitError: training on a single vector, which has no batch statistics.
    """
    rows = x[mask]
    if norm.training:
        expect_batch("netvlad", len(rows))
    share: Tensor = norm(rows @ assignment).softmax(dim=-1)
    return share.new_zeros(*mask.shape, share.shape[-1]).masked_scatter(mask.unsqueeze(-1), share)


def pool(x: Tensor, share: Tensor, centres: Tensor) -> Tensor:
    """Sum the residuals of each cluster and scale them.

    Args:
        x: ``(B, L, D)``; vectors whose shares are all 0 do not count, whatever they hold.
        share: ``(B, L, K + G)``; the last G are dropped.
        centres: ``(D, K)``.

    Returns:
        ``(B, D K)``, of length 1, or 0 where nothing was assigned.
    """
    share = share[..., : centres.shape[1]]
    x = x.masked_fill(share.sum(dim=-1, keepdim=True) == 0, 0.0)
    residual = x.transpose(1, 2) @ share - share.sum(dim=1, keepdim=True) * centres
    per_cluster = unit(residual.transpose(1, 2)).transpose(1, 2)
    return unit(per_cluster.flatten(1))
