"""ALAN's ranking loss: every negative of the batch, in both directions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor
from varkit_kernels import BackendError, InputError, explain, ranking_loss_from_factors
from varkit_kernels.similarity_ranking.distributed import FUSED, ranking_loss_over_ranks

from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import NonNegative, Pairs
from varkit.system import distributed

T = TypeVar("T")


class MarginRanking:
    """The hinge over all negatives of a batch (ALAN, Eq. 6).

    L = 1/B sum_i sum_{j != i} [s_ij - s_ii + margin]_+ + [s_ji - s_ii + margin]_+

    Args:
        margin: Delta (ALAN IV-B: 0.05).
        reduction: ``paper`` = divide by B, Eq. 6 to the letter. ``mean`` = divide by the number
            of terms, 2B(B-1) without masking, as MMT does; this is 2(B-1) times less, so the
            weights of the other losses mean something else.
        mask_identical: leave out negatives whose query is literally the positive's. Not in the
            paper; benchmarks repeat a few captions.
        backend: what computes the loss of factor vectors, the same up to rounding. ``auto`` = torch
            alone: ``cpu``, fused, on the CPU, and ``eager`` elsewhere. ``compiled`` and ``triton``
            are for those who ask; a backend that cannot run is an error.
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
        """Return the () loss of (B, K) factor vectors, in at least fp32.

        Raises:
            RecipeError: the backend that was asked for cannot run here.
            VarkitError: the factors of the two sides do not fit together.
        """
        return self._run(ranking_loss_from_factors, video, query, pairs)

    def over_ranks(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of all ranks' pairs, of this rank's (b, K) factors.

        With a fused backend each rank computes its own rows of the B x B matrix; the others need
        all of it on every rank.

        Raises:
            RecipeError: as in :meth:`factored`.
            VarkitError: likewise.
        """
        if self._run(_backend, video, query, pairs) in FUSED:
            return self._run(ranking_loss_over_ranks, video, query, pairs)
        group, uniform = map(distributed.gather, (pairs.group, pairs.uniform))
        everyone = Pairs(group, uniform, pairs.epoch)
        return self.factored(distributed.gather(video), distributed.gather(query), everyone)

    def _run(self, function: Callable[..., T], video: Tensor, query: Tensor, pairs: Pairs) -> T:
        """Call a function of the kernels in at least fp32; its errors become varkit's."""
        dtype = torch.promote_types(video.dtype, torch.float32)
        try:
            with torch.autocast(video.device.type, enabled=False):
                return function(
                    video.to(dtype),
                    query.to(dtype),
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
            pairs: which of them have literally the same query.
        """
        count = len(similarity)
        positive = similarity.diagonal()
        to_query = (similarity - positive.unsqueeze(1) + self.margin).relu()  # s_ij - s_ii
        to_video = (similarity - positive.unsqueeze(0) + self.margin).relu()  # s_ji - s_ii
        if self.mask_identical:
            group = pairs.group
            negative = group.unsqueeze(1) != group.unsqueeze(0)
        else:
            negative = ~torch.eye(count, dtype=torch.bool, device=similarity.device)
        total = (to_query + to_video).masked_fill(~negative, 0.0).sum()
        if self.reduction == "paper":
            return total / count
        return total / (2 * negative.sum()).clamp(min=1)


def _backend(video: Tensor, query: Tensor, *, backend: str, **_: Any) -> str:
    return explain(video, backend=backend).backend
