"""Random numbers: named generators, weighted choices, and samples with exact distributions.

A few hundred test videos drawn independently would miss published quantiles by chance. So values
are stratified, one from each of n equally likely slices, and dealt to videos in the order of a
latent score. The score makes values depend on the class or on another value without changing them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from varkit.interfaces import derive_seed

Rng = np.random.Generator
Values = NDArray[np.float64]
T = TypeVar("T")


def generator(*name: object) -> Rng:
    """Return the generator that belongs to a name: equal names draw equal numbers."""
    return np.random.default_rng(derive_seed(*name))


def pick(rng: Rng, items: Sequence[T], shares: Sequence[float] | Values | None = None) -> T:
    """Draw an item by the shares given, or by Zipf's law: earlier items are likelier."""
    weights = np.asarray(shares if shares is not None else 1 / np.arange(1, len(items) + 1))
    return items[int(rng.choice(len(items), p=weights / weights.sum()))]


def wording(rng: Rng, ways: Sequence[str]) -> str:
    """Draw a way to say something; the first is by far the most common, as with all words."""
    return pick(rng, ways, np.arange(1.0, len(ways) + 1) ** -1.6)


def stratified(rng: Rng, count: int) -> Values:
    """Return (n,) ascending uniform numbers, one from each of n slices of (0, 1)."""
    return (np.arange(count) + rng.uniform(1e-6, 1, count)) / max(count, 1)


def interpolate(quantiles: Mapping[float, float], shares: Values) -> Values:
    """Return the inverse CDF of a positive distribution at some shares.

    The logarithm is linear in the normal score between two quantiles, so a log-normal is exact.
    Values beyond the first and the last quantile are clamped to them.

    Args:
        quantiles: percent, 0 < p < 100, -> value, both ascending.
        shares: (n,) numbers in (0, 1).
    """
    score = NormalDist().inv_cdf
    known = [score(percent / 100) for percent in quantiles]
    wanted = [score(share) for share in shares]
    return np.exp(np.interp(wanted, known, np.log(list(quantiles.values()))))


def deal(values: Iterable[T], latent: Values) -> list[T]:
    """Return ascending values in the order of ``latent``: the smallest where it is smallest."""
    places = np.argsort(latent, kind="stable")
    dealt = dict(zip(places.tolist(), values, strict=True))
    return [dealt[place] for place in range(len(places))]


def choose(rng: Rng, weights: Sequence[float] | Values, count: int) -> set[int]:
    """Return ``count`` places, drawn without replacement in proportion to their weights.

    Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006.
    """
    keys = rng.exponential(size=len(weights)) / np.maximum(weights, 1e-12)
    return {int(place) for place in np.argsort(keys, kind="stable")[:count]}


def evenly(items: Sequence[T], count: int) -> list[T]:
    """Return ``count`` evenly spaced items, which represent the whole list."""
    return [items[int((place + 0.5) * len(items) / count)] for place in range(count)]


def apportion(total: int, weights: Sequence[float] | Values) -> list[int]:
    """Split a whole number in proportion to weights, by largest remainders."""
    exact = total * np.asarray(weights, dtype=float) / np.sum(weights)
    parts = np.floor(exact).astype(int)
    order = np.argsort(parts - exact, kind="stable")
    parts[order[: total - parts.sum()]] += 1
    return [int(part) for part in parts]
