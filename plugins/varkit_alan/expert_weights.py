"""The experts' weights for a query, and the query head that uses them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from varkit.blocks.gated_embedding import GatedEmbedding, GateNorm

WeightsFrom = Literal["gated", "ungated"]
WeightSets = Literal["shared", "separate"]


class ExpertWeights(nn.Module):
    """One score per expert, softmax over the experts (ALAN, below Eq. 3).

    (w_1, ..., w_E) = softmax(Linear_1(x_1), ..., Linear_E(x_E))

    Args:
        width: of every x_k.
        experts: E.
    """

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.score = nn.ModuleList(nn.Linear(width, 1) for _ in range(experts))

    def forward(self, x: Tensor) -> Tensor:
        """Map one vector per expert, ``(B, E, width)``, to ``(B, E)`` with rows that sum to 1."""
        scores = [score(x[:, k]) for k, score in enumerate(self.score)]
        return torch.cat(scores, dim=-1).softmax(dim=-1)


class GatedExperts(nn.Module):
    """The head of a query encoder, for text and audio alike (ALAN III-D).

    g^{qk} = GEU_k^g(g^q),  h^{qk} = GEU_k^h(h^q),  and the weights w_k of Eq. 3 and 4.

    ALAN's Fig. 4 draws separate units for g and h.

    Args:
        width_in: of g^q and h^q.
        dim: D, of the expert vectors.
        experts: E.
        gate_norm: of the units' gates; see :class:`GatedEmbedding`.
        weights_from: ``gated`` = the expert vectors g^{qk}, as the text below Eq. 3 says;
            ``ungated`` = g^q itself, as in MMT.
        weights: ``shared`` = w from g^q serves Eq. 3 and Eq. 4, which use the same symbol;
            ``separate`` = Eq. 4 has weights of its own, from h^q.
    """

    def __init__(
        self,
        width_in: int,
        dim: int,
        experts: int,
        *,
        gate_norm: GateNorm = "batch",
        weights_from: WeightsFrom = "gated",
        weights: WeightSets = "shared",
    ) -> None:
        super().__init__()
        self.experts = experts
        self.weights_from = weights_from
        self.cls = nn.ModuleList(GatedEmbedding(width_in, dim, gate_norm) for _ in range(experts))
        self.avg = nn.ModuleList(GatedEmbedding(width_in, dim, gate_norm) for _ in range(experts))
        width = dim if weights_from == "gated" else width_in
        names = ("cls",) if weights == "shared" else ("cls", "avg")
        self.weights = nn.ModuleDict({name: ExpertWeights(width, experts) for name in names})

    def forward(self, g: Tensor, h: Tensor) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Give every expert its vectors and its weights.

        Args:
            g: ``(B, width_in)``, the query's CLS vector.
            h: ``(B, width_in)``, the mean of the query's tokens.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, both under ``"cls"`` and ``"avg"``.
        """
        plain = {"cls": g, "avg": h}
        vectors = {
            "cls": torch.stack([gated(g) for gated in self.cls], dim=1),
            "avg": torch.stack([gated(h) for gated in self.avg], dim=1),
        }
        weights = {}
        for name, module in self.weights.items():
            ungated = plain[name].unsqueeze(1).expand(-1, self.experts, -1)
            weights[name] = module(vectors[name] if self.weights_from == "gated" else ungated)
        return vectors, {"cls": weights["cls"], "avg": weights.get("avg", weights["cls"])}
