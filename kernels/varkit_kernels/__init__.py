"""varkit's fused operators: one folder each, with one public face and several backends.

It needs torch alone; without triton only the ``triton`` backends are missing.
"""

from varkit_kernels.errors import BackendError, InputError
from varkit_kernels.similarity_ranking import (
    BACKENDS,
    Choice,
    RankCounts,
    explain,
    info_nce,
    ranking_loss,
    ranking_loss_from_factors,
    ranks,
    similarity,
    topk,
)

__all__ = [
    "BACKENDS",
    "BackendError",
    "Choice",
    "InputError",
    "RankCounts",
    "explain",
    "info_nce",
    "ranking_loss",
    "ranking_loss_from_factors",
    "ranks",
    "similarity",
    "topk",
]
