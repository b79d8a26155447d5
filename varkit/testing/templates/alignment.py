"""my_part: an alignment for varkit."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

from varkit import hookimpl
from varkit.interfaces import Representation
from varkit.plugins.registry import Register


class MyPart:
    """The cosine of all experts' vectors, side by side.

    Args:
        vectors: the name of the vectors to compare.
    """

    def __init__(self, *, vectors: str = "avg") -> None:
        self.vectors = vectors

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> Tensor:
        """Return (B, E D) vectors of length 1, whose inner products are the similarity."""
        return F.normalize(representation.vectors[self.vectors].flatten(1), dim=1)

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) cosines."""
        return self.factors(video, "video") @ self.factors(query, "query").T


@hookimpl
def register_alignments(register: Register) -> None:
    """Register the alignment."""
    register("my_part", MyPart, summary="the cosine of all experts' vectors")
