"""Checks of a pretrained tokenizer where its library goes on without a word.

Without its files transformers makes a tokenizer that knows its special tokens alone. Without a
``tokenizer_config.json`` it lowers what BERT reads, whatever ``tokenizer.json`` says.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from varkit.errors import VarkitError

LEAST_KNOWN = 0.5
"""The smallest vocabulary, as a share of the model's word embeddings. Some embeddings may have no
token: their number is often rounded up."""

MOST_CHANGED = 0.005
"""The largest share of a vocabulary that a tokenizer may change before it looks a word up. Of
30,517 tokens of an uncased BERT it changes none."""

_SPECIAL = ("cls", "sep", "pad", "mask", "unk")


def check_tokenizer(tokenizer: Any, model: Any, folder: Path) -> None:
    """Refuse a tokenizer that does not fit the model or contradicts its own vocabulary.

    Raises:
        VarkitError: it is a slow one; lacks a special token; adds no CLS and SEP; knows more tokens
            than the model, or far fewer; pads with another token than the model's positions skip;
            or changes case or accents that its vocabulary has.
    """
    special = {name: getattr(tokenizer, f"{name}_token_id") for name in _SPECIAL}
    absent = [name for name, number in special.items() if number is None]
    if not tokenizer.is_fast or absent:
        raise VarkitError(
            f"the tokenizer in {folder} must be a fast one and have the special tokens "
            f"{', '.join(_SPECIAL)}; it lacks {', '.join(absent) or 'the former'}"
        )
    if tokenizer("")["input_ids"] != [special["cls"], special["sep"]]:
        raise VarkitError(f"the tokenizer in {folder} does not put CLS and SEP around a text")
    check_size(tokenizer, model.get_input_embeddings().num_embeddings, folder)
    skipped = getattr(model.embeddings, "padding_idx", special["pad"])
    if skipped != special["pad"]:
        raise VarkitError(
            f"the tokenizer in {folder} pads with token {special['pad']}, but the model with "
            f"{skipped}",
            hint="its files must be those of this model",
        )
    _check_case(tokenizer, folder)


def check_size(tokenizer: Any, embeddings: int, folder: Path) -> None:
    """Refuse a tokenizer that knows more tokens than there are embeddings, or far fewer.

    Raises:
        VarkitError: it does.
    """
    numbers = tokenizer.get_vocab().values()
    if LEAST_KNOWN * embeddings <= len(numbers) and max(numbers) < embeddings:
        return
    raise VarkitError(
        f"the tokenizer in {folder} knows {len(numbers):,} tokens, but the model has "
        f"{embeddings:,} word embeddings",
        hint=f"its files ({', '.join(tokenizer.vocab_files_names.values())}) must be complete, "
        "and those of this model",
    )


def _check_case(tokenizer: Any, folder: Path) -> None:
    """Compare what the tokenizer does to case and accents with the tokens of its vocabulary."""
    backend = tokenizer.backend_tokenizer
    added = tokenizer.get_added_vocab()
    ordinary = [token for token in tokenizer.get_vocab() if token not in added]
    if backend.decoder is not None:  # the signs of a byte, for example, are not its letters
        ordinary = [backend.decoder.decode([token]) for token in ordinary]
    texts = [token.removeprefix("##").strip() for token in ordinary]

    def normalized(text: str) -> str:
        changed = text if backend.normalizer is None else backend.normalizer.normalize_str(text)
        return str(changed).strip()

    lowers = normalized("A") == "a"
    changed = [text for text in texts if normalized(text) != text]
    if len(changed) > MOST_CHANGED * len(texts):
        example = min(changed)
        cased = any(text != text.lower() for text in changed)
        option = {"do_lower_case" if lowers and cased else "strip_accents": False}
        raise VarkitError(
            f"the tokenizer in {folder} reads {example!r} as {normalized(example)!r}; so it never "
            f"uses {len(changed):,} of the {len(texts):,} tokens in its vocabulary",
            hint=f"unless the vocabulary is of another model, write {json.dumps(option)} into "
            f"{folder / 'tokenizer_config.json'}",
        )
    has_letters = any(text != text.upper() for text in texts)
    if has_letters and not lowers and all(text == text.lower() for text in texts):
        raise VarkitError(
            f"the tokenizer in {folder} keeps capital letters, but its vocabulary has none",
            hint='unless the vocabulary is of another model, write {"do_lower_case": true} into '
            f"{folder / 'tokenizer_config.json'}",
        )
