"""Captions as words, for every baseline with its own text side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import torch
from annotated_types import Ge
from torch import nn

from varkit.blocks.caption_encoder import CaptionEncoder
from varkit.interfaces import Captions, Place, Rate, Representation


class Words(CaptionEncoder):
    """The hidden states of a BERT, without a head: the baselines' alignments have their own.

    X = BERT(caption);  ``words`` = X of the caption's own word pieces,  ``sentence`` = X at [CLS]

    All baselines read the same states, so that methods are compared, not language models. If the
    language model is not D wide, a linear layer maps its states to D. No paper has this layer; with
    BERT-base and D = 768 there is none.

    Args:
        dim: D.
        model: the language model. All options but ``dropout`` are as in
            :class:`~varkit.blocks.caption_encoder.CaptionEncoder`.
        revision: the same.
        download: the same.
        finetune: the same.
        max_tokens: the same. CE: 37 words, MMT: 30 tokens, X-CLIP: 32; ALAN's value here.
        dropout: of BERT's hidden layers if it is trained, else of X; 0.1 as in MMT.

    Raises:
        VarkitError: the language model is not on this machine, cannot be used, or reads fewer
            than ``max_tokens`` tokens.
    """

    def __init__(
        self,
        dim: int,
        *,
        model: Place,
        revision: str | None = None,
        download: bool = False,
        finetune: bool = True,
        max_tokens: Annotated[int, Ge(3)] = 64,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__(
            model=model,
            revision=revision,
            download=download,
            finetune=finetune,
            max_tokens=max_tokens,
            dropout=dropout,
        )
        width = self.language.width
        self.project = nn.Identity() if width == dim else nn.Linear(width, dim)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return constructor arguments of a small instance that can be built anywhere."""
        from varkit.blocks.tiny_language import write_tiny_language

        return {"model": str(write_tiny_language(folder))}

    def forward(self, captions: Captions) -> Representation:
        """Encode B captions.

        Returns:
            Tokens ``words`` ``(B, L, D)``, without [CLS] and [SEP] unless a caption has no word,
            and ``sentence`` ``(B, 1, D)``.
        """
        states = self.project(self.states(captions))
        start = torch.zeros_like(captions.words)
        start[:, 0] = True
        empty = ~captions.words.any(dim=1, keepdim=True)
        return Representation(
            tokens={"words": states, "sentence": states[:, :1]},
            masks={"words": captions.words | (empty & start), "sentence": start[:, :1]},
        )
