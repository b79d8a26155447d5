"""A pretrained language model, checked and loaded without the network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from torch import Tensor, nn

from varkit.blocks.pretrained import load_pretrained, model_type
from varkit.blocks.tokenizer_checks import check_tokenizer
from varkit.interfaces import CaptionFacts, Captions
from varkit.system.files import sha256

DROPOUT_OF = {
    "bert": "hidden_dropout_prob",
    "camembert": "hidden_dropout_prob",
    "distilbert": "dropout",
    "mpnet": "hidden_dropout_prob",
    "roberta": "hidden_dropout_prob",
    "xlm-roberta": "hidden_dropout_prob",
}
"""The model types that can be used, and what their configuration calls the hidden dropout.

All start a text with a CLS token and embed word pieces in the width of their hidden states.
"""

CHUNK = 4096
"""Texts that are tokenised together; the tokenizer needs far more memory than their ids."""


class Language(nn.Module):
    """A language model and its tokenizer.

    A frozen model's weights are not trained and not saved: they are buffers that stay out of the
    state dict, since recipe and :meth:`fingerprint` say which they are. A checkpoint of a frozen
    model is therefore small, and loads strictly into a model with the same frozen weights.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and the files of a fast tokenizer.
        trainable: whether the weights are parameters.
        dropout: hidden dropout of a trainable model; a frozen one has none.

    Raises:
        VarkitError: the folder does not hold such a model.
    """

    def __init__(self, folder: Path, *, trainable: bool, dropout: float) -> None:
        super().__init__()
        self.folder = folder
        self.trainable = trainable
        self.model, self.tokenizer = _load(folder, dropout)
        self.width = int(self.model.config.hidden_size)
        self.vocabulary = int(self.model.config.vocab_size)
        self.mask_id = int(self.tokenizer.mask_token_id)
        # RoBERTa's kind counts positions from behind the padding token's.
        before = getattr(self.model.embeddings, "padding_idx", -1) + 1
        positions = int(self.model.config.max_position_embeddings) - before
        self.longest = min(int(self.tokenizer.model_max_length), positions)
        if not trainable:
            _parameters_to_buffers(self.model)
            self.eval()

    @property
    def word_embeddings(self) -> Tensor:
        """The (vocabulary, width) embeddings of the word pieces."""
        weight: Tensor = self.model.get_input_embeddings().weight
        return weight

    def train(self, mode: bool = True) -> Self:
        """Switch dropout on or off; a frozen model's stays off."""
        super().train(mode and self.trainable)
        return self

    def encode(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, L)`` ids and their mask to the last layer's ``(B, L, width)``."""
        states: Tensor = self.model(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return states

    def tokenize(self, texts: Sequence[str], longest: int) -> Captions:
        """Cut B texts into at most ``longest`` tokens, CLS and SEP included."""
        cut = self.tokenizer(
            list(texts),
            truncation=True,
            max_length=longest,
            padding=True,
            return_offsets_mapping=True,
            return_tensors="pt",
        )
        offsets: Tensor = cut["offset_mapping"].long()
        # A token that covers no character is not of the text: CLS, SEP, padding.
        words = offsets[..., 1] > offsets[..., 0]
        return Captions(
            texts=tuple(texts),
            ids=cut["input_ids"].long(),
            mask=cut["attention_mask"].bool(),
            words=words,
            offsets=offsets * words.unsqueeze(-1),
        )

    def token_ids(self, texts: Sequence[str], longest: int) -> list[tuple[int, ...]]:
        """Return the ids of :meth:`tokenize` for each text, without padding."""
        return self._ids(texts, truncation=True, max_length=longest)

    def facts(self, texts: Sequence[str], longest: int) -> CaptionFacts:
        """Count what :meth:`tokenize` does not know, and what it loses by the cut."""
        whole = self._ids(list(dict.fromkeys(texts)), add_special_tokens=False, verbose=False)
        room = longest - self.tokenizer.num_special_tokens_to_add()
        same = defaultdict(set)
        for ids in whole:
            same[ids[:room]].add(ids)
        return CaptionFacts(
            captions=len(whole),
            tokens=sum(map(len, whole)),
            unknown=sum(ids.count(self.tokenizer.unk_token_id) for ids in whole),
            cut=sum(len(ids) > room for ids in whole),
            equal=sum(len(same[ids[:room]]) > 1 for ids in whole),
        )

    def _ids(self, texts: Sequence[str], **options: Any) -> list[tuple[int, ...]]:
        return [
            tuple(ids)
            for start in range(0, len(texts), CHUNK)
            for ids in self.tokenizer(
                list(texts[start : start + CHUNK]), return_attention_mask=False, **options
            )["input_ids"]
        ]

    def fingerprint(self) -> str:
        """Return the SHA-256 of the file with the pretrained weights."""
        return sha256(self.folder / "model.safetensors")


def _load(folder: Path, dropout: float) -> tuple[Any, Any]:
    kind = model_type(folder, DROPOUT_OF)
    model, tokenizer = load_pretrained(
        folder,
        unread=["pooler"],  # it serves next-sentence prediction
        tokenizer_options={"padding_side": "right", "truncation_side": "right"},
        **{DROPOUT_OF[kind]: dropout},
    )
    check_tokenizer(tokenizer, model, folder)
    return model, tokenizer


def _parameters_to_buffers(model: nn.Module) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)
