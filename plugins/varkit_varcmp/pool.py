"""Zero-shot retrieval: frozen features, in the space that videos and queries share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import nn

from varkit.blocks.pooling import masked_mean
from varkit.blocks.streams import expect_present
from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Representation
from varkit_varcmp.streams import check_width, only_expert, only_stream


class FrozenPool(nn.Module):
    """The mean of all rows, each scaled to length 1, or the first row; nothing is trained.

    v = mean_t V_t / |V_t|, as CLIP4Clip's "meanP" (Luo et al. 2021) without training

    It serves videos, whose frames are the expert's stream, and queries, whose only stream may have
    any name.

    Args:
        dim: D, the width of the space: the features' own.
        experts: one, the stream of frames.
        widths: of the streams, by name.
        rows: ``mean`` of all, for frames and sounds; ``first``, for a caption whose first row
            is the embedding of the whole.

    Raises:
        VarkitError: there are several experts, a stream is missing, or it is not D wide.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        *,
        rows: Literal["mean", "first"] = "mean",
    ) -> None:
        super().__init__()
        expert = only_expert("frozen_pool", experts)
        if expert in widths:
            check_width("frozen_pool", expert, widths, dim)
            self.stream = expert
        else:
            self.stream = only_stream("frozen_pool", widths, dim)
        self.rows = rows

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the arguments of a small encoder."""
        return {"dim": 24, "experts": ("clip",), "widths": {"clip": 24}}

    def forward(self, clips: Clips) -> Representation:
        """Encode B videos or queries: vectors ``avg`` ``(B, 1, D)`` and their weights, 1.

        Raises:
            DataError: one lacks the stream.
        """
        expect_present("frozen_pool", self.stream, clips)
        rows = unit(clips.streams[self.stream])
        pooled = rows[:, 0] if self.rows == "first" else masked_mean(rows, clips.mask)
        return Representation(
            vectors={"avg": pooled.unsqueeze(1)},
            weights={"avg": torch.ones_like(pooled[:, :1])},
        )
