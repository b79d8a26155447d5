"""my_part: a detector for varkit."""

import torch
from torch import Tensor, nn

from varkit import hookimpl
from varkit.interfaces import Count
from varkit.plugins.registry import Register


class MyPart(nn.Module):
    """Two layers on each clip; a video's confidence is the mean over its clips.

    Args:
        width: C, the channels that it reads.
        hidden: width of the hidden layer.
    """

    def __init__(self, width: int, *, hidden: Count = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, 1))

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T) confidence, 0 in the padding, of (B, T, C) features and a (B, T) mask."""
        confidence: Tensor = self.layers(features).squeeze(-1).sigmoid()
        return confidence.masked_fill(~mask, 0)

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the () squared error against (B,) labels; NaN labels do not count."""
        known = ~label.isnan()
        mean = scores.sum(dim=1) / mask.sum(dim=1)
        errors = torch.where(known, mean - label.nan_to_num(), 0).square()
        return errors.sum() / known.sum().clamp(min=1)


@hookimpl
def register_detectors(register: Register) -> None:
    """Register the detector."""
    register("my_part", MyPart, summary="two layers over each clip alone")
