"""How much captions reveal without any video, by the nearest training caption.

If captions of the same class use the same words, a model that knows only words already finds
videos of the right class. The shares computed here measure how often.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from varkit.data.inspect.captions import is_chinese, words
from varkit.data.positives import query_group
from varkit.errors import DataError
from varkit.interfaces import Dataset, Item

Terms = dict[str, float]
"""Term -> its weight in one caption; the squares sum to 1."""


@dataclass(frozen=True)
class Nearest:
    """A test caption and its nearest training caption.

    Attributes:
        query: the test caption's identifier.
        neighbour: the training caption's; None if none shares a term.
        similarity: cosine of their TF-IDF vectors.
        same_class: whether their videos have a class in common; None = unknown.
        same_label: whether both videos are normal, or both anomalous; None = unknown.
    """

    query: str
    neighbour: str | None
    similarity: float
    same_class: bool | None
    same_label: bool | None


@dataclass(frozen=True)
class Leak:
    """How much the nearest training captions reveal.

    Attributes:
        name: of the data set.
        simulated: whether a program made it.
        train: the number of training captions.
        test: the number of test captions.
        identical: how many test captions occur in training, ignoring case, spacing and the final
            period.
        same_class: share of test captions whose nearest training caption's video has a class in
            common with theirs; None if no class is known.
        same_class_chance: the same for a random training caption.
        same_label: share for which both videos are normal, or both anomalous.
        same_label_chance: the same for a random training caption.
        nearest: the nearest training caption of every test caption.
    """

    name: str
    simulated: bool
    train: int
    test: int
    identical: int
    same_class: float | None
    same_class_chance: float | None
    same_label: float | None
    same_label_chance: float | None
    nearest: tuple[Nearest, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"schema": 1, **asdict(self)}


def caption_leak(dataset: Dataset) -> Leak:
    """Find the nearest training caption of every test caption.

    Raises:
        DataError: queries are sounds, or there is no training or no test split.
    """
    if dataset.query_kind != "captions":
        raise DataError(f"{dataset.name}: queries are sounds; caption leakage needs captions")
    train, test = _captions(dataset, "train"), _captions(dataset, "test")
    matches = nearest_captions([text for _, _, text in train], [text for _, _, text in test])
    nearest = []
    for (query, item, _), (place, similarity) in zip(test, matches, strict=True):
        name, other = (None, None) if place is None else train[place][:2]
        same_class = _same(item, other, _share_class)
        same_label = _same(item, other, _share_label)
        nearest.append(Nearest(query, name, similarity, same_class, same_label))
    known = {query_group(text) for _, _, text in train}
    of_test, of_train = [item for _, item, _ in test], [item for _, item, _ in train]
    return Leak(
        name=dataset.name,
        simulated=dataset.simulated,
        train=len(train),
        test=len(test),
        identical=sum(query_group(text) in known for _, _, text in test),
        same_class=_mean([row.same_class for row in nearest]),
        same_class_chance=_chance(of_test, of_train, _share_class),
        same_label=_mean([row.same_label for row in nearest]),
        same_label_chance=_chance(of_test, of_train, _share_label),
        nearest=tuple(nearest),
    )


def nearest_captions(train: Sequence[str], test: Sequence[str]) -> list[tuple[int | None, float]]:
    """Return the nearest training caption of each test caption, and their cosine.

    Terms are words of at least two letters (in Chinese: characters), and pairs of neighbouring
    ones. A term that occurs n times in a caption weighs (1 + log n) (1 + log((1 + N) / (1 + m))),
    where m of all N captions, test included, have it. A caption's weights are scaled to length 1.

    Args:
        train: captions.
        test: captions.

    Returns:
        The position in ``train`` (of equally near captions, the first) and the cosine; None and 0
        if no caption shares a term.
    """
    counted = [Counter(_terms(caption)) for caption in (*train, *test)]
    having = Counter(term for terms in counted for term in terms)
    rarity = {term: 1 + math.log((1 + len(counted)) / (1 + m)) for term, m in having.items()}
    weighted = [_weights(terms, rarity) for terms in counted]
    postings: dict[str, tuple[list[int], list[float]]] = {}
    for place, terms in enumerate(weighted[: len(train)]):
        for term, weight in terms.items():
            places, weights = postings.setdefault(term, ([], []))
            places.append(place)
            weights.append(weight)
    index = {term: (np.array(p), np.array(w)) for term, (p, w) in postings.items()}
    nearest: list[tuple[int | None, float]] = []
    for terms in weighted[len(train) :]:
        cosine = np.zeros(len(train))
        for term, weight in terms.items():
            if term in index:
                where, train_weights = index[term]
                cosine[where] += weight * train_weights
        best = int(cosine.argmax())
        nearest.append((best, float(cosine[best])) if cosine[best] > 0 else (None, 0.0))
    return nearest


def _terms(caption: str) -> list[str]:
    parts = [word for word in words(caption) if len(word) > 1 or is_chinese(word)]
    return [*parts, *(f"{a} {b}" for a, b in pairwise(parts))]


def _weights(terms: Counter[str], rarity: Terms) -> Terms:
    raw = {term: (1 + math.log(n)) * rarity[term] for term, n in terms.items()}
    length = math.hypot(*raw.values())
    return {term: weight / length for term, weight in raw.items()}


def _captions(dataset: Dataset, split: str) -> list[tuple[str, Item, str]]:
    return [
        (query, item, str(dataset.query(query)))
        for item in dataset.split(split)
        for query in item.queries
    ]


def _share_class(item: Item, other: Item) -> bool | None:
    if not item.classes or not other.classes:
        return None
    return bool(set(item.classes) & set(other.classes))


def _share_label(item: Item, other: Item) -> bool | None:
    return None if None in (item.label, other.label) else item.label == other.label


def _same(item: Item, other: Item | None, same: Callable[[Item, Item], bool | None]) -> bool | None:
    """Return whether a neighbour is the same: False without a neighbour, None if unknown."""
    if other is None:
        return None if same(item, item) is None else False
    return same(item, other)


def _chance(
    test: Sequence[Item],
    train: Sequence[Item],
    same: Callable[[Item, Item], bool | None],
) -> float | None:
    """Return the share of all pairs that are the same, among those for which it is known."""
    kinds = [Counter((item.label, item.classes) for item in side) for side in (test, train)]
    known = hits = 0
    for (label, classes), n in kinds[0].items():
        for (other_label, other_classes), m in kinds[1].items():
            alike = same(Item("", (), label, classes), Item("", (), other_label, other_classes))
            if alike is not None:
                known, hits = known + n * m, hits + n * m * alike
    return hits / known if known else None


def _mean(values: Sequence[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
