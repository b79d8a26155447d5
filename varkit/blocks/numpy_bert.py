"""Sentence encoders like BERT in NumPy: a query needs neither torch nor transformers.

The network of Devlin et al. (2019, arXiv:1810.04805) with the mean over tokens of Reimers and
Gurevych (2019, arXiv:1908.10084), as in the MiniLM models of sentence-transformers.

Letters: Q sentences; B sentences of one length; L tokens; H heads; D width.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Tokenizer

from varkit.errors import CheckpointError
from varkit.interfaces.searching import Array
from varkit.system.inputs import (
    InputError,
    check_user_file,
    open_user_file,
    read_user_file,
    reading,
)

WEIGHTS, TOKENIZER, CONFIG = "model.safetensors", "tokenizer.json", "config.json"
TOKENS = 2048
"""How many tokens go through the network at a time, at least one sentence."""
SAMPLE, STEP = 2**12, 2**18
"""A fingerprint reads 4 KiB of every 256 of the weights."""

_WORDS = "embeddings.word_embeddings.weight"
_MODULES = ("Transformer", "Pooling", "Normalize")
_POOLING, _MEAN = "pooling_mode_", "pooling_mode_mean_tokens"


class NumpyBert:
    """Sentences become unit vectors.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and ``tokenizer.json``; optionally with
            ``modules.json`` and what it names, as sentence-transformers writes them.

    Attributes:
        width: D.

    Raises:
        CheckpointError: a file is missing or damaged, or the model is not a BERT with exact GELU
            and the mean over tokens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        config = _expected(_json(folder / CONFIG), folder / CONFIG)
        with reading(folder / CONFIG, CheckpointError):
            self.width, self._heads = int(config["hidden_size"]), int(config["num_attention_heads"])
            self._eps = float(config.get("layer_norm_eps", 1e-12))
            layers, shapes = int(config["num_hidden_layers"]), _shapes(config)
            if self.width % self._heads:
                raise InputError(f"has {self._heads} heads, which do not divide {self.width}")
        places = shapes["embeddings.position_embeddings.weight"][0]
        self._tokenizer = _tokenizer(folder / TOKENIZER, min(places, _longest(folder)))
        file = folder / WEIGHTS
        with reading(file, CheckpointError, hint="fetch the model again"):
            check_user_file(file)
            stored: Any = safe_open(file, framework="numpy")
            prefix = "" if _WORDS in stored.keys() else "bert."  # noqa: SIM118
            self._words = stored.get_slice(prefix + _WORDS)
            known = self._tokenizer.get_vocab_size()
            if self._words.get_shape()[0] < known:
                raise InputError(f"has fewer embeddings than {TOKENIZER} has words, {known:,}")
            self._weights = {}
            for name, shape in shapes.items():
                weights = stored.get_tensor(prefix + name)
                if weights.shape != shape:
                    raise InputError(f"has {name} of shape {weights.shape}; {CONFIG} says {shape}")
                self._weights[name] = weights.astype(np.float32, copy=False)
        self._layers = [_part(self._weights, f"encoder.layer.{n}.") for n in range(layers)]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the configuration, the tokenizer, and 4 KiB of every 256 of the weights."""
        return fingerprint(*(self.folder / name for name in (WEIGHTS, CONFIG, TOKENIZER)))

    def knows(self, text: str) -> bool:
        """Return whether a text has a word that the vocabulary has."""
        encoding = self._tokenizer.encode(valid_unicode(text), add_special_tokens=False)
        unknown = self._tokenizer.model.unk_token
        return any(token != unknown for token in encoding.tokens)

    def encode(self, texts: Sequence[str]) -> Array:
        """Return (Q, D) unit vectors; a text that is too long is cut."""
        encodings = self._tokenizer.encode_batch(list(map(valid_unicode, texts)))
        tokens = [encoding.ids for encoding in encodings]
        vectors = np.empty((len(texts), self.width), np.float32)
        by_length = sorted(range(len(texts)), key=lambda n: len(tokens[n]))
        for length, numbers in groupby(by_length, key=lambda n: len(tokens[n])):
            same = list(numbers)
            step = max(1, TOKENS // max(1, length))
            for some in (same[n : n + step] for n in range(0, len(same), step)):
                vectors[some] = self._encode(np.array([tokens[n] for n in some]))
        return vectors

    def _encode(self, ids: NDArray[np.int64]) -> Array:
        """Map (B, L) numbers of tokens to (B, D)."""
        known, inverse = np.unique(ids, return_inverse=True)
        words = np.concatenate([self._words[n : n + 1] for n in known.tolist()])
        states: Array = words.astype(np.float32)[inverse.reshape(ids.shape)]
        states += self._weights["embeddings.position_embeddings.weight"][: ids.shape[1]]
        states += self._weights["embeddings.token_type_embeddings.weight"][0]
        states = self._norm(states, _part(self._weights, "embeddings."), "LayerNorm")
        for layer in self._layers:
            mixed = self._attend(states, layer)
            states = self._norm(states + mixed, layer, "attention.output.LayerNorm")
            hidden = gelu(_linear(states, layer, "intermediate.dense"))
            states += _linear(hidden, layer, "output.dense")
            states = self._norm(states, layer, "output.LayerNorm")
        return unit(states.mean(axis=1))

    def _attend(self, states: Array, layer: Mapping[str, Array]) -> Array:
        """Return the self-attention of (B, L, D) states."""
        split = (*states.shape[:2], self._heads, -1)
        query, key, value = (
            _linear(states, layer, f"attention.self.{name}").reshape(split).transpose(0, 2, 1, 3)
            for name in ("query", "key", "value")
        )
        scores = query @ key.swapaxes(2, 3) / np.float32(math.sqrt(query.shape[-1]))
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = (scores @ value).transpose(0, 2, 1, 3).reshape(states.shape)
        return _linear(mixed, layer, "attention.output.dense")

    def _norm(self, states: Array, weights: Mapping[str, Array], name: str) -> Array:
        centred = states - states.mean(axis=-1, keepdims=True)
        deviation = np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + self._eps)
        normed: Array = centred / deviation * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return normed


def unit(vectors: Array) -> Array:
    """Return (..., D) vectors scaled to length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    scaled: Array = vectors / np.maximum(lengths, np.finfo(np.float32).tiny)
    return scaled


def fingerprint(weights: Path, *others: Path) -> str:
    """Return a SHA-256 that tells a model from others, in milliseconds.

    It is of 4 KiB of every 256 of the weights, and of all of the other files. Training changes all
    of a model's weights, and reading them all takes longer than to answer a query.

    Raises:
        CheckpointError: a file cannot be read.
    """
    digest = hashlib.sha256()
    with reading(weights, CheckpointError), open_user_file(weights) as file:
        size = file.seek(0, 2)
        digest.update(str(size).encode())
        for start in range(0, size, STEP):
            file.seek(start)
            digest.update(file.read(SAMPLE))
    for path in others:
        with reading(path, CheckpointError):
            digest.update(read_user_file(path))
    return digest.hexdigest()


_SCALE, _BOUND = 128, 6
_POINTS = np.arange(-_SCALE * _BOUND, _SCALE * _BOUND + 1) / _SCALE
_CUMULATIVE = np.array([math.erfc(-x / math.sqrt(2)) / 2 for x in _POINTS], np.float32)
_DENSITY = (np.exp(-np.square(_POINTS) / 2) / math.sqrt(2 * math.pi)).astype(np.float32)


def gelu(x: Array) -> Array:
    """Return x times the normal distribution function of x, to the precision of float32.

    NumPy has no error function. Two terms of Taylor's series lead from the nearest of 1,537 points.
    """
    nearest = np.rint(np.clip(x, -_BOUND, _BOUND) * np.float32(_SCALE))
    place = nearest.astype(np.intp) + _SCALE * _BOUND
    nearest /= _SCALE
    step = np.clip(x, -_BOUND, _BOUND) - nearest
    cumulative: Array = _CUMULATIVE[place] + _DENSITY[place] * step * (1 - nearest * step / 2)
    return x * cumulative


def _linear(states: Array, weights: Mapping[str, Array], name: str) -> Array:
    flat: Array = states.reshape(-1, states.shape[-1]) @ weights[f"{name}.weight"].T
    flat += weights[f"{name}.bias"]
    return flat.reshape(*states.shape[:-1], -1)


def _shapes(config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of all weights but the embeddings of words."""
    width, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    square = [f"attention.self.{name}" for name in ("query", "key", "value")]
    linear = dict.fromkeys((*square, "attention.output.dense"), (width, width))
    linear |= {"intermediate.dense": (inner, width), "output.dense": (width, inner)}
    norms = ("attention.output.LayerNorm", "output.LayerNorm")
    layer = linear | dict.fromkeys(norms, (width,))
    parts = {"embeddings.LayerNorm": (width,)} | {
        f"encoder.layer.{n}.{name}": shape
        for n in range(int(config["num_hidden_layers"]))
        for name, shape in layer.items()
    }
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.position_embeddings.weight": (int(config["max_position_embeddings"]), width),
        "embeddings.token_type_embeddings.weight": (int(config.get("type_vocab_size", 2)), width),
    }
    for name, shape in parts.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def _part(weights: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    return {n.removeprefix(prefix): w for n, w in weights.items() if n.startswith(prefix)}


def valid_unicode(text: str) -> str:
    """Replace half a surrogate pair, as from a broken command line."""
    return text.encode("utf-8", "replace").decode()


def _json(path: Path) -> Any:
    with reading(path, CheckpointError):
        return json.loads(read_user_file(path))


def _expected(config: Any, path: Path) -> Mapping[str, Any]:
    """Refuse what this network is not."""
    wanted = {
        "model_type": "bert",
        "hidden_act": "gelu",
        "position_embedding_type": "absolute",
        "is_decoder": False,
    }
    with reading(path, CheckpointError):
        for key, value in wanted.items():
            if config.get(key, value) != value:
                raise InputError(f"has {key} {config[key]!r}; only {value!r} is known here")
    return dict(config)


def _longest(folder: Path) -> int:
    """Return how many tokens a sentence may have, after a look at sentence-transformers' files."""
    if (modules := folder / "modules.json").exists():
        for module in _json(modules):
            with reading(modules, CheckpointError):
                kind = str(module["type"]).rpartition(".")[2]
                if kind not in _MODULES:
                    raise InputError(f"has a module {kind}; known are {', '.join(_MODULES)}")
                path = folder / str(module["path"]) / CONFIG
            if kind == "Pooling":
                pooling = _json(path)
                with reading(path, CheckpointError):
                    if [n for n, on in pooling.items() if n.startswith(_POOLING) and on] != [_MEAN]:
                        raise InputError(f"does not say {_MEAN} alone, the only pooling known here")
    if not (file := folder / "sentence_bert_config.json").exists():
        return 2**31
    with reading(file, CheckpointError):
        return int(_json(file).get("max_seq_length") or 2**31)


def _tokenizer(path: Path, longest: int) -> Tokenizer:
    with reading(path, CheckpointError, hint="fetch the model again"):
        check_user_file(path)
        tokenizer = Tokenizer.from_file(str(path))
        tokenizer.no_padding()
        tokenizer.enable_truncation(longest)
    return tokenizer
