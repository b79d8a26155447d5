"""Similarity of all videos and queries of a split, and fusion and re-ranking of several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from varkit.data.positives import Positives
from varkit.errors import DataError
from varkit.evaluation.rank import (
    COLLAPSED,
    Names,
    Ranks,
    Tile,
    pieces,
    ranks_from_factors,
    ranks_from_similarity,
    tiles_of_factors,
)
from varkit.interfaces.settings import Ties

Scaling = Literal["z", "raw"]


@dataclass(frozen=True)
class Scores:
    """The similarity of V videos and Q queries: as a matrix, or as its factors.

    Attributes:
        matrix: (V, Q); None = given by the factors.
        factors: (V, K) of the videos and (Q, K) of the queries, or None.
    """

    matrix: Tensor | None = None
    factors: tuple[Tensor, Tensor] | None = None

    def dense(self) -> Tensor:
        """Return the (V, Q) float32 similarity, rounded as for counting ranks."""
        if self.factors is None:
            return self._matrix().float()
        video, query = self.factors
        return (video.double() @ query.double().T).float()

    def of(self, videos: Tensor | slice, queries: Tensor | slice) -> Scores:
        """Return the scores of some videos and queries, by position."""
        if self.factors is None:
            return Scores(matrix=self._matrix()[videos][:, queries])
        video, query = self.factors
        return Scores(factors=(video[videos], query[queries]))

    def ranks(self, positives: Positives, ties: Ties, names: Names | None = None) -> Ranks:
        """Return the ranks of the right answers in both directions.

        Raises:
            DataError: a score is not finite.
        """
        if self.factors is None:
            return ranks_from_similarity(self._matrix(), positives, ties=ties, names=names)
        return ranks_from_factors(*self.factors, positives, ties=ties, names=names)

    def tiles(self) -> Iterable[Tile]:
        """Yield the similarity in tiles."""
        if self.factors is not None:
            yield from tiles_of_factors(*self.factors)
            return
        matrix = self._matrix()
        rows = torch.arange(len(matrix))
        for columns in pieces(matrix.shape[1], 1024, torch.device("cpu")):
            yield rows, columns, matrix[:, columns]

    def of_query(self, query: int) -> Tensor:
        """Return the (V,) scores of one query."""
        return self.of(slice(None), torch.tensor([query])).dense()[:, 0]

    def _matrix(self) -> Tensor:
        assert self.matrix is not None
        return self.matrix


def fuse(matrices: Sequence[Tensor], weights: Sequence[float], scaling: Scaling = "z") -> Tensor:
    """Return the (V, Q) float64 weighted sum of several (V, Q) similarities.

    Args:
        matrices: of the same videos and queries.
        weights: one per similarity.
        scaling: ``z`` = first shift and scale each to mean 0 and standard deviation 1 over all its
            V x Q scores, which keeps their order; ``raw`` = use them unchanged.

    Raises:
        DataError: with ``z``, all scores of one similarity are equal.
    """
    total = torch.zeros(matrices[0].shape, dtype=torch.float64)
    for number, (matrix, weight) in enumerate(zip(matrices, weights, strict=True), start=1):
        part = matrix.double()
        if scaling == "z":
            spread = part.std(correction=0)
            if not spread > COLLAPSED * part.abs().max():
                raise DataError(f"all scores of number {number} are equal: it has no z-scores")
            part = (part - part.mean()) / spread
        total += weight * part
    return total


def rerank(first: Tensor, second: Tensor, depth: int) -> Tensor:
    """Return scores that re-rank each searcher's best candidates.

    The best candidates are those with the ``depth`` highest scores in ``first``, and all that tie
    with the last of these. They are ordered by ``second``; all remaining candidates follow, ordered
    by ``first``. Ties stay ties.

    Args:
        first: (n, s) scores of n candidates for each of s searchers.
        second: (n, s), likewise.
        depth: at least 1.

    Returns:
        (n, s) float32 whole numbers; only their order within a column has a meaning.
    """
    least = first.topk(min(depth, len(first)), dim=0).values[-1]
    return torch.where(first >= least, len(first) + _levels(second), _levels(first)).float()


def _levels(scores: Tensor) -> Tensor:
    """Return, for each (n, s) score, how many distinct lower scores its column has."""
    ordered, places = scores.sort(dim=0)
    steps = torch.zeros(scores.shape, dtype=torch.int64)
    steps[1:] = (ordered.diff(dim=0) > 0).cumsum(dim=0)
    return torch.zeros_like(steps).scatter(0, places, steps)
