"""The simplest encoder of clips, which every method should beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from varkit.blocks.pooling import masked_mean
from varkit.blocks.streams import even_weights, expect_streams
from varkit.interfaces import Clips, Representation


class MeanPool(nn.Module):
    """The mean of all clips of a stream, projected: one vector per expert.

    v_e = Linear_e(mean_t F_e[t]),  w_e = 1 / E

    The vector of an expert that a video lacks is 0, and so is its weight.

    It serves videos, with a stream for every expert, and sounds, whose one stream is projected
    once for every expert.

    Args:
        dim: D.
        experts: the E experts.
        widths: of the streams, by name.
        vectors: the names under which the same vectors appear, so that another method's recipe can
            keep its alignments.

    Raises:
        VarkitError: a stream of an expert is missing.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        *,
        vectors: tuple[str, ...] = ("cls", "avg"),
    ) -> None:
        super().__init__()
        # The stream that each expert reads.
        self.sources = tuple(experts) if len(widths) != 1 else tuple(widths) * len(experts)
        expect_streams("mean_pool", self.sources, widths)
        self.vectors = vectors
        self.project = nn.ModuleList(nn.Linear(widths[source], dim) for source in self.sources)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos or sounds.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, the same under every name.
        """
        names = dict.fromkeys(self.sources)
        means = {name: masked_mean(clips.features(name), clips.mask) for name in names}
        projected = [
            linear(means[source]) for linear, source in zip(self.project, self.sources, strict=True)
        ]
        has = clips.has(self.sources)
        vectors = torch.stack(projected, dim=1).masked_fill(~has.unsqueeze(-1), 0)
        weights = even_weights(has, vectors)
        return Representation(
            vectors=dict.fromkeys(self.vectors, vectors),
            weights=dict.fromkeys(self.vectors, weights),
        )
