"""What encoders of captions have in common: a pretrained language model, trained or frozen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from varkit.blocks.language import Language
from varkit.blocks.language_files import lacking, obtain
from varkit.errors import VarkitError
from varkit.interfaces import Captions


class CaptionEncoder(nn.Module):
    """The half of a text encoder below its head: captions become hidden states of a BERT.

    A frozen language model stays in evaluation mode, and the states of each caption are computed
    once, alone and in fp32, and kept in main memory. So they are the same to the last bit whatever
    the batch, the precision, or the moment at which a run was resumed. Frozen weights are in no
    checkpoint; :meth:`fingerprint` says which they are.

    Args:
        model: a folder, ``package:NAME`` for a folder inside an installed Python package, or a
            hub name with its ``revision``. The folder holds ``config.json``,
            ``model.safetensors`` and a fast tokenizer.
        revision: the full commit of a hub name.
        download: whether a hub model may be downloaded.
        finetune: train the language model too.
        max_tokens: captions are cut to this many word pieces, [CLS] and [SEP] included.
        dropout: of the hidden layers of a model that is trained, else of its states.

    Raises:
        VarkitError: the language model is not on this machine, cannot be used, or reads fewer
            than ``max_tokens`` tokens.
    """

    consumes: ClassVar[Literal["clips", "captions"]] = "captions"
    detector: Any = None

    def __init__(
        self,
        *,
        model: str,
        revision: str | None,
        download: bool,
        finetune: bool,
        max_tokens: int,
        dropout: float,
    ) -> None:
        super().__init__()
        folder = obtain(model, revision, download=download)
        self.language = Language(folder, trainable=finetune, dropout=dropout)
        if max_tokens > self.language.longest:
            raise VarkitError(
                f"max_tokens={max_tokens}, but {model} reads at most {self.language.longest}",
                hint=f"set query.max_tokens={self.language.longest}",
            )
        self.max_tokens = max_tokens
        self.finetune = finetune
        self.dropout = nn.Dropout(0.0 if finetune else dropout)
        self._remembered: dict[str, Tensor] = {}

    @staticmethod
    def missing(
        *, model: str, revision: str | None = None, download: bool = False, **_: Any
    ) -> list[str]:
        """Say whether the language model is absent from this machine, and how to get it."""
        return lacking(model, revision, download=download)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the pretrained weights."""
        return self.language.fingerprint()

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Cut B captions into word pieces."""
        return self.language.tokenize(texts, self.max_tokens)

    def states(self, captions: Captions) -> Tensor:
        """Return the last layer's ``(B, L, H)``; what stands in the padding has no meaning."""
        if self.finetune:
            return self.language.encode(captions.ids, captions.mask)
        rows = [self._remember(captions, b) for b in range(len(captions))]
        states = pad_sequence(rows, batch_first=True)
        states = F.pad(states, (0, 0, 0, captions.ids.shape[1] - states.shape[1]))
        dropped: Tensor = self.dropout(states.to(captions.ids.device))
        return dropped

    def _remember(self, captions: Captions, b: int) -> Tensor:
        text = captions.texts[b]
        if text not in self._remembered:
            mask = captions.mask[b : b + 1]
            ids = captions.ids[b : b + 1][mask].unsqueeze(0)
            with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
                states = self.language.encode(ids, torch.ones_like(ids, dtype=torch.bool))
            self._remembered[text] = states[0].cpu()
        return self._remembered[text]
