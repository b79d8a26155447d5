"""What encoders of captions have in common: a pretrained language model, trained or frozen."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pad_sequence

from varkit.blocks.frozen_states import Progress, frozen_states
from varkit.blocks.language_files import lacking, obtain
from varkit.blocks.language_model import Language
from varkit.errors import VarkitError
from varkit.interfaces import CaptionFacts, Captions
from varkit.plugins.source import source_hashes
from varkit.system.files import sha256
from varkit.system.machine import arithmetic


class CaptionEncoder(nn.Module):
    """The half of a text encoder below its head: captions become hidden states of a BERT.

    A frozen language model stays in evaluation mode, and the states of each caption are computed
    once, in fp32: by :meth:`remember`, which keeps them in files that all runs share, or alone,
    when a caption first occurs. So they are the same to the last bit whatever the batch, the
    precision, or the moment at which a run was resumed. Frozen weights are in no checkpoint;
    :meth:`fingerprint` says which they are.

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

    def caption_facts(self, texts: Sequence[str]) -> CaptionFacts:
        """Count unknown word pieces, and captions that are cut at ``max_tokens``."""
        return self.language.facts(texts, self.max_tokens)

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

    def remember(self, texts: Sequence[str], progress: Progress | None = None) -> None:
        """Compute the states of captions in batches, or read them if any run has computed them.

        Does nothing if the language model is trained.

        Args:
            texts: all captions of a split; runs that ask for the same captions share the files.
            progress: called before every batch; see :mod:`varkit.blocks.frozen_states`.
        """
        if self.finetune or self._remembered.keys() >= set(texts):
            return
        language = self.language
        facts = [
            language.fingerprint(),
            sha256(language.folder / "config.json"),
            str(language.word_embeddings.dtype),
            source_hashes([__name__], lambda name: name.startswith("varkit.blocks.")),
            version("transformers"),
            *arithmetic(language.word_embeddings.device),
        ]
        ids = dict(zip(texts, language.token_ids(texts, self.max_tokens), strict=True))
        states = dict(frozen_states(ids.values(), self._encode, facts, progress))
        for text in ids.keys() - self._remembered.keys():
            self._remembered[text] = states[ids[text]]

    def _remember(self, captions: Captions, b: int) -> Tensor:
        text = captions.texts[b]
        if text not in self._remembered:
            ids = captions.ids[b][captions.mask[b]]
            self._remembered[text] = self._encode(ids.unsqueeze(0))[0].cpu()
        return self._remembered[text]

    def _encode(self, ids: Tensor) -> Tensor:
        """Map ``(B, L)`` ids, without padding, to ``(B, L, H)`` states in full precision."""
        ids = ids.to(self.language.word_embeddings.device)
        with torch.no_grad(), torch.autocast(ids.device.type, enabled=False):
            return self.language.encode(ids, torch.ones_like(ids, dtype=torch.bool))
