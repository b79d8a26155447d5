"""The gated embedding unit: one vector of a query becomes one vector for an expert."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from varkit.blocks.batch_statistics import expect_batch
from varkit.blocks.unit import unit

GateNorm = Literal["batch", "layer"]

LAYER = (
    "gate_norm=layer where the method has its units: query.gate_norm=layer, "
    "video.gate_norm=layer or alignments.NAME.gate_norm=layer"
)
"""How to do without batch statistics; a unit does not know whose part it is."""


class GatedEmbedding(nn.Module):
    """Project, gate each coordinate by all the others, and scale to length 1.

    z = W'x + b',  y = z ∘ σ(norm(Wz + b)),  output y / |y|   (ALAN III-D, "GEU")

    ALAN names the unit and its source only; batch normalisation in the gate and the unit length
    are not in the paper; as in MMT ("gbn").

    Args:
        width_in: of x.
        width_out: of z and of the output.
        norm: of the gate; ``layer`` for batches too small for batch statistics.
    """

    def __init__(self, width_in: int, width_out: int, norm: GateNorm = "batch") -> None:
        super().__init__()
        self.project = nn.Linear(width_in, width_out)
        self.gate = nn.Linear(width_out, width_out)
        self.norm = nn.BatchNorm1d(width_out) if norm == "batch" else nn.LayerNorm(width_out)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(B, width_in)`` to unit vectors ``(B, width_out)``.

        Raises:
            VarkitError: batch normalisation was asked to train on a batch of one.
        """
        if self.training and isinstance(self.norm, nn.BatchNorm1d):
            expect_batch("gated embedding", len(x), instead=LAYER)
        z = self.project(x)
        return unit(z * torch.sigmoid(self.norm(self.gate(z))))
