"""ALAN's two alignments: both are a weighted cosine, of different vectors."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor

from varkit.blocks.unit import unit
from varkit.errors import VarkitError
from varkit.interfaces import Representation


class WeightedCosine:
    """The sum over experts of weighted cosines, which is one inner product.

    s_ij = sum_k w_jk cos(v_ik, q_jk) = <[v_ik / |v_ik|]_k, [w_jk q_jk / |q_jk|]_k>

    The weights are always the query's, so one matrix serves both directions of retrieval (ALAN,
    below Eq. 3).

    An expert that a video lacks, where the video's own weights are 0, does not count; the rest is
    multiplied by E / (how many it has). The paper's videos lack none. Weights of the query that
    are divided by their sum over the video's experts, as in CE, would not be an inner product.
    """

    vectors: ClassVar[str]
    """Which of a representation's vectors are compared."""

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity."""
        return self.factors(video, "video") @ self.factors(query, "query").T

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> Tensor:
        """Return (B, E D): the experts' unit vectors side by side, weighted on the query side.

        Raises:
            VarkitError: the encoder gave no such vectors, or no weights for a query.
        """
        try:
            x = unit(representation.vectors[self.vectors])
            if side == "query":
                x = x * representation.weights[self.vectors].unsqueeze(-1)
            elif self.vectors in representation.weights:
                has = (representation.weights[self.vectors] != 0).to(x.dtype)
                x = x * (has / has.mean(dim=-1, keepdim=True)).unsqueeze(-1)
        except KeyError:
            part = "vectors and weights" if side == "query" else "vectors"
            raise VarkitError(
                f"alignment {self.vectors!r} needs {part} named {self.vectors!r}; the {side} "
                f"encoder gave vectors {sorted(representation.vectors)} and weights "
                f"{sorted(representation.weights)}",
                hint=f"take this alignment out of the recipe, or choose another {side} encoder",
            ) from None
        return x.flatten(1)


class Cls(WeightedCosine):
    """s^g_ij = sum_k w_jk cos(g^v_ik, g^q_jk)   (ALAN, Eq. 3)."""

    vectors = "cls"


class Avg(WeightedCosine):
    """s^h_ij = sum_k w_jk cos(h^v_ik, h^q_jk)   (ALAN, Eq. 4).

    The whole similarity, s = alpha s^g + (1 - alpha) s^h (Eq. 5), is the model's sum over the
    recipe's alignments.
    """

    vectors = "avg"
