"""Ranks without sorting, and the best k without the matrix."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.errors import InputError
from varkit_kernels.similarity_ranking import eager
from varkit_kernels.similarity_ranking.backends import Choice, choose
from varkit_kernels.similarity_ranking.sides import Side, Vectors, make_sides

PIECE = 1 << 24
"""Similarities that exist at one time, where the matrix does not."""

LARGEST = 2**31 - 1
"""Of 32 bits with a sign."""


@dataclass(frozen=True)
class RankCounts:
    """How many wrong answers score higher than the right one, and how many the same.

    A rank is 1 + above + a share of equal: 0 = the best it can be, 1 = the worst, 1/2 = expected if
    ties are broken at random. A score that is NaN counts as above.

    Attributes:
        query_above: (Q,) int64, videos above the query's own.
        query_equal: (Q,) int64, other videos that tie with it.
        video_above: (V,) int64, queries above the best of the video's own.
        video_equal: (V,) int64, other queries that tie with that one.
    """

    query_above: Tensor
    query_equal: Tensor
    video_above: Tensor
    video_equal: Tensor


@torch.no_grad()
def ranks(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None = None,
    *,
    alpha: Sequence[float] | None = None,
    owner: Tensor | None = None,
    dtype: torch.dtype | None = None,
    backend: str = "auto",
) -> RankCounts:
    """Count, for every query and every video, what ranks before its right answer.

    These are the hinges of the ranking loss at margin 0, counted instead of summed, so R@K needs
    neither a matrix nor a sort. On the CPU scores are float64 products rounded to float32, so that
    vectors that are the same tie whatever the blocking.

    Args:
        video: (V, E, D) an alignment; or one (V, K) tensor of factor vectors.
        query: (Q, E, D) an alignment; or (Q, K).
        weights: (Q, E) an alignment. None = 1.
        alpha: a number an alignment. None = 1.
        owner: (Q,) int64, each query's own video; every video has a query. None = query b
            belongs to video b.
        dtype: in which products are computed on other devices; None = the vectors'.
        backend: ``auto``, ``eager``, ``cpu`` or ``triton``.

    Raises:
        InputError: the arguments do not fit together.
        BackendError: the backend that was asked for cannot run here.
    """
    left, right = make_sides(video, query, weights, alpha, paired=owner is None)
    device = left.vectors[0].device
    own = _check_owner(owner, len(left), len(right), device)
    choice = choose(left, backend, dtype)
    if choice.backend == "compiled":
        raise InputError("ranks has no compiled form; use auto, eager, cpu or triton")
    with on_device(device):
        if choice.backend == "triton":
            right_scores, count = _counter_triton(left, right, own, choice.dtype)
        else:
            right_scores, count = _counter(left, right, own, choice)
        best = torch.full((len(left),), -torch.inf, device=device, dtype=right_scores.dtype)
        best.scatter_reduce_(0, own, right_scores, "amax")
        found = count(right_scores, best)
    # A video's own queries are not counted; those that tie with its best are, but for one.
    ties = torch.zeros_like(found.video_equal)
    ties.scatter_add_(0, own, (right_scores == best[own]).long())
    return replace(found, video_equal=found.video_equal + (ties - 1).clamp(min=0))


@torch.no_grad()
def topk(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None = None,
    *,
    k: int,
    alpha: Sequence[float] | None = None,
    dtype: torch.dtype | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the k best videos of every query, best first; of equal ones, the first.

    A few queries at a time go through the vendor's product and torch's selection; a NaN counts as
    the highest score.

    Args:
        video: (V, E, D) an alignment; or one (V, K) tensor of factor vectors.
        query: (Q, E, D) an alignment; or (Q, K).
        weights: (Q, E) an alignment. None = 1.
        k: how many, at most V.
        alpha: a number an alignment. None = 1.
        dtype: in which products are computed; None = as in ``ranking_loss``. Scores are compared
            in fp32.

    Returns:
        scores (Q, k) float32 and positions (Q, k) int64.

    Raises:
        InputError: the arguments do not fit together.
    """
    left, right = make_sides(video, query, weights, alpha, paired=False)
    if not 0 < k <= len(left):
        raise InputError(f"k is {k}; it must be from 1 to the number of videos, {len(left)}")
    chosen, device = choose(left, "eager", dtype).dtype, left.vectors[0].device
    scores = torch.empty(len(right), k, device=device)
    positions = torch.empty(len(right), k, dtype=torch.int64, device=device)
    with on_device(device):
        packed = eager.pack(left).to(chosen)
        position = torch.arange(len(left), device=device)
        for rows in _pieces(len(right), len(left)):
            found = (eager.pack(right.rows(rows)).to(chosen) @ packed.T).float()
            # One integer orders by score in its upper half, then by position, the first highest, in
            # its lower: torch.topk leaves ties open.
            keys = _ordered(found) << 32 | (LARGEST - position)
            positions[rows] = LARGEST - (keys.topk(k).values & LARGEST)
            scores[rows] = found.gather(1, positions[rows])
    return scores, positions


Counter = Callable[[Tensor, Tensor], RankCounts]


def _counter(left: Side, right: Side, own: Tensor, choice: Choice) -> tuple[Tensor, Counter]:
    """Return the (Q,) right scores, and what counts wrong pairs above and equal to given ones."""
    if choice.backend == "eager":
        matrix = eager.similarity(left, right, choice.dtype)
        tiles: Iterable[tuple[slice, Tensor]] = [(slice(0, len(right)), matrix)]
        scores = matrix[own, torch.arange(len(right), device=own.device)]
    else:
        video, query = (
            eager.pack(side.replace([x.double() for x in side.tensors])) for side in (left, right)
        )
        pieces = _pieces(len(right), len(left))
        scores = torch.cat(
            [torch.linalg.vecdot(video[own[part]], query[part]) for part in pieces]
        ).float()
        tiles = ((part, (video @ query[part].T).float()) for part in pieces)

    def count(right_scores: Tensor, best: Tensor) -> RankCounts:
        above, equal = torch.zeros(2, len(left), dtype=torch.int64, device=own.device)
        query_above, query_equal = [], []
        index = torch.arange(len(left), device=own.device).unsqueeze(1)
        for part, tile in tiles:
            wrong = own[part] != index
            query_above.append(((tile <= right_scores[part]).logical_not_() & wrong).sum(0))
            query_equal.append(((tile == right_scores[part]) & wrong).sum(0))
            above += ((tile <= best.unsqueeze(1)).logical_not_() & wrong).sum(1)
            equal += ((tile == best.unsqueeze(1)) & wrong).sum(1)
        return RankCounts(torch.cat(query_above), torch.cat(query_equal), above, equal)

    return scores, count


def _counter_triton(
    left: Side, right: Side, own: Tensor, dtype: torch.dtype
) -> tuple[Tensor, Counter]:
    """Return the same by ``triton_ranks.py``."""
    from varkit_kernels.similarity_ranking.triton_operations import TritonOperations

    operations = TritonOperations()
    video, query = operations.pack(left, dtype), operations.pack(right, dtype)

    def count(right_scores: Tensor, best: Tensor) -> RankCounts:
        return RankCounts(*operations.rank_counts(video, query, own, right_scores, best))

    return operations.positives(video[own], query, len(video)), count


def _pieces(rows: int, columns: int) -> list[slice]:
    """Return ranges of rows of at most :data:`PIECE` scores, at least one."""
    step = max(1, PIECE // max(columns, 1))
    return [slice(begin, min(begin + step, rows)) for begin in range(0, max(rows, 1), step)]


def _ordered(scores: Tensor) -> Tensor:
    """Return int64 in the order of float32 scores: NaN highest, -0 equal to 0.

    The bits of floats from 0 on are in order as integers; those below 0 are in reverse, but for
    the sign, so all their other bits are turned over.
    """
    bits = (scores + 0.0).view(torch.int32).long()  # -0 + 0 is 0
    bits = torch.where(scores.isnan(), LARGEST, bits)
    return torch.where(bits >= 0, bits, bits ^ LARGEST)


def _check_owner(owner: Tensor | None, videos: int, queries: int, device: torch.device) -> Tensor:
    if owner is None:
        return torch.arange(queries, device=device)
    if owner.shape != (queries,) or owner.dtype != torch.int64 or owner.device != device:
        raise InputError(
            f"owner is {tuple(owner.shape)} {owner.dtype} on {owner.device}, "
            f"not ({queries},) torch.int64 on {device}"
        )
    if ((owner < 0) | (owner >= videos)).any():
        raise InputError(f"owner names videos outside 0 to {videos - 1}")
    bare = int((torch.bincount(owner, minlength=videos) == 0).sum())
    if bare:
        raise InputError(f"{bare} of {videos} videos have no query")
    return owner
