"""Retrieval metrics by counting: nothing is sorted, and no V x Q matrix is built.

The rank of a query's own video is 1 + the number of videos that score higher + a share of those
that score the same: a half by default, which is the expected rank if ties are broken at random
(the convention of CE and MMT). A constant score then has R@1 0 and not 100.

Scores are float64 inner products rounded to float32. The error of a float64 sum depends on how
a matrix product is blocked, but it is some 10^8 times smaller than a float32 step; rounding
removes it, so identical vectors tie and the chunk size does not change a rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varkit.errors import DataError

Ties = Literal["average", "optimistic", "pessimistic"]
Tile = tuple[Tensor, Tensor, Tensor]
"""A piece of the similarity: (v,) positions of videos, (q,) of queries, their (v, q) scores."""
Report = dict[str, Any]

DIRECTIONS = ("query_to_video", "video_to_query")
RECALLS = (1, 5, 10)
FIGURES = (
    *(f"{way}.{key}" for way in DIRECTIONS for key in ("R@1", "R@5", "R@10", "MdR", "MnR")),
    "SumR",
)
"""Names of the figures of a report, for :func:`figure`."""
_SHARE: dict[Ties, float] = {"average": 0.5, "optimistic": 0.0, "pessimistic": 1.0}
_COLLAPSED = 1e-6


@dataclass(frozen=True)
class Ranks:
    """Ranks of the right answers, from 1.

    With several captions a video, every caption is a query; in the other direction a video's
    rank is that of its best caption among all queries, the video's other captions included, so
    a sibling that ties with the best caption counts as a tie (CE and MMT do the same).

    Attributes:
        query_to_video: (Q,) float64, rank of each query's video among the V videos.
        video_to_query: (V,) float64, rank of each video's best query among the Q queries.
        query_ties: (Q,) int64, how many other videos score the same as the right one.
        video_ties: (V,) int64, how many other queries score the same as the best right one.
        tie_rule: how ties were counted.
        collapsed: no query tells any two videos apart, or no video any two queries: their
            scores differ by less than a millionth of the largest score.
    """

    query_to_video: NDArray[np.float64]
    video_to_query: NDArray[np.float64]
    query_ties: NDArray[np.int64]
    video_ties: NDArray[np.int64]
    tie_rule: Ties
    collapsed: bool


def ranks_from_factors(
    video: Tensor, query: Tensor, owner: Tensor, *, chunk: int = 1024, ties: Ties = "average"
) -> Ranks:
    """Rank by inner products, ``chunk`` x ``chunk`` scores at a time.

    Args:
        video: (V, K) factor vectors.
        query: (Q, K) factor vectors.
        owner: (Q,) int64, the position of each query's video; every video has a query.
        chunk: rows of either side that are compared at once.
        ties: how equal scores count.

    Raises:
        DataError: a factor is not finite, or ``owner`` does not fit.

    >>> ranks_from_factors(torch.eye(3), torch.eye(3), torch.arange(3)).query_to_video.tolist()
    [1.0, 1.0, 1.0]
    """
    _check_rows(video, "video")
    _check_rows(query, "query")
    owner = _check_owner(owner, len(video), len(query)).to(video.device)

    def tiles() -> Iterator[Tile]:
        for rows in _pieces(len(video), chunk, video.device):
            block = video[rows].double()
            for columns in _pieces(len(query), chunk, video.device):
                yield rows, columns, (block @ query[columns].double().T).float()

    right = torch.empty(len(query), device=video.device)
    for part in _pieces(len(query), chunk, video.device):
        right[part] = (video[owner[part]].double() * query[part].double()).sum(1).float()
    return _count(tiles(), right, owner, len(video), ties)


def ranks_from_similarity(
    similarity: Tensor, owner: Tensor, *, chunk: int = 1024, ties: Ties = "average"
) -> Ranks:
    """Rank by a (V, Q) similarity that is already there; see :func:`ranks_from_factors`."""
    rows, device = torch.arange(len(similarity)), torch.device("cpu")
    tiles = [(rows, part, similarity[:, part]) for part in _pieces(len(owner), chunk, device)]
    return ranks_from_tiles(lambda: tiles, owner, videos=len(similarity), ties=ties)


def ranks_from_tiles(
    tiles: Callable[[], Iterable[Tile]], owner: Tensor, *, videos: int, ties: Ties = "average"
) -> Ranks:
    """Rank by a similarity that has no factors, computed piece by piece.

    Args:
        tiles: yields pieces that together are the (V, Q) similarity. It is called twice, for the
            right answers' scores and for the counts, and must yield the same both times.
        owner: (Q,) int64, the position of each query's video; every video has a query.
        videos: V.
        ties: how equal scores count.

    Raises:
        DataError: a score is not finite, or ``owner`` does not fit.
    """
    owner = _check_owner(owner, videos, len(owner))
    right = torch.empty(len(owner))
    for rows, columns, scores in tiles():
        if not scores.isfinite().all():
            v, q = (~scores.isfinite()).nonzero()[0].tolist()
            pair = f"video {int(rows[v])} and query {int(columns[q])}"
            raise DataError(f"the similarity of {pair} is not finite")
        v, q = (rows[:, None].cpu() == owner[columns.cpu()]).nonzero().T
        right[columns[q].cpu()] = scores[v, q].float().cpu()
    return _count(tiles(), right, owner, videos, ties)


def _count(tiles: Iterable[Tile], right: Tensor, owner: Tensor, videos: int, ties: Ties) -> Ranks:
    """Count scores above and equal to the right ones; ``right`` is (Q,)."""
    device = right.device
    queries = len(right)
    best = torch.full((videos,), -torch.inf, device=device)
    best.scatter_reduce_(0, owner, right, "amax")
    query_above, query_equal = torch.zeros(2, queries, dtype=torch.int64, device=device)
    video_above, video_equal = torch.zeros(2, videos, dtype=torch.int64, device=device)
    query_low, query_high = _limits(queries, device)
    video_low, video_high = _limits(videos, device)
    for rows, columns, tile in tiles:
        v, q, scores = rows.to(device), columns.to(device), tile.to(device).float()
        # The right answers may come from another product: let them have one score everywhere.
        scores = torch.where(owner[q] == v[:, None], right[q], scores)
        query_above[q] += (scores > right[q]).sum(0)
        query_equal[q] += (scores == right[q]).sum(0)
        video_above[v] += (scores > best[v, None]).sum(1)
        video_equal[v] += (scores == best[v, None]).sum(1)
        query_low[q] = query_low[q].minimum(scores.amin(0))
        query_high[q] = query_high[q].maximum(scores.amax(0))
        video_low[v] = video_low[v].minimum(scores.amin(1))
        video_high[v] = video_high[v].maximum(scores.amax(1))
    query_ties = query_equal.cpu().numpy() - 1  # without the right answer itself
    video_ties = video_equal.cpu().numpy() - 1
    largest = torch.maximum(query_high.abs().max(), query_low.abs().max())
    same_videos = videos > 1 and (query_high - query_low).max() <= _COLLAPSED * largest
    same_queries = queries > 1 and (video_high - video_low).max() <= _COLLAPSED * largest
    return Ranks(
        query_to_video=1 + query_above.cpu().numpy() + _SHARE[ties] * query_ties,
        video_to_query=1 + video_above.cpu().numpy() + _SHARE[ties] * video_ties,
        query_ties=query_ties,
        video_ties=video_ties,
        tie_rule=ties,
        collapsed=bool(same_videos or same_queries),
    )


def _pieces(count: int, chunk: int, device: torch.device) -> list[Tensor]:
    positions = torch.arange(count, device=device)
    return [positions[begin : begin + chunk] for begin in range(0, count, chunk)]


def _limits(count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    low = torch.full((count,), torch.inf, device=device)
    return low, -low


def _check_rows(factors: Tensor, side: str) -> None:
    bad = (~factors.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        rows = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise DataError(f"{len(bad)} of {len(factors)} {side} vectors are not finite: rows {rows}")


def _check_owner(owner: Tensor, videos: int, queries: int) -> Tensor:
    if owner.shape != (queries,) or owner.dtype != torch.int64:
        raise DataError(
            f"owner must be ({queries},) int64, one video a query; "
            f"it is {tuple(owner.shape)} {owner.dtype}"
        )
    if queries == 0:
        raise DataError("there is no query to rank")
    wrong = ((owner < 0) | (owner >= videos)).nonzero().flatten().tolist()
    if wrong:
        raise DataError(
            f"query {wrong[0]} belongs to video {int(owner[wrong[0]])}, "
            f"but the videos are 0 to {videos - 1}"
        )
    bare = (torch.bincount(owner, minlength=videos) == 0).nonzero().flatten().tolist()
    if bare:
        raise DataError(f"{len(bare)} of {videos} videos have no query, the first is {bare[0]}")
    return owner


def summarize(ranks: Ranks) -> Report:
    """Return the figures of both directions.

    ``R@K`` is the percentage of ranks at most K (an averaged rank of 5.5 is a miss at 5),
    ``MdR`` the median and ``MnR`` the mean rank, ``n`` how many were ranked, ``ties`` how many of
    those tie with another candidate. ``SumR`` is the sum of the six recalls before rounding,
    ``SumR_optimistic`` the same with every tie counted in the model's favour.

    >>> ranks = ranks_from_factors(torch.eye(2), torch.eye(2), torch.arange(2))
    >>> summarize(ranks)["SumR"]
    600.0
    """
    share = _SHARE[ranks.tie_rule]
    report: Report = {
        "tie_rule": ranks.tie_rule,
        "query_to_video": _direction(ranks.query_to_video, ranks.query_ties),
        "video_to_query": _direction(ranks.video_to_query, ranks.video_ties),
        "collapsed": ranks.collapsed,
    }
    report["SumR"] = sum_of_recalls(report)
    favoured = {
        "query_to_video": _direction(ranks.query_to_video - share * ranks.query_ties),
        "video_to_query": _direction(ranks.video_to_query - share * ranks.video_ties),
    }
    report["SumR_optimistic"] = sum_of_recalls(favoured)
    return report


def figure(report: Mapping[str, Any], name: str) -> float:
    """Return one of :data:`FIGURES` of a report.

    >>> figure({"query_to_video": {"R@1": 12.5}}, "query_to_video.R@1")
    12.5
    """
    way, _, key = name.rpartition(".")
    return float(report[way][key] if way else report[key])


def sum_of_recalls(report: Report) -> float:
    """Return SumR: R@1, R@5 and R@10 of both directions, added."""
    return float(sum(report[way][f"R@{k}"] for way in DIRECTIONS for k in RECALLS))


def _direction(
    ranks: NDArray[np.float64], ties: NDArray[np.int64] | None = None
) -> dict[str, float | int]:
    figures: dict[str, float | int] = {f"R@{k}": 100 * float(np.mean(ranks <= k)) for k in RECALLS}
    figures["MdR"] = float(np.median(ranks))
    figures["MnR"] = float(np.mean(ranks))
    figures["n"] = len(ranks)
    figures["ties"] = 0 if ties is None else int(np.count_nonzero(ties))
    return figures


def chance(videos: int, owner: Tensor) -> Report:
    """Return the expected figures of a ranking at random.

    A query's rank is uniform on 1..V. The best of a video's c captions among Q queries has rank
    above r with probability C(Q - c, r) / C(Q, r). Recalls and means are expectations; ``MdR``
    is the median of that distribution.

    >>> chance(290, torch.arange(290))["query_to_video"]["MdR"]
    145.5
    """
    owner = _check_owner(owner, videos, len(owner))
    captions = torch.bincount(owner, minlength=videos).numpy()
    ways = {
        "query_to_video": _expected(videos, np.ones(len(owner), dtype=np.int64)),
        "video_to_query": _expected(len(owner), captions),
    }
    return {"tie_rule": "average", **ways, "SumR": sum_of_recalls(ways)}


def _expected(candidates: int, right: NDArray[np.int64]) -> dict[str, float | int]:
    """Figures of the best of ``right[i]`` answers, at random among ``candidates``."""
    cumulative = np.zeros(candidates)  # P(rank <= r), averaged over the rankings
    for answers, count in zip(*np.unique(right, return_counts=True), strict=True):
        step = np.arange(candidates)
        above = np.cumprod(np.maximum(candidates - answers - step, 0) / (candidates - step))
        cumulative += count / len(right) * (1 - above)
    lower = 1 + int(np.argmax(cumulative >= 0.5 - 1e-12))
    upper = 1 + int(np.argmax(cumulative > 0.5 + 1e-12))
    figures: dict[str, float | int] = {
        f"R@{k}": 100 * float(cumulative[min(k, candidates) - 1]) for k in RECALLS
    }
    figures["MdR"] = (lower + upper) / 2
    figures["MnR"] = float(np.mean((candidates + 1) / (right + 1)))
    figures["n"] = len(right)
    figures["ties"] = 0
    return figures
