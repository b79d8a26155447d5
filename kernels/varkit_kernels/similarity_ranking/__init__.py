"""ALAN's similarity and ranking loss, fused; see ``docs/kernels.md`` for the derivation."""

from varkit_kernels.similarity_ranking.backends import BACKENDS, Choice
from varkit_kernels.similarity_ranking.face import (
    explain,
    info_nce,
    ranking_loss,
    ranking_loss_from_factors,
    similarity,
)
from varkit_kernels.similarity_ranking.retrieval import RankCounts, ranks, topk

__all__ = [
    "BACKENDS",
    "Choice",
    "RankCounts",
    "explain",
    "info_nce",
    "ranking_loss",
    "ranking_loss_from_factors",
    "ranks",
    "similarity",
    "topk",
]
