"""Symmetric InfoNCE: the ranking loss of CLIP and X-CLIP."""

from __future__ import annotations

import math
from typing import Literal

import torch
import varkit_kernels
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.errors import RecipeError, VarkitError
from varkit.interfaces import Pairs, Positive


class InfoNCE(nn.Module):
    """The cross-entropy of finding each video's query, and each query's video, in the batch.

    L = 1/2 (CE_rows + CE_columns),  CE_rows = -1/B sum_i log softmax_j(s_ij / temperature)_i

    Source: Radford et al., CLIP (arXiv 2103.00020), Fig. 3, and X-CLIP (xuguohai/X-CLIP@6b5344f,
    ``CrossEn``). MMT's second loss (gabeur/mmt@8f53717, ``InfoNceLoss``) has no 1/2.

    Args:
        temperature: of the softmax; if learned, its initial value. CLIP starts at 0.07, X-CLIP at
            CLIP's last value, 0.01.
        learned: train the temperature: the parameter is log(1 / temperature), as in CLIP.
        largest_scale: upper limit of a learned 1 / temperature (CLIP: 100).
        directions: ``mean`` = with the 1/2, as CLIP; ``sum`` = without, as MMT.
        mask_identical: leave out negatives whose query is identical to the positive's. Not in the
            papers.
        backend: computes the loss of factor vectors; all agree up to rounding. ``auto`` uses torch
            alone: ``cpu`` (fused) on the CPU, ``eager`` elsewhere. ``compiled`` and ``triton`` run
            only where they are chosen; a backend that cannot run is an error.

    Raises:
        VarkitError: a learned temperature starts beyond ``largest_scale``.
    """

    def __init__(
        self,
        *,
        temperature: Positive = 0.07,
        learned: bool = False,
        largest_scale: Positive = 100.0,
        directions: Literal["mean", "sum"] = "mean",
        mask_identical: bool = False,
        backend: Literal["auto", "eager", "compiled", "cpu", "triton"] = "auto",
    ) -> None:
        super().__init__()
        # 1 / 0.01 may be a rounding error above 100.
        if learned and 1 / temperature > largest_scale * (1 + 1e-9):
            raise VarkitError(
                f"info_nce: temperature={temperature} is a scale of {1 / temperature:g}, above "
                f"largest_scale={largest_scale:g}",
                hint=f"set objective.temperature to at least {1 / largest_scale:g}",
            )
        self.directions = directions
        self.mask_identical = mask_identical
        self.backend = backend
        self.largest = math.log(largest_scale)
        start = -math.log(temperature)
        self.log_scale = nn.Parameter(torch.tensor(start)) if learned else start

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors.

        Raises:
            RecipeError: the chosen backend cannot run here.
            VarkitError: the factors of the two sides do not fit together.
        """
        try:
            loss = varkit_kernels.info_nce(
                video,
                query,
                scale=self.scale(),
                group=pairs.group if self.mask_identical else None,
                backend=self.backend,
            )
        except varkit_kernels.BackendError as error:
            raise RecipeError(
                [f"objective.backend: {error}"], hint="objective.backend=auto runs everywhere"
            ) from error
        except varkit_kernels.InputError as error:
            raise VarkitError(
                f"objective info_nce: {error}",
                hint="an alignment made these factors; varkit plugin test checks it",
            ) from error
        return loss if self.directions == "mean" else 2 * loss

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity; 0 for B = 1.

        Args:
            similarity: (B, B), rows videos, columns queries.
            pairs: which of them have identical queries.
        """
        own = torch.arange(len(similarity), device=similarity.device)
        logits = self.scale() * similarity
        if self.mask_identical:
            same = pairs.group.unsqueeze(1) == pairs.group.unsqueeze(0)
            logits = logits.masked_fill(same & (own.unsqueeze(1) != own), -torch.inf)
        loss = F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)
        return loss / 2 if self.directions == "mean" else loss

    def scale(self) -> Tensor | float:
        """Return 1 / temperature: a () tensor with its gradient if it is learned."""
        if not isinstance(self.log_scale, nn.Parameter):
            return math.exp(self.log_scale)
        # In place, as CLIP does: clamping only the returned value would give no gradient beyond
        # the largest scale, so the parameter could not come back.
        with torch.no_grad():
            self.log_scale.clamp_(max=self.largest)
        return self.log_scale.exp()
