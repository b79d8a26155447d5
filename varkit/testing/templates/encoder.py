"""my_part: an encoder for varkit."""

from collections.abc import Mapping
from typing import ClassVar, Literal

import torch
from torch import nn

from varkit import hookimpl
from varkit.interfaces import Clips, Rate, Representation
from varkit.plugins.registry import Register


class MyPart(nn.Module):
    """The projected mean of every expert's stream.

    Args:
        dim: D.
        experts: the names of the E experts, each of which reads the stream of its name.
        widths: the width of each stream.
        dropout: on the means.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: None = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        *,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        self.experts = experts
        self.project = nn.ModuleList(nn.Linear(widths[expert], dim) for expert in experts)
        self.dropout = nn.Dropout(dropout)

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos to vectors (B, E, D)."""
        length = clips.mask.sum(dim=1, keepdim=True)
        vectors = []
        for expert, project in zip(self.experts, self.project, strict=True):
            real = clips.features(expert).masked_fill(~clips.mask.unsqueeze(-1), 0)
            vectors.append(project(self.dropout(real.sum(dim=1) / length)))
        return Representation(vectors={"avg": torch.stack(vectors, dim=1)})


@hookimpl
def register_encoders(register: Register) -> None:
    """Register the encoder."""
    register("my_part", MyPart, summary="the projected mean of every stream")
