"""Small, simple components and inputs that the kit supplies to the component under test.

They keep the promises of their interfaces, so a fault is the fault of the component under test.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.pooling import masked_mean
from varkit.interfaces import Block, Captions, Channel, Clips, Draws, Representation, Streamed

DIM = 24
EXPERTS = ("object", "motion")
WIDTHS: Mapping[str, int] = {"object": 16, "motion": 12}
SOUND_WIDTHS: Mapping[str, int] = {"audio": 8}
STREAMS: Mapping[str, Streamed] = {
    key: Streamed(key, width, classes)
    for key, width, classes in (
        ("image.classes", 4, ("car, auto", "smoke", "a fight", "dog; hound")),
        ("image.features", 8, ()),
        ("yamnet.classes", 3, ("Silence", "Car", "Shatter, break")),
        ("yamnet.features", 6, ()),
    )
}
"""What an index has of its videos."""
CHANNEL = Channel(
    (
        Block("seen", 12, log=True),
        Block("heard", 7, weight=0.3, log=True),
        Block("looks", 5, weight=2, unit=True),
    ),
    frozenset({"text"}),
)
"""What the rows of an engine are made of."""
LENGTHS = (5, 1, 17, 9)
"""Clips of the test videos; one has a single clip, fewer than most samplers pick."""
TEXTS = (
    "a man quickly smashes the window of a parked car",
    "two people are fighting",
    "an old woman slowly walks across the street while a truck hits a red bus",
    "smoke rises over the building",
)


def make_clips(widths: Mapping[str, int] = WIDTHS, lengths: Sequence[int] = LENGTHS) -> Clips:
    """Return clips of items with these lengths, the same every time; padding is zero."""
    generator = torch.Generator().manual_seed(7)
    longest = max(lengths)
    mask = torch.arange(longest) < torch.tensor(lengths)[:, None]
    streams = {
        name: torch.randn(len(lengths), longest, width, generator=generator) * mask[..., None]
        for name, width in widths.items()
    }
    starts = torch.arange(longest, dtype=torch.float32)
    times = torch.stack([starts, starts + 1], dim=1) * mask[..., None]
    items = tuple(f"item-{b}" for b in range(len(lengths)))
    return Clips(streams, mask, times, Draws(0, items))


def make_representation(
    side: Literal["video", "query"],
    size: int,
    *,
    dim: int = DIM,
    experts: Sequence[str] = EXPERTS,
) -> Representation:
    """Return a representation with every part that an encoder of that side may fill.

    Vectors are named ``cls`` and ``avg``; the tokens of a video are named like the experts, those
    of a query ``words`` and ``sentence``. Only queries have expert weights.
    """
    generator = torch.Generator().manual_seed(11 if side == "video" else 13)
    vectors = {
        name: torch.randn(size, len(experts), dim, generator=generator) for name in ("cls", "avg")
    }
    names = tuple(experts) if side == "video" else ("words",)
    mask = torch.arange(6) < torch.tensor([6 - b % 4 for b in range(size)])[:, None]
    tokens = {
        name: torch.randn(size, 6, dim, generator=generator) * mask[..., None] for name in names
    }
    masks = dict.fromkeys(names, mask)
    if side == "query":
        tokens["sentence"] = torch.randn(size, 1, dim, generator=generator)
        masks["sentence"] = mask[:, :1]
    if side == "video":
        return Representation(vectors=vectors, tokens=tokens, masks=masks)
    weights = {
        name: torch.randn(size, len(experts), generator=generator).softmax(-1) for name in vectors
    }
    return Representation(vectors=vectors, weights=weights, tokens=tokens, masks=masks)


def names_of(video: Representation, query: Representation) -> str:
    """Return the names of vectors and tokens in the kit's videos and queries, for messages."""
    names = []
    for representation in (video, query):
        vectors, tokens = map(", ".join, (representation.vectors, representation.tokens))
        names.append(f"vectors {vectors} and tokens {tokens}")
    return f"the kit's videos have {names[0]}; its queries have {names[1]}"


def truth(item: str) -> NDArray[np.bool_] | None:
    """Return the ground truth of one of the kit's videos: nowhere, somewhere, or unknown.

    Its length is the video's, except for the first video: there it is twice as long, as if the
    kit's clips were averages over segments.
    """
    number = int(item.rpartition("-")[2])
    if number == 1:
        return None
    length = LENGTHS[number] * (2 if number == 0 else 1)
    inside: NDArray[np.bool_] = (np.arange(length) // 3 == 1) & (number < 3)
    return inside


class Spread:
    """A sampler: N evenly spaced clips."""

    def __init__(self, *, count: int = 4) -> None:
        self.count = count

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return (B, N) picks."""
        steps = torch.arange(self.count, device=mask.device)
        return steps * mask.sum(1, keepdim=True) // self.count


class Drawn:
    """A sampler: N clips drawn with equal chances."""

    def __init__(self, *, count: int = 4) -> None:
        self.count = count

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return (B, N) picks."""
        places = draws.uniform(self.count).to(mask.device) * mask.sum(1, keepdim=True)
        return places.long().sort(1).values


class Linear(nn.Module):
    """A detector: a linear function of each clip alone."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.project = nn.Linear(channels, 1)

    def forward(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T) scores."""
        confidence: Tensor = self.project(features).squeeze(-1).sigmoid()
        return confidence * mask

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the () cross-entropy of the mean score against the known labels."""
        known = ~label.isnan()
        mean = scores.sum(1) / mask.sum(1)
        if not known.any():
            return mean.sum() * 0
        return F.binary_cross_entropy(mean[known].clamp(1e-6, 1 - 1e-6), label[known])


class Means(nn.Module):
    """A video encoder: the mean of every expert's projected clips."""

    consumes: ClassVar[Literal["clips", "captions"]] = "clips"
    detector: None = None

    def __init__(self, dim: int, experts: Sequence[str], widths: Mapping[str, int]) -> None:
        super().__init__()
        self.project = nn.ModuleDict({name: nn.Linear(widths[name], dim) for name in experts})

    def forward(self, inputs: Clips) -> Representation:
        """Encode B videos."""
        means = [
            masked_mean(layer(inputs.features(name)), inputs.mask)
            for name, layer in self.project.items()
        ]
        return Representation(vectors={"avg": torch.stack(means, dim=1)})


class Cosine:
    """An alignment: the cosine of the experts' vectors side by side."""

    def factors(self, representation: Representation, side: Literal["video", "query"]) -> Tensor:
        """Return (B, K) unit vectors."""
        return F.normalize(representation.vectors["avg"].flatten(1), dim=1)

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return (V, Q) cosines."""
        return self.factors(video, "video") @ self.factors(query, "query").T


class Words(nn.Module):
    """A text encoder: the mean of hashed words' embeddings."""

    consumes: ClassVar[Literal["clips", "captions"]] = "captions"
    detector: None = None

    def __init__(self, dim: int = DIM, experts: Sequence[str] = EXPERTS) -> None:
        super().__init__()
        self.embed = nn.Embedding(101, dim)
        self.expert = nn.ModuleList(nn.Linear(dim, dim) for _ in experts)
        self.weight = nn.Linear(dim, len(experts))

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Split captions at white space and punctuation, with a start and an end token."""
        matched = [list(re.finditer(r"\w+", text)) for text in texts]
        shape = (len(texts), max(map(len, matched)) + 2)
        ids = torch.zeros(shape, dtype=torch.int64)
        words = torch.zeros(shape, dtype=torch.bool)
        mask = torch.zeros(shape, dtype=torch.bool)
        offsets = torch.zeros(*shape, 2, dtype=torch.int64)
        for b, matches in enumerate(matched):
            for position, match in enumerate(matches, start=1):
                ids[b, position] = 3 + zlib.crc32(match.group().lower().encode()) % 98
                offsets[b, position] = torch.tensor(match.span())
            ids[b, 0], ids[b, len(matches) + 1] = 1, 2
            words[b, 1 : len(matches) + 1] = True
            mask[b, : len(matches) + 2] = True
        return Captions(tuple(texts), ids, mask, words, offsets)

    def forward(self, inputs: Captions) -> Representation:
        """Encode B captions."""
        tokens = self.embed(inputs.ids)
        words = inputs.words[..., None]
        mean = (tokens * words).sum(1) / words.sum(1).clamp(min=1)
        vectors = {
            name: torch.stack([expert(vector) for expert in self.expert], dim=1)
            for name, vector in (("cls", tokens[:, 0]), ("avg", mean))
        }
        weight = self.weight(mean).softmax(-1)
        return Representation(
            vectors=vectors,
            weights=dict.fromkeys(vectors, weight),
            tokens={"words": tokens},
            masks={"words": inputs.mask},
        )
