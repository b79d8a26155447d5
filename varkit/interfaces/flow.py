"""The data that components exchange: clips and captions in, representations out.

Letters mean the same everywhere: B videos of a batch (V of a gallery), Q queries, T clips,
N sampled clips, L tokens, E experts (object, motion), D width, K length of a factor vector.
Padding is always given by a bool mask, True = real; adding padding must not change any output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from varkit.interfaces.draws import Draws


@dataclass(frozen=True)
class Clips:
    """The clips of B videos or sounds, padded to the longest.

    Attributes:
        streams: name -> (B, T, D_stream) float features; every stream has the same T.
        mask: (B, T) bool, True = a real clip; every item has at least one.
        times: (B, T, 2) float32, start and end of each clip in seconds; 0 in the padding.
        draws: the random numbers of these B items.
        present: name -> (B,) bool, True = the item has this stream; a stream that all items have
            may be left out. What stands in a stream that an item lacks must not change any output.
    """

    streams: Mapping[str, Tensor]
    mask: Tensor
    times: Tensor
    draws: Draws
    present: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return B."""
        return self.mask.shape[0]

    def has(self, names: Sequence[str]) -> Tensor:
        """Return (B, E) bool: which of E streams each item has."""
        every = torch.ones_like(self.mask[:, 0])
        return torch.stack([self.present.get(name, every) for name in names], dim=1)

    def features(self, name: str) -> Tensor:
        """Return a stream's (B, T, D), all 0 for the items that lack it."""
        features = self.streams[name]
        if name not in self.present:
            return features
        return features.masked_fill(~self.present[name][:, None, None], 0)

    def to(self, device: torch.device | str) -> Clips:
        """Return the same clips on a device."""
        return _map_tensors(self, lambda x: x.to(device, non_blocking=True))


@dataclass(frozen=True)
class Captions:
    """B tokenised captions, padded to the longest.

    Attributes:
        texts: the captions as written, length B.
        ids: (B, L) int64 token ids.
        mask: (B, L) bool, True = a real token, special ones included.
        words: (B, L) bool, True = a token of the caption itself, not a special token or padding.
        offsets: (B, L, 2) int64, the characters [start, end) of ``texts`` that a word token
            covers; 0 elsewhere.
    """

    texts: tuple[str, ...]
    ids: Tensor
    mask: Tensor
    words: Tensor
    offsets: Tensor

    def __len__(self) -> int:
        """Return B."""
        return self.mask.shape[0]

    def to(self, device: torch.device | str) -> Captions:
        """Return the same captions on a device."""
        return _map_tensors(self, lambda x: x.to(device, non_blocking=True))


@dataclass(frozen=True)
class CaptionFacts:
    """What a text encoder makes of some captions; equal captions count once.

    Attributes:
        captions: how many there are.
        tokens: how many words or word pieces they have before any cut, special tokens excluded.
        unknown: how many of these tokens the encoder does not know.
        cut: how many captions are longer than what the encoder reads.
        equal: how many captions have the same tokens as another one after the cut, but not before.
    """

    captions: int
    tokens: int
    unknown: int
    cut: int
    equal: int


@dataclass(frozen=True)
class Batch:
    """B pairs of a video and its query.

    Attributes:
        video: the videos' clips.
        query: the queries: captions, or the clips of sounds.
        label: (B,) float32, 1 = anomalous, 0 = normal, NaN = unknown.
        group: (B,) int64; pairs with literally the same query share a number, so that an
            objective can avoid using them as negatives of each other.
        draws: the random numbers of these B pairs.
    """

    video: Clips
    query: Clips | Captions
    label: Tensor
    group: Tensor
    draws: Draws

    def __len__(self) -> int:
        """Return B."""
        return self.label.shape[0]

    def to(self, device: torch.device | str) -> Batch:
        """Return the same batch on a device."""
        moved = _map_tensors(self, lambda x: x.to(device, non_blocking=True))
        return replace(moved, video=self.video.to(device), query=self.query.to(device))


@dataclass(frozen=True)
class Pairs:
    """What an objective may know of the B pairs that it ranks, besides their similarity.

    Attributes:
        group: (B,) int64, equal where two queries are literally the same.
        uniform: (B, 2) float64 numbers in [0, 1), a function of epoch and pair alone; for an
            objective that draws its negatives.
        epoch: of the training, from 0.
    """

    group: Tensor
    uniform: Tensor
    epoch: int = 0

    def __len__(self) -> int:
        """Return B."""
        return len(self.group)


@dataclass(frozen=True)
class Representation:
    """The encoding of B videos or queries. Parts that an encoder does not make stay empty.

    Attributes:
        vectors: name -> (B, E, D), one vector an expert, e.g. ``"cls"`` and ``"avg"``.
        weights: name -> (B, E), how much each expert counts, rows sum to 1; on the query side,
            under the names of ``vectors``.
        tokens: name -> (B, L, D), finer parts. Sampled clips have their streams' names. The parts
            of a query are ``words``, even of a sound; ``sentence`` (B, 1, D) is the whole query.
        masks: (B, L) bool for every name in ``tokens``, True = real.
        scores: (B, T) anomaly confidence in [0, 1], 0 in the padding; None without a detector.
        picks: name -> (B, N) int64, the clips that each sampler chose.
    """

    vectors: Mapping[str, Tensor] = field(default_factory=dict)
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    tokens: Mapping[str, Tensor] = field(default_factory=dict)
    masks: Mapping[str, Tensor] = field(default_factory=dict)
    scores: Tensor | None = None
    picks: Mapping[str, Tensor] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return B."""
        return next((len(x) for x in (*self.vectors.values(), *self.tokens.values())), 0)


Flowing = TypeVar("Flowing", Clips, Captions, Batch, Representation)


def _map_tensors(value: Flowing, function: Callable[[Tensor], Tensor]) -> Flowing:
    changed: dict[str, Any] = {}
    for item in fields(value):
        part = getattr(value, item.name)
        if isinstance(part, Tensor):
            changed[item.name] = function(part)
        elif isinstance(part, Mapping):
            changed[item.name] = {name: function(tensor) for name, tensor in part.items()}
    return replace(value, **changed)
