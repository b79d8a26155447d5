"""ALAN's text encoder: a caption becomes one gated vector an expert, twice, and its weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from varkit.blocks.gated_embedding import GateNorm
from varkit.blocks.language import Language
from varkit.blocks.language_files import lacking, obtain
from varkit.errors import VarkitError
from varkit.types import Captions, Rate, Representation
from varkit_alan.expert_weights import GatedExperts, WeightSets, WeightsFrom


class Bert(nn.Module):
    """A BERT with gated embedding units (ALAN III-D).

    X^t = BERT(caption),  g^t = X^t at [CLS],  h^t = mean of X^t over the caption's tokens,

    g^{tk} = GEU_k^g(g^t),  h^{tk} = GEU_k^h(h^t),  w = softmax_k(Linear_k(g^{tk}))   (Eq. 3, 4)

    The mean leaves out [CLS], [SEP] and padding; a caption without any word has h^t = g^t.

    With ``finetune: false`` the language model stays in evaluation mode, and X^t of each caption
    is computed once, alone and in fp32, and kept in main memory. So it is the same to the last bit
    whatever the batch, the precision, or the moment at which a run was resumed. Frozen weights
    are in no checkpoint; :meth:`fingerprint` says which they are.

    Args:
        dim: D.
        experts: the E experts of the video side.
        model: the language model: a folder, ``package:NAME`` for a folder inside an installed
            Python package, or a hub name with its ``revision``. The paper: BERT-base, cased. The
            folder holds ``config.json``, ``model.safetensors`` and a fast tokenizer.
        revision: the full commit of a hub name, which makes the recipe mean one model for ever.
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

    consumes: ClassVar[Literal["clips", "captions"]] = "captions"
    detector: Any = None

    def __init__(
        self,
        dim: int,
        experts: tuple[str, ...],
        *,
        model: str,
        revision: str | None = None,
        download: bool = False,
        finetune: bool = True,
        max_tokens: Annotated[int, Ge(3)] = 64,
        dropout: Rate = 0.3,
        gate_norm: GateNorm = "batch",
        weights_from: WeightsFrom = "gated",
        weights: WeightSets = "shared",
    ) -> None:
        super().__init__()
        folder = obtain(model, revision, download=download)
        self.language = Language(folder, trainable=finetune, dropout=dropout)
        if max_tokens > self.language.longest:
            raise VarkitError(
                f"bert: max_tokens={max_tokens}, but {model} reads at most {self.language.longest}",
                hint=f"set query.max_tokens={self.language.longest}",
            )
        self.max_tokens = max_tokens
        self.finetune = finetune
        self.dropout = nn.Dropout(0.0 if finetune else dropout)
        self.head = GatedExperts(
            self.language.width,
            dim,
            len(experts),
            gate_norm=gate_norm,
            weights_from=weights_from,
            weights=weights,
        )
        self._remembered: dict[str, Tensor] = {}

    @staticmethod
    def missing(
        *, model: str, revision: str | None = None, download: bool = False, **_: Any
    ) -> list[str]:
        """Say whether the language model is absent from this machine, and how to get it."""
        return lacking(model, revision, download=download)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Return constructor arguments of a small instance that can be built anywhere."""
        from varkit.blocks.tiny_language import write_tiny_language

        return {"model": str(write_tiny_language(folder)), "gate_norm": "layer"}

    def fingerprint(self) -> str:
        """Return the SHA-256 of the pretrained weights."""
        return self.language.fingerprint()

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Cut B captions into word pieces."""
        return self.language.tokenize(texts, self.max_tokens)

    def forward(self, captions: Captions) -> Representation:
        """Encode B captions.

        Returns:
            Vectors ``(B, E, D)`` and weights ``(B, E)``, both under ``cls`` and ``avg``; tokens
            ``words`` ``(B, L, H)``, X^t in the width of the language model, whose mask leaves
            out [CLS] and [SEP].
        """
        states: Tensor = self.dropout(self._states(captions))
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

    def _states(self, captions: Captions) -> Tensor:
        """Return X^t, (B, L, H); what stands in the padding has no meaning."""
        if self.finetune:
            return self.language.encode(captions.ids, captions.mask)
        rows = [self._remember(captions, b) for b in range(len(captions))]
        states = pad_sequence(rows, batch_first=True)
        states = F.pad(states, (0, 0, 0, captions.ids.shape[1] - states.shape[1]))
        return states.to(captions.ids.device)

    def _remember(self, captions: Captions, b: int) -> Tensor:
        text = captions.texts[b]
        if text not in self._remembered:
            mask = captions.mask[b : b + 1]
            ids = captions.ids[b : b + 1][mask].unsqueeze(0)
            with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
                states = self.language.encode(ids, torch.ones_like(ids, dtype=torch.bool))
            self._remembered[text] = states[0].cpu()
        return self._remembered[text]
