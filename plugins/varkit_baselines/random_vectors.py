"""Random vectors: the chance level, measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from varkit.blocks.unit import unit
from varkit.interfaces import Captions, Clips, Draws, Representation


class RandomVectors(nn.Module):
    """One random unit vector per expert, seeded by the name of a video or sound, or by a caption.

    v_e ~ uniform on the sphere,  w_e = 1 / E

    Two items have the same vectors if they are the same clips with the same seed, or the same
    caption. Results must match the chance level that every run reports; if they do not, the
    measurement is wrong.

    It has no parameters. Train it with a loss that has one, such as the temperature of
    ``info_nce``, ``learned: true``.

    Args:
        dim: D.
        experts: the E experts.
        consumes: ``clips`` of videos or sounds, or ``captions``.
    """

    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        consumes: Literal["clips", "captions"] = "clips",
    ) -> None:
        super().__init__()
        self.consumes = consumes
        self.shape = (len(experts), dim)

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Make each of B captions one token."""
        length = torch.tensor([[len(text)] for text in texts])
        return Captions(
            texts=tuple(texts),
            ids=torch.zeros_like(length),
            mask=torch.ones_like(length, dtype=torch.bool),
            words=length > 0,
            offsets=torch.stack([torch.zeros_like(length), length], dim=-1),
        )

    def forward(self, inputs: Clips | Captions) -> Representation:
        """Draw for B videos, sounds or captions.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, both under ``cls`` and ``avg``.
        """
        if isinstance(inputs, Clips):
            # A sound may have the name of its video; its stream names tell them apart.
            draws = inputs.draws.named(*inputs.streams)
        else:
            draws = Draws(0, inputs.texts)
        rows = [draws.numpy(b).standard_normal(self.shape) for b in range(len(inputs))]
        vectors = unit(torch.from_numpy(np.stack(rows)).to(inputs.mask.device, torch.float32))
        weights = torch.full_like(vectors[..., 0], 1 / len(vectors[0]))
        names = ("cls", "avg")
        return Representation(
            vectors=dict.fromkeys(names, vectors), weights=dict.fromkeys(names, weights)
        )
