"""The gated embedding unit: one vector of a query becomes one vector for an expert."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from varkit.blocks.unit import unit
from varkit.errors import VarkitError

GateNorm = Literal["batch", "layer"]


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
        if self.training and len(x) == 1 and isinstance(self.norm, nn.BatchNorm1d):
            raise VarkitError(
                "gated embedding: batch normalisation cannot train on a batch of 1",
                hint="set query.gate_norm=layer, or train.batch_size to at least 2",
            )
        z = self.project(x)
        return unit(z * torch.sigmoid(self.norm(self.gate(z))))
