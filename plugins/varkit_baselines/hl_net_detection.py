"""HL-Net's detection heads: one sees the past only, one sees whole videos and teaches the first."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.segments import spread
from varkit.interfaces import Batch, Count, NonNegative, Representation
from varkit.system.distributed import global_mean


class OnlineHead(nn.Module):
    """Confidence of each clip, from that clip and the ones before it.

    z = CausalConv(ReLU(W2 ReLU(W1 X))),  confidence = σ(z);  its loss is :func:`top_k_loss`

    Source: Wu et al. (arXiv 2007.04687), and Roc-Ng/XDVioDet@f846d8c, ``model.py``, ``train.py``.

    Args:
        width: C, the channels it reads.
        hidden: widths of the two layers (64 and 32).
        kernel: clips the convolution spans; the current clip is the last (5).
        clips_per_pick: floor(T / this) + 1 clips stand for the video (16).
    """

    def __init__(
        self,
        width: int,
        *,
        hidden: tuple[Count, Count] = (64, 32),
        kernel: Count = 5,
        clips_per_pick: Count = 16,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise((width, *hidden)))
        self.convolution = nn.Conv1d(hidden[-1], 1, kernel)
        self.past = kernel - 1
        self.clips_per_pick = clips_per_pick
        for module in (*self.layers, self.convolution):
            nn.init.xavier_uniform_(module.weight)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, T, C)`` and a mask ``(B, T)`` to ``(B, T)`` in [0, 1], 0 in the padding."""
        # Real clips see only earlier ones, never the padding; zeroing it keeps NaN out.
        x = features.masked_fill(~mask.unsqueeze(-1), 0)
        for layer in self.layers:
            x = layer(x).relu()
        z = self.convolution(F.pad(x.transpose(1, 2), (self.past, 0))).squeeze(1)
        # Not in half precision, which cannot tell confidences near 0 and 1 apart.
        confidence: Tensor = z.to(torch.promote_types(z.dtype, torch.float32)).sigmoid()
        return confidence.masked_fill(~mask, 0)

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the () loss of ``(B, T)`` confidence against ``(B,)`` labels, NaN = unknown."""
        return top_k_loss(scores, mask, label, self.clips_per_pick)


class OfflineHead(nn.Module):
    """HL-Net's own detection as a pretext task: confidence from the graphs' output.

    y = Linear(H),  L = top_k_loss(σ(y)) - beta / B sum_b mean_t σ(y)_bt log σ(z)_bt,

    where z is the online head's, and the target σ(y) has no gradient. H is the video's tokens of
    all experts. They are linear in the graphs' output, so y is too, as in the code.

    Source: Wu et al. (arXiv 2007.04687), and Roc-Ng/XDVioDet@f846d8c, ``train.py``.

    Args:
        dim: D.
        experts: the E experts, the names of the video's tokens.
        distillation: beta (5).
        clips_per_pick: floor(T / this) + 1 clips stand for the video (16).
    """

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        distillation: NonNegative = 5.0,
        clips_per_pick: Count = 16,
    ) -> None:
        super().__init__()
        self.experts = tuple(experts)
        self.classify = nn.Linear(dim * len(experts), 1)
        self.distillation = distillation
        self.clips_per_pick = clips_per_pick

    def forward(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss of B pairs; without an online head there is nothing to distil."""
        tokens = torch.cat([video.tokens[expert] for expert in self.experts], dim=-1)
        mask = video.masks[self.experts[0]]
        y = self.classify(tokens).squeeze(-1)
        confidence = y.to(torch.promote_types(y.dtype, torch.float32)).sigmoid()
        confidence = confidence.masked_fill(~mask, 0)
        loss = top_k_loss(confidence, mask, batch.label, self.clips_per_pick)
        if video.scores is None:
            return loss
        real = batch.video.mask
        target = spread(confidence.detach(), real)
        # The padding has target 0 and a finite logarithm, so it adds 0.
        each = -(target * video.scores.clamp(min=SMALLEST).log()).sum(dim=1) / real.sum(dim=1)
        known = torch.ones_like(each, dtype=torch.bool)
        return loss + self.distillation * global_mean(each, known)


SMALLEST = 1e-30
"""Confidences are at least this when their logarithm is taken. It is σ(-69), so that even a very
wrong confidence has a gradient."""


def top_k_loss(scores: Tensor, mask: Tensor, label: Tensor, clips_per_pick: int) -> Tensor:
    """Return the cross-entropy of σ(mean of the k largest logits), k = floor(T / 16) + 1.

    Args:
        scores: ``(B, T)`` confidence, 0 in the padding.
        mask: ``(B, T)`` bool, True = a real clip.
        label: ``(B,)``, 1 = anomalous, 0 = normal, NaN = unknown.
        clips_per_pick: the 16 in k.

    Returns:
        ``()``, the mean over the videos whose label is known; 0 where none is.
    """
    length = mask.sum(dim=1, keepdim=True)
    k = (length // clips_per_pick + 1).minimum(length)
    # The padding scores 0, so it is never ahead of a real clip.
    below_one = 1 - torch.finfo(scores.dtype).eps / 2
    ranked = scores.clamp(SMALLEST, below_one).sort(dim=1, descending=True).values.logit()
    top = torch.arange(mask.shape[1], device=mask.device) < k
    z = ranked.masked_fill(~top, 0).sum(dim=1) / k.squeeze(1)
    known = ~label.isnan()
    # -y log σ(z) - (1 - y) log(1 - σ(z))
    return global_mean(F.softplus(z) - label.masked_fill(~known, 0) * z, known)
