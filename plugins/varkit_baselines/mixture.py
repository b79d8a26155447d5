"""A mixture of experts: the query says how much each expert of a video counts."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.gated_embedding import GatedEmbedding, GateNorm
from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Representation

Missing = Literal["renormalise", "keep", "equal"]


class MixtureOfExperts(nn.Module):
    """A weighted sum of one cosine per expert, which is one inner product.

    t_qe = GEU_e(u_q),  w_q = softmax(Linear(Drop(u_q)))
    s_vq = sum_e ŵ_vqe cos(v_ve, t_qe)

    u_q is the whole query, made by :meth:`describe`. The weights come from u_q itself, not from
    the output of the gated embedding units. Miech et al. 2018 (arXiv 1804.02516); Collaborative
    Experts and MMT are such mixtures.

    An expert is missing from a video where the video's weights are 0. There:

    * ``renormalise``: ŵ_vqe = w_qe over the experts that v has, divided by their sum. As the sum
      depends on both sides, the factors have one block for every set of experts that a video may
      have: K = (2^E - 1) E D instead of E D.
    * ``keep``: ŵ_vqe = w_qe. The vector that stands in for the missing expert counts.
    * ``equal``: ŵ_vqe = 1, missing or not; s is then up to E.

    Where no expert is missing, ``renormalise`` and ``keep`` are the same.

    Args:
        width: of u_q.
        dim: D.
        experts: E.
        missing: see above.
        gate_norm: of the units' gates; see :class:`~varkit.blocks.gated_embedding.GatedEmbedding`.
        dropout: of u_q before the weights.
    """

    vectors: ClassVar[str]
    """Which of a video's vectors are compared."""

    def __init__(
        self,
        width: int,
        dim: int,
        experts: int,
        *,
        missing: Missing,
        gate_norm: GateNorm,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.missing = missing
        self.gates = nn.ModuleList(GatedEmbedding(width, dim, gate_norm) for _ in range(experts))
        # With equal weights there is nothing to learn.
        self.weigh = None if missing == "equal" else nn.Linear(width, experts)
        self.dropout = nn.Dropout(dropout)

    def describe(self, query: Representation) -> Tensor:
        """Return u ``(B, width)`` of B queries."""
        raise NotImplementedError

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the ``(V, Q)`` similarity."""
        return self.factors(video, "video") @ self.factors(query, "query").T

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> Tensor:
        """Return ``(B, K)``: the experts' unit vectors side by side, weighted on the query side.

        Raises:
            VarkitError: the encoder did not give what this side needs.
        """
        if side == "query":
            return self.weighted(self.describe(representation))
        vectors = unit(part(representation.vectors, self.vectors, "vectors of the video"))
        if self.missing != "renormalise":
            return vectors.flatten(1)
        weights = representation.weights.get(self.vectors, torch.ones_like(vectors[..., 0]))
        sets = _sets_of(weights)
        owned = ((weights != 0).unsqueeze(1) == sets).all(dim=-1)  # (B, S)
        return (owned[..., None, None] * vectors.unsqueeze(1)).flatten(1)

    def weighted(self, whole: Tensor) -> Tensor:
        """Return the query's factors ``(B, K)`` from u ``(B, width)``."""
        vectors = torch.stack([gate(whole) for gate in self.gates], dim=1)
        if self.weigh is None:
            return vectors.flatten(1)
        scores: Tensor = self.weigh(self.dropout(whole))
        if self.missing == "keep":
            return (scores.softmax(dim=-1).unsqueeze(-1) * vectors).flatten(1)
        # Weights divided by their sum over a set are a softmax over that set.
        scores = scores.unsqueeze(1).masked_fill(~_sets_of(scores), -torch.inf)  # (B, S, E)
        return (scores.softmax(dim=-1).unsqueeze(-1) * vectors.unsqueeze(1)).flatten(1)


def part(parts: Mapping[str, Tensor], name: str, what: str) -> Tensor:
    """Return one part of a representation.

    Raises:
        VarkitError: the encoder gave no such part.
    """
    if name not in parts:
        raise VarkitError(
            f"a mixture of experts needs {what} named {name!r}; the encoder gave "
            f"{', '.join(sorted(parts)) or 'none'}",
            hint="choose the encoders of this method's recipe",
        )
    return parts[name]


def _sets_of(like: Tensor) -> Tensor:
    """Return the S = 2^E - 1 non-empty sets of experts, bool ``(S, E)``."""
    sets = [members for members in product((True, False), repeat=like.shape[-1]) if any(members)]
    return torch.tensor(sets, device=like.device)
