"""my_part: a pretext task for varkit."""

from torch import Tensor, nn

from varkit import hookimpl
from varkit.interfaces import Batch, Representation
from varkit.plugins.registry import Register


class MyPart(nn.Module):
    """Predict the query's mean vector from the video's.

    Args:
        dim: D.
        vectors: the name of the vectors to read, on both sides.
    """

    def __init__(self, dim: int, *, vectors: str = "avg") -> None:
        super().__init__()
        self.vectors = vectors
        self.guess = nn.Linear(dim, dim)

    def forward(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () squared error of the guesses."""
        guesses: Tensor = self.guess(video.vectors[self.vectors].mean(dim=1))
        return (guesses - query.vectors[self.vectors].mean(dim=1)).square().mean()


@hookimpl
def register_pretexts(register: Register) -> None:
    """Register the pretext task."""
    register("my_part", MyPart, summary="guess the query's mean vector from the video's")
