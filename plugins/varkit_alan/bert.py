"""ALAN's text encoder: two gated vectors per expert, and the experts' weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge

from varkit.blocks.caption_encoder import CaptionEncoder
from varkit.blocks.gated_embedding import GateNorm
from varkit.interfaces import Captions, Place, Rate, Representation
from varkit_alan.expert_weights import GatedExperts, WeightSets, WeightsFrom


class Bert(CaptionEncoder):
    """A BERT with gated embedding units (ALAN III-D).

    X^t = BERT(caption),  g^t = X^t at [CLS],  h^t = mean of X^t over the caption's tokens,

    g^{tk} = GEU_k^g(g^t),  h^{tk} = GEU_k^h(h^t),  w = softmax_k(Linear_k(g^{tk}))   (Eq. 3, 4)

    The mean leaves out [CLS], [SEP] and padding; a caption without any word has h^t = g^t.

    With ``finetune: false`` X^t of each caption is computed once; see
    :class:`~varkit.blocks.caption_encoder.CaptionEncoder`.

    Args:
        dim: D.
        experts: the E experts of the video side.
        model: the language model: a folder, ``package:NAME`` for a folder inside an installed
            Python package, or a hub name with its ``revision``. The paper: BERT-base, cased. The
            folder holds ``config.json``, ``model.safetensors`` and a fast tokenizer.
        revision: the full commit of a hub name, so that the recipe always means the same model.
        download: whether a hub model may be downloaded; otherwise the network is never used.
        finetune: train the language model too, as in the paper.
        max_tokens: captions are cut to this many word pieces, [CLS] and [SEP] included. Not in
            the paper; no caption of UCFCrime-AR is longer, and MMT's 30 cut 8 % of them.
        dropout: ALAN IV-B: 0.3. Of BERT's hidden layers if it is trained, else of X^t.
        gate_norm: ``batch`` or ``layer``; see
            :class:`~varkit.blocks.gated_embedding.GatedEmbedding`. Not in the paper.
        weights_from: ``gated`` or ``ungated``; see
            :class:`~varkit_alan.expert_weights.GatedExperts`.
        weights: ``shared`` or ``separate``; the same.

    Raises:
        VarkitError: the language model is not on this machine, cannot be used, or reads fewer
            than ``max_tokens`` tokens.
    """

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        model: Place,
        revision: str | None = None,
        download: bool = False,
        finetune: bool = True,
        max_tokens: Annotated[int, Ge(3)] = 64,
        dropout: Rate = 0.3,
        gate_norm: GateNorm = "batch",
        weights_from: WeightsFrom = "gated",
        weights: WeightSets = "shared",
    ) -> None:
        super().__init__(
            model=model,
            revision=revision,
            download=download,
            finetune=finetune,
            max_tokens=max_tokens,
            dropout=dropout,
        )
        self.head = GatedExperts(
            self.language.width,
            dim,
            len(experts),
            gate_norm=gate_norm,
            weights_from=weights_from,
            weights=weights,
        )

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return constructor arguments of a small instance that can be built anywhere."""
        from varkit.blocks.tiny_language import write_tiny_language

        return {"model": str(write_tiny_language(folder)), "gate_norm": "layer"}

    def forward(self, captions: Captions) -> Representation:
        """Encode B captions.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, both under ``cls`` and ``avg``; tokens
            ``words`` ``(B, L, H)``, X^t in the width of the language model, whose mask leaves
            out [CLS] and [SEP].
        """
        states = self.states(captions)
        g = states[:, 0]
        words = captions.words.unsqueeze(-1)
        count = words.sum(dim=1)
        mean = states.masked_fill(~words, 0.0).sum(dim=1) / count.clamp(min=1)
        h = torch.where(count > 0, mean, g)
        vectors, weights = self.head(g, h)
        return Representation(
            vectors=vectors,
            weights=weights,
            tokens={"words": states},
            masks={"words": captions.words},
        )
