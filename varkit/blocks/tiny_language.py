"""A language model with random weights, for checks on a machine without a pretrained one."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from varkit.blocks.pretrained import quiet
from varkit.system.torchvision import mend_torchvision

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "a the of in is are was two man woman people car dog fire store street building window truck "
    "hits fighting smashes walks rises runs away not slowly quickly old red ##s ##ed ##ing"
)


def write_tiny_language(folder: Path, *, width: int = 32, layers: int = 1) -> Path:
    """Write a BERT of random weights, the same every time, and its word-piece tokenizer.

    Every caption in lower-case letters can be cut: what is no word falls apart into letters.

    Args:
        folder: where to; is made.
        width: H, of the hidden states; must be even.
        layers: of the Transformer.

    Returns:
        The folder.
    """
    mend_torchvision()
    from transformers import BertConfig, BertModel

    letters = [prefix + letter for letter in "abcdefghijklmnopqrstuvwxyz" for prefix in ("", "##")]
    vocabulary = list(dict.fromkeys([*SPECIAL, ".", ",", *WORDS.split(), *letters]))
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        num_hidden_layers=layers,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=80,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n")
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertTokenizer", "do_lower_case": True})
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = BertModel(config, add_pooling_layer=False)
    with quiet():
        model.save_pretrained(folder)
    return folder


def write_tiny_encoder(folder: Path, *, layers: int = 1) -> Path:
    """Write such a BERT as :class:`varkit.blocks.numpy_bert.NumpyBert` reads it.

    Returns:
        The folder.
    """
    from tokenizers import BertWordPieceTokenizer

    write_tiny_language(folder, layers=layers)
    tokenizer = BertWordPieceTokenizer(str(folder / "vocab.txt"))
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder
