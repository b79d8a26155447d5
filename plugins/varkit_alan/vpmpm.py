"""ALAN's pretext task: predict a masked phrase from the video and the rest of the caption."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.english import missing_english
from varkit.blocks.language_model import Language
from varkit.blocks.transformer import check_heads, sinusoid
from varkit.errors import VarkitError
from varkit.interfaces import Batch, Captions, Count, Encoder, Rate, Representation
from varkit.system.distributed import global_mean
from varkit_alan.masking import hide_phrase, hide_share
from varkit_alan.phrases import PhraseFinder

RANDOM_SHARE = 0.15
"""Share of the word pieces that ``mask: random_words`` hides, as in BERT."""


class Vpmpm(nn.Module):
    """Video prompt based masked phrase modelling, in training only (ALAN III-E, Eq. 9).

    One noun phrase of every caption is masked, and in a second pass one verb phrase:

    * X̂^t = X^t with one learned vector in place of every word piece of the phrase
    * Y = PromptingDecoder(X̂^t, X^v): self-attention over X̂^t, cross-attention to the clips
      X^v, FFN; one decoder for both passes
    * L_mpm = mean over captions and masked positions of CE(softmax(Head(Y)), word piece)

    and the two passes' losses are averaged. A caption without such a phrase does not count.

    Args:
        dim: D.
        experts: the names of the video's tokens.
        query_encoder: ``bert``, or another encoder with an attribute ``language``.
        mask: ``phrases``; or, for ALAN's Table VI, ``words`` = one noun and one verb, or
            ``random_words`` = 15 % of the word pieces, at least one, in a single pass.
        where: ``after`` = in BERT's output, as in the paper; the neighbours' states then know the
            masked words. ``input`` = a second pass through BERT, with its [MASK].
        prompt: ``both`` = the clips of all experts. ``matched`` = nouns see the first expert's
            (object), verbs the last one's (motion). The paper leaves it open.
        head: ``tied`` = scores are inner products with BERT's word embeddings; ``untied`` = a
            separate linear layer. Not in the paper.
        positions: add sinusoids to X̂^t. The paper does not. Without them, and with
            ``where: after``, all word pieces of a masked phrase get the same prediction.
        layers: of the Prompting Decoder. The paper: "a standard decoder layer".
        heads: of its attention. Not in the paper; 12 as in BERT at D = 768.
        feedforward: width inside its FFN; null = 4 D as in BERT. Not in the paper.
        dropout: of the decoder. Not in the paper; 0.1 as in BERT.

    Raises:
        VarkitError: the query encoder has no language model, spaCy or its pipeline is missing,
            ``random_words`` has no match, or the heads do not divide D.
    """

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        query_encoder: Encoder,
        *,
        mask: Literal["phrases", "words", "random_words"] = "phrases",
        where: Literal["after", "input"] = "after",
        prompt: Literal["both", "matched"] = "both",
        head: Literal["tied", "untied"] = "tied",
        positions: bool = False,
        layers: Count = 1,
        heads: Count = 12,
        feedforward: Count | None = None,
        dropout: Rate = 0.1,
    ) -> None:
        super().__init__()
        check_heads(dim, heads)
        language = getattr(query_encoder, "language", None)
        if language is None:
            raise VarkitError(
                f"vpmpm: {type(query_encoder).__name__} has no language model to predict with",
                hint="set query.use=bert, or take vpmpm out of the recipe",
            )
        if mask == "random_words" and prompt == "matched":
            raise VarkitError(
                "vpmpm: prompt=matched needs nouns and verbs, but mask=random_words has neither",
                hint="set prompt=both",
            )
        self.experts = tuple(experts)
        self.mask = mask
        self.where = where
        self.prompt = prompt
        # In a tuple, so that the query encoder's language model is not registered here as well.
        self._language: tuple[Language] = (language,)
        self._find = None if mask == "random_words" else PhraseFinder(mask)
        self.project = nn.Linear(language.width, dim) if language.width != dim else nn.Identity()
        if where == "after":
            self.mask_vector = nn.Parameter(torch.empty(dim).normal_(std=0.02))
        self.positions = positions
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(
                dim, heads, feedforward or 4 * dim, dropout, "gelu", batch_first=True
            )
            for _ in range(layers)
        )
        self.head = (
            TiedHead(dim, language) if head == "tied" else nn.Linear(dim, language.vocabulary)
        )

    @staticmethod
    def missing(*, mask: str = "phrases", **_: Any) -> list[str]:
        """Return what this machine lacks, spaCy or its pipeline, and how to install it."""
        return [] if mask == "random_words" else missing_english()

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return constructor arguments of a small instance that can be built anywhere."""
        from varkit_alan.bert import Bert

        encoder = Bert(24, ("object", "motion"), **Bert.example(folder)).eval()
        return {"query_encoder": encoder, "mask": "random_words"}

    def forward(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss L_mpm of a batch.

        Args:
            video: with tokens named like the experts.
            query: with tokens ``words``.
            batch: of captions; its draws choose the phrases.

        Raises:
            VarkitError: the queries are not captions, or the video has no such tokens.
        """
        captions = batch.query
        if not isinstance(captions, Captions):
            raise VarkitError("vpmpm: the queries are sounds, which have no words to mask")
        absent = [name for name in self.experts if name not in video.tokens]
        if absent:
            raise VarkitError(
                f"vpmpm: the video encoder gives no tokens named {', '.join(absent)}; it gives "
                f"{', '.join(video.tokens) or 'none'}",
                hint="set video.use=two_stream, or take vpmpm out of the recipe",
            )
        draws = batch.draws.named("vpmpm")
        if self._find is None:
            hidden = hide_share(captions, RANDOM_SHARE, draws)
            return self.loss(hidden, self.experts, video, query, captions)
        phrases = [self._find(text) for text in captions.texts]
        losses = []
        for kind, own in (("noun", self.experts[:1]), ("verb", self.experts[-1:])):
            hidden = hide_phrase(captions, [spans[kind] for spans in phrases], draws.named(kind))
            seen = own if self.prompt == "matched" else self.experts
            losses.append(self.loss(hidden, seen, video, query, captions))
        return torch.stack(losses).mean()

    def loss(
        self,
        hidden: Tensor,
        seen: Sequence[str],
        video: Representation,
        query: Representation,
        captions: Captions,
    ) -> Tensor:
        """Return the () loss of one pass.

        CE is averaged over a caption's hidden positions, then over the captions that have any,
        of all ranks.

        Args:
            hidden: (B, L) bool, which word pieces to predict.
            seen: the experts whose clips the decoder sees.
            video: with tokens named like those experts.
            query: with tokens ``words``.
            captions: B captions.
        """
        clips = torch.cat([video.tokens[name] for name in seen], dim=1)
        no_clip = ~torch.cat([video.masks[name] for name in seen], dim=1)
        blind = no_clip.all(dim=1, keepdim=True)  # a video that lacks all these experts
        no_clip, hidden = no_clip & ~blind, hidden & ~blind
        words = query.masks["words"]
        # Attention over nothing is NaN, so a caption without words attends to its padding. It has
        # no part in the loss.
        no_word = ~words & words.any(dim=1, keepdim=True)
        y = self._hide(hidden, query, captions)
        for layer in self.decoder:
            y = layer(y, clips, tgt_key_padding_mask=no_word, memory_key_padding_mask=no_clip)
        # Computed once, since it makes the CPU wait for the accelerator.
        places = hidden.nonzero(as_tuple=True)
        pieces = F.cross_entropy(self.head(y[places]), captions.ids[places], reduction="none")
        sums = pieces.new_zeros(hidden.shape).index_put(places, pieces).sum(dim=1)
        return global_mean(sums / hidden.sum(dim=1).clamp(min=1), hidden.any(dim=1))

    def _hide(self, hidden: Tensor, query: Representation, captions: Captions) -> Tensor:
        """Return the masked caption, (B, L, D)."""
        if self.where == "input":
            (language,) = self._language
            ids = captions.ids.masked_fill(hidden, language.mask_id)
            x = self.project(language.encode(ids, captions.mask))
        else:
            x = self.project(query.tokens["words"])
            x = torch.where(hidden.unsqueeze(-1), self.mask_vector.to(x.dtype), x)
        if self.positions:
            x = x + sinusoid(x.shape[1], x.shape[2]).to(x)
        masked: Tensor = x
        return masked


class TiedHead(nn.Module):
    """Scores of all word pieces: inner products with the language model's word embeddings.

    Args:
        dim: D, the width of the input.
        language: owns the embeddings, which are not registered here.
    """

    def __init__(self, dim: int, language: Language) -> None:
        super().__init__()
        self._language = (language,)
        self.expand = nn.Linear(dim, language.width) if language.width != dim else nn.Identity()
        self.bias = nn.Parameter(torch.zeros(language.vocabulary))

    def forward(self, y: Tensor) -> Tensor:
        """Map ``(M, D)`` to ``(M, vocabulary)``."""
        (language,) = self._language
        return F.linear(self.expand(y), language.word_embeddings, self.bias)
