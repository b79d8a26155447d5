"""ALAN's anomaly detector: three temporal convolutions, trained by the label of the whole video."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from varkit.errors import VarkitError
from varkit.interfaces import Count, Rate
from varkit.system.distributed import global_mean


class TemporalConvolution(nn.Module):
    """Confidence that each clip is anomalous (ALAN III-C and IV-B).

    l = σ(Conv(Drop(ReLU(Conv(Drop(ReLU(Conv(F)))))))),  C -> 128 -> 32 -> 1 channels

    Only the label y of a whole video is known, so the k most confident clips stand for it:

    ρ = mean of the k largest l,  k = floor(T / 16)                        (ALAN, Eq. 7)
    L = -y log ρ - (1 - y) log(1 - ρ)                                      (ALAN, Eq. 8)

    Args:
        width: C, the channels it reads.
        hidden: channels of the hidden layers (ALAN IV-B: 128 and 32).
        kernel: clips a convolution spans, odd (ALAN IV-B: 7).
        dropout: after each hidden layer (ALAN IV-B: 0.6).
        clips_per_pick: ρ averages one clip in this many (ALAN IV-B: 16).
        plus_one: k = floor(T / 16) + 1, as the authors' other detectors (HL-Net, VadCLIP) do.
            False: k = max(1, floor(T / 16)); the paper's k is 0 for T < 16.

    Raises:
        VarkitError: the kernel is even, so a convolution would have no middle clip.
    """

    smallest = 1e-6
    """ρ is kept this far from 0 and 1, where the loss would be infinite."""

    def __init__(
        self,
        width: int,
        *,
        hidden: tuple[Count, ...] = (128, 32),
        kernel: Count = 7,
        dropout: Rate = 0.6,
        clips_per_pick: Count = 16,
        plus_one: bool = False,
    ) -> None:
        super().__init__()
        if kernel % 2 == 0:
            raise VarkitError(
                f"temporal_convolution: kernel must be odd, got {kernel}",
                hint=f"set detector.kernel={kernel + 1}",
            )
        sizes = (width, *hidden, 1)
        self.convolutions = nn.ModuleList(
            nn.Conv1d(a, b, kernel, padding=kernel // 2) for a, b in pairwise(sizes)
        )
        self.dropout = nn.Dropout(dropout)
        self.clips_per_pick = clips_per_pick
        self.plus_one = plus_one

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return the confidence of every clip.

        Args:
            features: ``(B, T, C)``.
            mask: ``(B, T)`` bool, True = a real clip.

        Returns:
            ``(B, T)`` in [0, 1], 0 in the padding.
        """
        padding = ~mask.unsqueeze(1)
        # Padding is 0 before every layer, as the convolution's own border is: a hidden bias would
        # otherwise leak from the padding into the last clips.
        x = features.transpose(1, 2).masked_fill(padding, 0)
        for layer, convolution in enumerate(self.convolutions):
            if layer > 0:
                x = self.dropout(x.relu()).masked_fill(padding, 0)
            x = convolution(x)
        # Not in half precision, which cannot tell confidences near 0 and 1 apart.
        confidence = x.squeeze(1).to(torch.promote_types(x.dtype, torch.float32)).sigmoid()
        return confidence.masked_fill(~mask, 0)

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the mean of ALAN's Eq. 8 over the videos whose label is known.

        Args:
            scores: ``(B, T)`` confidence, 0 in the padding.
            mask: ``(B, T)`` bool, True = a real clip.
            label: ``(B,)``, 1 = anomalous, 0 = normal, NaN = unknown.

        Returns:
            ``()``; 0 where no label is known.
        """
        length = mask.sum(dim=1, keepdim=True)
        k = length // self.clips_per_pick
        k = (k + 1).minimum(length) if self.plus_one else k.clamp(min=1)
        # The padding scores 0, so it is never ahead of a real clip.
        ranked = scores.sort(dim=1, descending=True).values
        top = torch.arange(mask.shape[1], device=mask.device) < k
        rho = ranked.masked_fill(~top, 0).sum(dim=1) / k.squeeze(1)
        # Written out, since torch refuses its own binary cross-entropy under mixed precision.
        rho = rho.clamp(self.smallest, 1 - self.smallest)
        known = ~label.isnan()
        y = label.masked_fill(~known, 0)
        each = -(y * rho.log() + (1 - y) * (1 - rho).log())
        return global_mean(each, known)
