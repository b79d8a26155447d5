"""Which word pieces of a caption are hidden."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from varkit.interfaces import Captions, Draws
from varkit_alan.phrases import Span


def hide_phrase(captions: Captions, spans: Sequence[Sequence[Span]], draws: Draws) -> Tensor:
    """Choose one phrase of every caption and hide all its word pieces (ALAN III-E).

    Args:
        captions: B captions.
        spans: the phrases of each, as characters; a phrase that the tokenizer cut off is skipped.
        draws: random numbers; all phrases are equally likely.

    Returns:
        (B, L) bool, True = hidden; a row without a phrase hides nothing.
    """
    words = captions.words.cpu()
    starts, ends = captions.offsets.cpu().unbind(-1)
    chance = draws.uniform(1).squeeze(1).tolist()
    hidden = torch.zeros_like(words)
    for b, phrases in enumerate(spans):
        covered = [words[b] & (starts[b] < end) & (ends[b] > start) for start, end in phrases]
        possible = [pieces for pieces in covered if pieces.any()]
        if possible:
            hidden[b] = possible[int(chance[b] * len(possible))]
    return hidden.to(captions.words.device)


def hide_share(captions: Captions, share: float, draws: Draws) -> Tensor:
    """Choose a share of every caption's word pieces, at least one if there are any.

    Args:
        captions: B captions.
        share: in (0, 1]; of n word pieces round(share * n) are hidden.
        draws: random numbers; all word pieces are equally likely.

    Returns:
        (B, L) bool, True = hidden.
    """
    words = captions.words.cpu()
    chance = draws.uniform(words.shape[1]).masked_fill(~words, torch.inf)
    rank = chance.argsort(dim=1).argsort(dim=1)
    count = (share * words.sum(dim=1, keepdim=True)).round().clamp(min=1)
    return ((rank < count) & words).to(captions.words.device)
