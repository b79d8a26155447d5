"""VarCMP-style text encoder: frozen embeddings of a caption and its words, and an adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from varkit.blocks.unit import unit
from varkit.interfaces import Clips, Count, Representation
from varkit_varcmp.adapters import Bottleneck
from varkit_varcmp.streams import only_expert, only_stream


class ClipText(nn.Module):
    """The caption e and its words E_w, adapted (VarCMP-style, after the abstract).

    x' = x / |x| + Up(GELU(Down(x / |x|))),  for e and all E_w alike

    A query is a sequence of features: its first row is the embedding of the whole caption (CLIP's
    EOT), the rest are those of its words. What VarCMP adapts, and how, is not known.

    Args:
        dim: D, the width of the space: the features' own.
        experts: one, the video's stream of frames.
        widths: of the query's only stream, which may have any name.
        reduction: of the bottleneck, D to D / reduction. Not known.
        vectors: the names under which e appears; with ``[cls, avg]`` ALAN's alignments read it.

    Raises:
        VarkitError: there are several experts, not exactly one stream, or it is not D wide.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        widths: Mapping[str, int],
        *,
        reduction: Count = 4,
        vectors: tuple[str, ...] = ("avg",),
    ) -> None:
        super().__init__()
        only_expert("clip_text", experts)
        self.stream = only_stream("clip_text", widths, dim)
        self.vectors = vectors
        self.adapter = Bottleneck(dim, reduction)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return the arguments of a small encoder."""
        return {"dim": 24, "experts": ("clip",), "widths": {"audio": 24}}

    def forward(self, clips: Clips) -> Representation:
        """Encode B captions of L rows.

        Returns:
            Vectors ``(B, 1, D)`` and their weights, 1; tokens ``words`` ``(B, L, D)``, whose
            first row, the caption, is masked out unless it is alone.
        """
        return self._represent(self.adapter(self._rows(clips)), clips.mask)

    def zero_shot(self, clips: Clips) -> Representation:
        """Return what :meth:`forward` does before the first step."""
        return self._represent(self._rows(clips), clips.mask)

    def _rows(self, clips: Clips) -> Tensor:
        return unit(clips.streams[self.stream].masked_fill(~clips.mask.unsqueeze(-1), 0))

    def _represent(self, rows: Tensor, mask: Tensor) -> Representation:
        words = mask.clone()
        words[:, 0] = mask.sum(dim=1) == 1
        sentence = rows[:, :1]
        return Representation(
            vectors=dict.fromkeys(self.vectors, sentence),
            weights=dict.fromkeys(self.vectors, torch.ones_like(sentence[..., 0])),
            tokens={"words": rows.masked_fill(~mask.unsqueeze(-1), 0)},
            masks={"words": words},
        )
