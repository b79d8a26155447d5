"""ALAN's ranking loss: every negative of the batch, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from varkit_kernels import BackendError, InputError, explain, ranking_loss_from_factors
from varkit_kernels.similarity_ranking import eager
from varkit_kernels.similarity_ranking.distributed import FUSED, ranking_loss_over_ranks

from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import NonNegative, Pairs

T = TypeVar("T")


class MarginRanking:
    """The hinge over all negatives of a batch (ALAN, Eq. 6).

    L = 1/B sum_i sum_{j != i} [s_ij - s_ii + margin]_+ + [s_ji - s_ii + margin]_+

    Args:
        margin: Delta (ALAN IV-B: 0.05).
        reduction: ``paper`` = divide by B, as Eq. 6 does. ``mean`` = divide by the number
            of terms, 2B(B-1) without masking, as MMT does. The loss is then 2(B-1)
            times smaller, so the weights of the other losses count for more.
        mask_identical: leave out negatives whose query is identical to the positive's. Not in the
            paper; benchmarks repeat a few captions.
        backend: computes the loss of factor vectors; all agree up to rounding. ``auto`` uses torch
            alone: ``cpu`` (fused) on the CPU, ``eager`` elsewhere. ``compiled`` and ``triton`` run
            only where they are chosen; a backend that cannot run is an error.
    """

    def __init__(
        self,
        *,
        margin: NonNegative = 0.05,
        reduction: Literal["paper", "mean"] = "paper",
        mask_identical: bool = False,
        backend: Literal["auto", "eager", "compiled", "cpu", "triton"] = "auto",
    ) -> None:
        self.margin = margin
        self.reduction = reduction
        self.mask_identical = mask_identical
        self.backend = backend

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors.

        Raises:
            RecipeError: the chosen backend cannot run here.
            VarkitError: the factors of the two sides do not fit together.
        """
        return self._run(ranking_loss_from_factors, video, query, pairs)

    def over_ranks(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor | None:
        """Return the () loss of all ranks' pairs from this rank's (b, K) factors, or None.

        With a fused backend each rank computes its own rows of the B x B matrix. Other backends
        need all factors on every rank, and give None.

        Raises:
            RecipeError: as in :meth:`factored`.
            VarkitError: as in :meth:`factored`.
        """
        if self._run(_backend, video, query, pairs) not in FUSED:
            return None
        return self._run(ranking_loss_over_ranks, video, query, pairs)

    def _run(self, function: Callable[..., T], video: Tensor, query: Tensor, pairs: Pairs) -> T:
        """Call a function of the kernels; its errors become varkit's."""
        try:
            return function(
                video,
                query,
                margin=self.margin,
                group=pairs.group if self.mask_identical else None,
                reduction=self.reduction,
                backend=self.backend,
            )
        except BackendError as error:
            raise RecipeError(
                [f"objective.backend: {error}"], hint="objective.backend=auto runs everywhere"
            ) from error
        except InputError as error:
            raise VarkitError(
                f"objective margin_ranking: {error}",
                hint="an alignment made these factors; varkit plugin test checks it",
            ) from error

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity; 0 for B = 1.

        Args:
            similarity: (B, B), rows videos, columns queries.
            pairs: which of them have identical queries.
        """
        own = torch.arange(len(similarity), device=similarity.device)
        return eager.ranking_loss(
            similarity,
            margin=self.margin,
            group=pairs.group if self.mask_identical else own,
            reduction=self.reduction,
        )


def _backend(video: Tensor, query: Tensor, *, backend: str, **_: Any) -> str:
    return explain(video, backend=backend).backend
