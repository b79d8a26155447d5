"""Letting samplers choose clips, and taking what they chose."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from varkit.errors import PluginError
from varkit.interfaces import Clips, Sampler
from varkit.interfaces.checks import expect_shape


def draw(
    samplers: Mapping[str, Sampler], scores: Tensor | None, clips: Clips, *, training: bool
) -> dict[str, Tensor]:
    """Let every sampler choose clips; each gets random numbers of its own.

    Args:
        samplers: by name.
        scores: ``(B, T)`` confidence. Samplers see it without its gradient: a pick is an index.
        clips: B videos or sounds.
        training: whether the model is being trained.

    Returns:
        Name -> ``(B, N)`` int64.

    Raises:
        PluginError: a sampler returned something else than positions of real clips.
    """
    scores = None if scores is None else scores.detach()
    length = clips.mask.sum(dim=1, keepdim=True)
    picks = {}
    for name, sampler in samplers.items():
        chosen = sampler(scores, clips.mask, clips.draws.named(name), training=training)
        expect_shape(chosen, (len(clips), "N"), f"samplers.{name}: its choice")
        if chosen.dtype != torch.int64 or bool(((chosen < 0) | (chosen >= length)).any()):
            raise PluginError(
                f"samplers.{name}: must choose int64 positions of real clips; it chose "
                f"{chosen.dtype} from {chosen.min()} to {chosen.max()}",
                hint="varkit plugin test NAME|FILE checks a component against its interface",
            )
        picks[name] = chosen
    return picks


def gather(features: Tensor, picks: Tensor) -> Tensor:
    """Take ``(B, N, C)`` of ``(B, T, C)`` at ``(B, N)``."""
    return features.gather(1, picks.unsqueeze(-1).expand(-1, -1, features.shape[-1]))
