"""A pretrained language model, checked and loaded without the network."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from varkit.blocks.tokenizer_checks import check_tokenizer
from varkit.errors import VarkitError, did_you_mean
from varkit.interfaces import CaptionFacts, Captions
from varkit.system.files import sha256
from varkit.system.inputs import check_user_file, read_user_file

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
    try:
        for file in folder.iterdir():  # transformers opens them itself
            if not file.is_dir():
                check_user_file(file)
        kind = json.loads(read_user_file(folder / "config.json"))["model_type"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise VarkitError(f"{folder / 'config.json'} names no model_type: {error!r}") from error
    if kind not in DROPOUT_OF:
        raise VarkitError(
            f"the model in {folder} is of type {kind!r}; allowed: "
            f"{', '.join(DROPOUT_OF)}.{did_you_mean(str(kind), DROPOUT_OF)}"
        )
    from transformers import AutoModel, AutoTokenizer

    local = {"local_files_only": True, "trust_remote_code": False}
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(
                folder, padding_side="right", truncation_side="right", **local
            )
            tokenizer.model_max_length = int(tokenizer.model_max_length)  # the file may hold text
            model, report = AutoModel.from_pretrained(
                folder,
                **{DROPOUT_OF[kind]: dropout},
                dtype=torch.float32,
                use_safetensors=True,
                output_loading_info=True,
                **local,
            )
    except Exception as error:  # many kinds, by what is wrong with the files
        raise VarkitError(
            f"cannot load the language model in {folder}: {type(error).__name__}: {error}",
            hint="fetch its files again",
        ) from error
    # The pooler serves next-sentence prediction; nothing here reads it.
    model.pooler = None
    parts = [name for name, _ in model.named_children()]
    for fault, keys in (
        ("lacks weights of the model", report["missing_keys"]),
        ("has weights that config.json does not describe", report["unexpected_keys"]),
    ):
        # Keys may start with the name of the model. A head is not a part of it.
        prefix = f"{model.base_model_prefix}."
        names = sorted(key for key in keys if key.removeprefix(prefix).split(".")[0] in parts)
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise VarkitError(
                f"{folder / 'model.safetensors'} {fault}: {', '.join(names[:3])}{more}",
                hint="fetch its files again",
            )
    check_tokenizer(tokenizer, model, folder)
    return model, tokenizer


def _parameters_to_buffers(model: nn.Module) -> None:
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            delattr(module, name)
            module.register_buffer(name, parameter.detach(), persistent=False)


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers from reporting on stderr: what matters is checked and raised."""
    from transformers.utils import logging as untyped

    logging: Any = untyped
    verbosity, bar = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bar:
            logging.enable_progress_bar()
