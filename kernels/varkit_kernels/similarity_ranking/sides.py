"""The two sides of the similarity, checked: experts' vectors or factor vectors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from varkit_kernels.device import autocast_dtype
from varkit_kernels.errors import InputError

Vectors = Tensor | Sequence[Tensor]
"""(B, K) factor vectors, or one (B, E, D) tensor an alignment."""


@dataclass(frozen=True)
class Side:
    """One side of the similarity.

    Attributes:
        vectors: (B, E, D) each, one an alignment; or a single (B, K) of factor vectors.
        weights: (B, E) each, of the query side; empty = 1.
        alpha: one number an alignment; empty = 1.
        inverse: (B, sum of E) 1 / length of all vectors, where a backend keeps it.
    """

    vectors: tuple[Tensor, ...]
    weights: tuple[Tensor, ...] = ()
    alpha: tuple[float, ...] = ()
    inverse: Tensor | None = None

    def __len__(self) -> int:
        return len(self.vectors[0])

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors, vectors first."""
        return self.vectors + self.weights

    @property
    def is_factors(self) -> bool:
        """Whether this side came as factor vectors, which are used as they are."""
        return self.vectors[0].ndim == 2

    @property
    def width(self) -> int:
        """K, the length of a factor vector."""
        return sum(math.prod(x.shape[1:]) for x in self.vectors)

    def spans(self) -> list[tuple[slice, slice]]:
        """Return each alignment's columns in (B, sum of E) and in (B, K)."""
        found, expert, column = [], 0, 0
        for x in self.vectors:
            _, experts, width = x.shape
            found.append((slice(expert, expert + experts), slice(column, column + experts * width)))
            expert, column = expert + experts, column + experts * width
        return found

    def replace(self, tensors: Sequence[Tensor]) -> Side:
        """Return the same side with other tensors, in the order of :attr:`tensors`."""
        count = len(self.vectors)
        return replace(self, vectors=tuple(tensors[:count]), weights=tuple(tensors[count:]))

    def rows(self, rows: slice) -> Side:
        """Return some of the rows, as views."""
        if rows == slice(0, len(self)):
            return self
        inverse = None if self.inverse is None else self.inverse[rows]
        return replace(self.replace([x[rows] for x in self.tensors]), inverse=inverse)


def make_sides(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None,
    alpha: Sequence[float] | None,
    *,
    paired: bool,
) -> tuple[Side, Side]:
    """Check the arguments of a public function.

    Args:
        video: factor vectors or experts' vectors.
        query: the same.
        weights: (Q, E) an alignment, or None for 1.
        alpha: a number an alignment, or None for 1.
        paired: whether row b of both sides belongs together, so that B must be the same.

    Raises:
        InputError: they do not fit together.
    """
    left, right = _vectors(video, "video"), _vectors(query, "query")
    if len(left) != len(right):
        raise InputError(
            f"video has {len(left)} alignments and query {len(right)}; give one tensor each"
        )
    for a, (v, q) in enumerate(zip(left, right, strict=True)):
        if v.shape[1:] != q.shape[1:] or v.ndim != q.ndim:
            raise InputError(
                f"alignment {a}: video is {tuple(v.shape)} and query {tuple(q.shape)}; "
                "all but the first dimension must agree"
            )
    if paired and len(left[0]) != len(right[0]):
        raise InputError(
            f"{len(left[0])} videos and {len(right[0])} queries; the loss needs pairs, so as many "
            "of one as of the other"
        )
    for a, x in enumerate(left):
        if 0 in x.shape[1:]:
            raise InputError(f"alignment {a} is {tuple(x.shape)}: nothing to compare")
    _check_alike([*left, *right])
    if left[0].ndim == 2:
        if weights is not None or alpha is not None:
            raise InputError("factor vectors hold weights and alpha already; leave both out")
        return Side(left), Side(right)
    found = _weights(weights, right)
    mixing = (1.0,) * len(left) if alpha is None else tuple(float(a) for a in alpha)
    if len(mixing) != len(left):
        raise InputError(f"alpha has {len(mixing)} numbers for {len(left)} alignments")
    return Side(left), Side(right, found, mixing)


def _vectors(given: Vectors, name: str) -> tuple[Tensor, ...]:
    if isinstance(given, Tensor):
        if given.ndim != 2:
            raise InputError(
                f"{name} is {tuple(given.shape)}; one tensor is taken as (B, K) factor vectors. "
                "Give experts' vectors as a list of (B, E, D), one an alignment"
            )
        return (given,)
    vectors = tuple(given)
    if not vectors:
        raise InputError(f"{name} is empty; give one (B, E, D) tensor an alignment")
    for a, x in enumerate(vectors):
        if x.ndim != 3:
            raise InputError(f"{name}, alignment {a}, is {tuple(x.shape)}, not (B, E, D)")
        if len(x) != len(vectors[0]):
            raise InputError(
                f"{name}: alignment 0 has {len(vectors[0])} rows and alignment {a} {len(x)}"
            )
    return vectors


def _weights(weights: Sequence[Tensor] | None, query: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    if weights is None:
        return ()
    found = tuple(weights)
    if len(found) != len(query):
        raise InputError(f"{len(found)} weights for {len(query)} alignments; give (B, E) for each")
    for a, (w, q) in enumerate(zip(found, query, strict=True)):
        if w.shape != q.shape[:2]:
            raise InputError(
                f"weights, alignment {a}, are {tuple(w.shape)}, not {tuple(q.shape[:2])}"
            )
        if not w.is_floating_point():
            raise InputError(f"weights, alignment {a}, are {w.dtype}, not floating point")
        if w.device != q.device:
            raise InputError(f"weights are on {w.device}, the vectors on {q.device}")
    return found


def _check_alike(vectors: list[Tensor]) -> None:
    first = vectors[0]
    for x in vectors:
        if not x.is_floating_point():
            raise InputError(f"vectors must be floating point, not {x.dtype}")
        if x.device != first.device:
            raise InputError(f"vectors are on {first.device} and on {x.device}; move them together")
        if x.dtype != first.dtype and autocast_dtype(first.device) is None:
            raise InputError(
                f"vectors are {first.dtype} and {x.dtype}; convert them to one, or use autocast"
            )


def check_group(group: Tensor | None, pairs: int, device: torch.device) -> Tensor:
    """Return (B,) integer ids, equal where pairs are not negatives of one another.

    Args:
        group: (B,) int64, or None for all different.
        pairs: B.
        device: where the vectors are.

    Raises:
        InputError: another shape, dtype or device.
    """
    if group is None:
        return torch.arange(pairs, dtype=torch.int32, device=device)
    if group.shape != (pairs,) or group.dtype != torch.int64:
        raise InputError(f"group is {tuple(group.shape)} {group.dtype}, not ({pairs},) torch.int64")
    if group.device != device:
        raise InputError(f"group is on {group.device}, the vectors on {device}")
    return group
