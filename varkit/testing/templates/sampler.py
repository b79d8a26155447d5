"""my_part: a sampler for varkit."""

import torch
from torch import Tensor

from varkit import hookimpl
from varkit.interfaces import Count, Draws
from varkit.plugins.registry import Register


class MyPart:
    """N evenly spaced clips.

    Args:
        count: N.
    """

    def __init__(self, *, count: Count = 16) -> None:
        self.count = count

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return (B, N) int64 positions of real clips, ascending."""
        length = mask.sum(dim=1, keepdim=True)
        return torch.arange(self.count, device=mask.device) * length // self.count


@hookimpl
def register_samplers(register: Register) -> None:
    """Register the sampler."""
    register("my_part", MyPart, summary="N clips, evenly spread")
