"""A separate loss for each level of the hierarchy: deep supervision."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from varkit.interfaces import Alignment, Batch, Positive, Representation
from varkit_varcmp.alignment import Hierarchical, hierarchies


class LevelLosses:
    """Symmetric InfoNCE of every level's own similarity, in training only (ours).

    L = sum_k 1/2 (CE_rows + CE_columns)(s_k / temperature),  s_k the level k of ``hierarchical``

    The ranking loss sees only the sum of the levels, so a level learns nothing that another one
    already does; here each must find the pairs alone. gamma and the alignments' weights do not
    count. Ours, after deeply-supervised nets (Lee et al. 2015): VarCMP's losses are not known.

    Every level is computed a second time, in addition to the similarity that is ranked.

    Args:
        alignments: the ``hierarchical`` ones count, with all their levels.
        temperature: of the softmax, fixed; the recipes' objective starts at the same value.
        mask_identical: leave out negatives whose query is identical to the positive's; set it as
            the objective's.

    Raises:
        VarkitError: no alignment is ``hierarchical``.
    """

    def __init__(
        self,
        alignments: Mapping[str, Alignment],
        *,
        temperature: Positive = 0.07,
        mask_identical: bool = False,
    ) -> None:
        self.alignments = hierarchies("level_losses", alignments)
        self.temperature, self.mask_identical = temperature, mask_identical

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return arguments that suit the tokens of the conformance kit."""
        from varkit_varcmp.text import ClipText

        return {
            "dim": 16,
            "experts": ("frames",),
            "query_encoder": ClipText(16, ("frames",), {"audio": 16}),
            "alignments": {"all": Hierarchical()},
        }

    def __call__(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss of B pairs; 0 for B = 1."""
        excluded = None
        if self.mask_identical:
            same = batch.group.unsqueeze(1) == batch.group
            excluded = same & ~torch.eye(len(batch), dtype=torch.bool, device=same.device)
        # Like the ranking loss: differences of cosines are too small for half precision.
        with torch.autocast(batch.label.device.type, enabled=False):
            levels = [
                level
                for alignment in self.alignments
                for level in alignment.by_level(video, query).values()
            ]
            return torch.stack([self._contrastive(level, excluded) for level in levels]).sum()

    def _contrastive(self, similarity: Tensor, excluded: Tensor | None) -> Tensor:
        own = torch.arange(len(similarity), device=similarity.device)
        logits = similarity / self.temperature
        if excluded is not None:
            logits = logits.masked_fill(excluded, -torch.inf)
        return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
