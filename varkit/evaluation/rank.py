"""Computes ranks by counting, without sorting and without a V x Q matrix.

The rank of the best right answer is 1 + the number of candidates with a higher score + a share of
the wrong candidates with the same score. By default ties are broken at random, and ranks and hits
are expectations: a single right answer has half of the wrong ones before it, and a constant score
has exactly the recalls of chance. A threshold on the expected rank would not do: of 9 equal scores
each has the rank 5, but only 5 of 9 are among the first 5.

Scores are float64 inner products rounded to float32. The error of a float64 sum depends on how a
matrix product is blocked, but it is about 10^8 times smaller than a float32 step. Rounding removes
it, so identical vectors tie and the chunk size does not change any rank.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varkit.data.positives import Positives
from varkit.errors import DataError
from varkit.interfaces.settings import Ties

Tile = tuple[Tensor, Tensor, Tensor]
"""A piece of the similarity: (v,) positions of videos, (q,) of queries, their (v, q) scores."""
Names = tuple[Sequence[str], Sequence[str]]
"""Identifiers of the V videos and of the Q queries, for messages."""

RECALLS = (1, 5, 10)
"""The K of R@K."""

COLLAPSED = 1e-6
"""Largest spread of the scores, relative to the largest score, that counts as collapsed."""


@dataclass(frozen=True)
class Answers:
    """The best right answer of n seekers, which are all queries or all videos.

    Attributes:
        rank: (n,) float64, from 1.
        hits: (n, 3) float64, the chance that a right answer is among the first K of
            :data:`RECALLS`, which is 0 or 1 without ties.
        optimistic: (n,) float64, the rank with every tie in the model's favour.
        ties: (n,) int64, how many wrong candidates have the same score.
        answer: (n,) int64, the position of the best right answer; if several tie, the first.
    """

    rank: NDArray[np.float64]
    hits: NDArray[np.float64]
    optimistic: NDArray[np.float64]
    ties: NDArray[np.int64]
    answer: NDArray[np.int64]


@dataclass(frozen=True)
class Ranks:
    """Ranks of the right answers in both directions.

    Under the rule ``own`` a video's rank is that of its best caption among all queries, and its
    other captions count as candidates: one that ties with the best is a tie (as in CE and MMT).
    Under the other rules right answers do not count against each other's rank. They never count
    against each other's ``hits``, which are those of any right answer.

    Attributes:
        query_to_video: of the Q queries, among the V videos.
        video_to_query: of the videos that have a right query (:attr:`Positives.named`), among the
            Q queries.
        tie_rule: how ties were counted.
        positives: which rule decided what is right.
        collapsed: whether no query distinguishes any two videos, or no video any two queries:
            their scores differ by less than a millionth of the largest score.
    """

    query_to_video: Answers
    video_to_query: Answers
    tie_rule: Ties
    positives: str
    collapsed: bool


def ranks_from_factors(
    video: Tensor,
    query: Tensor,
    positives: Positives,
    *,
    chunk: int = 1024,
    ties: Ties = "average",
    names: Names | None = None,
) -> Ranks:
    """Rank by inner products, ``chunk`` x ``chunk`` scores at a time.

    Args:
        video: (V, K) factor vectors.
        query: (Q, K) factor vectors.
        positives: what is right.
        chunk: rows of either side that are compared at once.
        ties: how equal scores count.
        names: for messages; None = positions.

    Raises:
        DataError: a factor or a product is not finite, or the sizes of ``positives`` differ.

    >>> ranks = ranks_from_factors(torch.eye(3), torch.eye(3), Positives.own(torch.arange(3)))
    >>> ranks.query_to_video.rank.tolist()
    [1.0, 1.0, 1.0]
    """
    names = names or _numbers(positives)
    _check_rows(video, "video", names[0])
    _check_rows(query, "query", names[1])
    positives = positives.to(video.device)
    right = torch.empty(len(positives.video), device=video.device)
    for part in pieces(len(right), chunk, video.device):
        v, q = positives.video[part], positives.query[part]
        right[part] = (video[v].double() * query[q].double()).sum(1).float()
    return _count(tiles_of_factors(video, query, chunk), right, positives, ties, names)


def tiles_of_factors(video: Tensor, query: Tensor, chunk: int = 1024) -> Iterator[Tile]:
    """Yield the float64 inner products of (V, K) and (Q, K) vectors, ``chunk`` x ``chunk``."""
    for rows in pieces(len(video), chunk, video.device):
        block = video[rows].double()
        for columns in pieces(len(query), chunk, video.device):
            yield rows, columns, block @ query[columns].double().T


def ranks_from_similarity(
    similarity: Tensor,
    positives: Positives,
    *,
    chunk: int = 1024,
    ties: Ties = "average",
    names: Names | None = None,
) -> Ranks:
    """Rank by a given (V, Q) similarity; see :func:`ranks_from_factors`.

    Raises:
        DataError: a score is not finite, or the sizes of ``positives`` differ.
    """
    if similarity.shape != (positives.videos, positives.queries):
        raise DataError(
            f"the similarity is {' x '.join(map(str, similarity.shape))}, but right answers are "
            f"known for {positives.videos} videos x {positives.queries} queries"
        )
    rows, device = torch.arange(len(similarity)), torch.device("cpu")
    parts = pieces(positives.queries, chunk, device)
    tiles = [(rows, part, similarity[:, part]) for part in parts]
    return ranks_from_tiles(lambda: tiles, positives, ties=ties, names=names)


def ranks_from_tiles(
    tiles: Callable[[], Iterable[Tile]],
    positives: Positives,
    *,
    ties: Ties = "average",
    names: Names | None = None,
) -> Ranks:
    """Rank by a similarity without factors, computed in pieces.

    Args:
        tiles: yields pieces that together cover the (V, Q) similarity. It is called twice, for
            the right answers' scores and for the counts, and must yield the same both times.
        positives: what is right.
        ties: how equal scores count.
        names: for messages; None = positions.

    Raises:
        DataError: a score is not finite.
    """
    positives = positives.to("cpu")
    right = torch.empty(len(positives.video))
    for rows, columns, scores in tiles():
        pairs, v, q = right_pairs(positives, rows.cpu(), columns.cpu())
        right[pairs] = scores.cpu()[v, q].float()
    return _count(tiles(), right, positives, ties, names or _numbers(positives))


def _count(
    tiles: Iterable[Tile], right: Tensor, positives: Positives, ties: Ties, names: Names
) -> Ranks:
    """Count scores above and equal to the best right ones; ``right`` is (P,), on one device."""
    device = right.device
    for_query = _Counts(right, positives.query, positives.video, positives.queries)
    for_video = _Counts(right, positives.video, positives.query, positives.videos)
    for rows, columns, tile in tiles:
        rows, columns = rows.to(device), columns.to(device)
        scores = tile.to(device, torch.float32, copy=True)
        # The right scores may come from another product: use the same score everywhere.
        pairs, v, q = right_pairs(positives, rows, columns)
        scores[v, q] = right[pairs]
        check_finite((rows, columns, scores), names)  # finite factors may have other products
        for_query.add(columns, scores, dim=0)
        for_video.add(rows, scores, dim=1)
    smallest = COLLAPSED * torch.maximum(for_query.high.abs(), for_query.low.abs()).max()
    same_videos = positives.videos > 1 and for_query.spread() <= smallest
    same_queries = positives.queries > 1 and for_video.spread() <= smallest
    siblings_tie = positives.rule == "own"
    return Ranks(
        query_to_video=for_query.answers(ties, siblings_tie),
        video_to_query=for_video.answers(ties, siblings_tie),
        tie_rule=ties,
        positives=positives.rule,
        collapsed=bool(same_videos or same_queries),
    )


class _Counts:
    """Counts for n seekers, updated tile by tile.

    Args:
        right: (P,) scores of the right pairs.
        seeker: (P,) the pairs' seekers.
        answer: (P,) the pairs' answers.
        count: n.
    """

    def __init__(self, right: Tensor, seeker: Tensor, answer: Tensor, count: int) -> None:
        self.high = torch.full((count,), -torch.inf, device=right.device)
        self.low = -self.high
        self.best = self.high.scatter_reduce(0, seeker, right, "amax")
        self.above, self.equal, self.right = torch.zeros(
            3, count, dtype=torch.int64, device=right.device
        )
        best = right == self.best[seeker]  # of several right answers, some may tie
        self.right.index_add_(0, seeker, best.long())
        largest = torch.iinfo(torch.int64).max
        self.answer = torch.full_like(self.above, largest)
        self.answer.scatter_reduce_(0, seeker[best], answer[best], "amin")

    def add(self, seekers: Tensor, scores: Tensor, dim: int) -> None:
        """Add a tile to the counts, over its dimension ``dim``."""
        best = self.best[seekers].unsqueeze(dim)
        # int32, because torch sums booleans to int64 ten times slower.
        self.above[seekers] += (scores > best).sum(dim, dtype=torch.int32)
        self.equal[seekers] += (scores == best).sum(dim, dtype=torch.int32)
        self.low[seekers] = self.low[seekers].minimum(scores.amin(dim))
        self.high[seekers] = self.high[seekers].maximum(scores.amax(dim))

    def spread(self) -> Tensor:
        """Return the largest difference between two candidates of the same seeker."""
        return (self.high - self.low).max()

    def answers(self, rule: Ties, siblings_tie: bool) -> Answers:
        """Return the ranks that follow from the counts."""
        asks = self.right > 0  # a seeker without a right answer has no rank
        counts = (self.above, self.equal, self.right, self.answer)
        above, equal, right, answer = (count[asks].cpu().numpy() for count in counts)
        counted = np.ones_like(right) if siblings_tie else right
        ties = equal - counted
        # Expected wrong candidates before the first right one, in random order.
        share = {"average": ties / (counted + 1), "optimistic": 0.0, "pessimistic": ties}
        rank = 1.0 + above + share[rule]
        return Answers(
            rank=rank,
            hits=hit_chances(above, equal - right, right) if rule == "average" else within(rank),
            optimistic=1.0 + above,
            ties=ties,
            answer=answer,
        )


def within(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (n, 3), 1 where a rank is at most K of :data:`RECALLS`, else 0."""
    return (ranks[:, None] <= np.array(RECALLS)).astype(np.float64)


def hit_chances(
    above: NDArray[np.int64], wrong: NDArray[np.int64], right: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the chances that a right answer is among the first K of :data:`RECALLS`.

    Tied candidates come in random order, all orders alike. They have m = K - ``above`` of the
    first K places, and no right one is there with the chance C(w, m) / C(w + r, m) of the
    hypergeometric distribution: the product of (w - i) / (w + r - i) over i < m.

    Args:
        above: (n,) how many candidates have a higher score than the best right answer.
        wrong: (n,) w, how many wrong ones have its score.
        right: (n,) r, how many right ones have it, at least 1.

    Returns:
        (n, 3) float64.

    >>> hit_chances(*np.array([[0], [8], [1]])).round(3).tolist()  # 9 equal scores
    [[0.111, 0.556, 1.0]]
    """
    place = np.arange(max(RECALLS))
    wrong, every = wrong[:, None], (wrong + right)[:, None]
    next_wrong = np.maximum(wrong - place, 0) / np.maximum(every - place, 1)
    missed = np.cumprod(np.pad(next_wrong, ((0, 0), (1, 0)), constant_values=1), axis=1)
    places = np.clip(np.array(RECALLS) - above[:, None], 0, None)
    return np.asarray(1 - np.take_along_axis(missed, places, axis=1))


def right_pairs(
    positives: Positives, rows: Tensor, columns: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return which right pairs lie in a tile, and their row and column there."""
    places = []
    for side, count, positions in (
        (positives.video, positives.videos, rows),
        (positives.query, positives.queries, columns),
    ):
        place = torch.full((count,), -1, device=side.device)
        place[positions] = torch.arange(len(positions), device=side.device)
        places.append(place[side])
    pairs = ((places[0] >= 0) & (places[1] >= 0)).nonzero().flatten()
    return pairs, places[0][pairs], places[1][pairs]


def pieces(count: int, chunk: int, device: torch.device) -> list[Tensor]:
    """Return the positions from 0 to ``count``, ``chunk`` at a time."""
    positions = torch.arange(count, device=device)
    return [positions[begin : begin + chunk] for begin in range(0, count, chunk)]


def check_finite(tile: Tile, names: Names) -> None:
    """Check that all float32 scores of a tile are finite.

    Raises:
        DataError: one is not; the message names its video and its query.
    """
    rows, columns, scores = tile
    if not scores.isfinite().all():
        i, j = (~scores.isfinite()).nonzero()[0].tolist()
        video, query = names[0][int(rows[i])], names[1][int(columns[j])]
        raise DataError(
            f"the similarity of video {video!r} and query {query!r} is {float(scores[i, j])}, not "
            "a finite float32 number"
        )


def _numbers(positives: Positives) -> Names:
    videos, queries = range(positives.videos), range(positives.queries)
    return list(map(str, videos)), list(map(str, queries))


def _check_rows(factors: Tensor, side: str, names: Sequence[str]) -> None:
    if len(factors) != len(names):
        raise DataError(f"{len(factors)} {side} vectors, but right answers for {len(names)}")
    bad = (~factors.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        rows = ", ".join(names[row] for row in bad[:5]) + (", ..." if len(bad) > 5 else "")
        raise DataError(f"{len(bad)} of {len(factors)} {side} vectors are not finite: {rows}")
