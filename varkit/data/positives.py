"""Which videos are the right answers for which queries.

UCFCrime-AR's test part has two pairs of identical captions, one of them for two identical videos.
So a query's own video is not always the only right answer. Published figures of the benchmark
follow three different rules; here the rule is an option, and tables print it. Relevance judgements
in a TREC file can replace the rule.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from varkit.data.trec import read_qrels
from varkit.errors import DataError
from varkit.interfaces import Dataset, Item
from varkit.interfaces.settings import Rule
from varkit.system.files import sha256

T = TypeVar("T")


@dataclass(frozen=True)
class Positives:
    """The right pairs of V videos and Q queries.

    Attributes:
        video: (P,) int64, the pairs' videos.
        query: (P,) int64, the pairs' queries; no pair occurs twice.
        videos: V.
        queries: Q.
        rule: how the pairs were made; see :func:`positives_of`.
        grade: (P,) int64, how relevant they are, at least 1; None = there are no grades.

    Raises:
        DataError: a position does not exist, or a query has no right answer. A video may have
            none: it is a candidate that no query names, and does not search for queries itself.
    """

    video: Tensor
    query: Tensor
    videos: int
    queries: int
    rule: str = "own"
    grade: Tensor | None = None

    def __post_init__(self) -> None:
        if self.queries == 0:
            raise DataError("there are no queries to rank")
        sides = (("video", self.video, self.videos), ("query", self.query, self.queries))
        for name, positions, count in sides:
            if positions.shape != (len(self.video),) or positions.dtype != torch.int64:
                raise DataError(
                    f"the {name} of each of {len(self.video)} right pairs must be int64; "
                    f"it is {tuple(positions.shape)} {positions.dtype}"
                )
            wrong = positions[(positions < 0) | (positions >= count)]
            if len(wrong):
                raise DataError(f"there is no {name} {int(wrong[0])}: they are 0 to {count - 1}")
        bare = (torch.bincount(self.query, minlength=self.queries) == 0).nonzero().flatten()
        if len(bare):
            raise DataError(
                f"{len(bare)} of {self.queries} queries have no right answer, the first is "
                f"{int(bare[0])}"
            )

    @classmethod
    def own(cls, owner: Tensor, videos: int | None = None) -> Positives:
        """Return the pairs of every query and its own video.

        Args:
            owner: (Q,) int64, the position of each query's video.
            videos: V; None = Q.
        """
        videos = len(owner) if videos is None else videos
        return cls(owner, torch.arange(len(owner)), videos, len(owner))

    def to(self, device: torch.device | str) -> Positives:
        """Return the same pairs on a device."""
        return replace(self, video=self.video.to(device), query=self.query.to(device))

    @property
    def named(self) -> Tensor:
        """The positions of the videos that have a right query, ascending."""
        return torch.bincount(self.video).nonzero().flatten()

    def of_query(self, query: int) -> list[int]:
        """Return the right videos of a query, in order."""
        return sorted(self.video[self.query == query].tolist())

    def clusters(self) -> list[int]:
        """Return, for each video, the first of those that share right queries with it.

        Sharing is transitive: these are the connected components of videos and queries.

        >>> Positives(*torch.tensor([[0, 1, 1, 2, 3], [0, 0, 1, 1, 2]]), 4, 3).clusters()
        [0, 0, 0, 3]
        """
        first = torch.arange(self.videos)
        while True:
            of_query = torch.full((self.queries,), self.videos)
            of_query.scatter_reduce_(0, self.query, first[self.video], "amin")
            joined = first.scatter_reduce(0, self.video, of_query[self.query], "amin")
            joined = joined[joined]  # so that a chain of videos takes few rounds
            if torch.equal(joined, first):
                return first.tolist()
            first = joined


def positives_of(
    dataset: Dataset, items: Sequence[Item], rule: Rule, qrels: str | None = None
) -> tuple[tuple[str, ...], Tensor, Positives]:
    """Return the queries to rank in a split, and their right answers.

    Args:
        dataset: gives the captions.
        items: the videos, in order.
        rule: ``own`` = only a query's own video; ``duplicates`` = every video that has a query
            with the same caption (:func:`query_group`); ``unique`` = as ``duplicates``, and of
            queries with the same caption only the first is ranked. Sounds never count as the same.
        qrels: a file of relevance judgements (:func:`varkit.data.trec.read_qrels`), which decides
            instead of the rule; None = the rule decides.

    Returns:
        The queries' identifiers, length Q; (Q,) int64, the position of each query's own video;
        the right pairs.

    Raises:
        DataError: an identifier stands for two queries, or the file of judgements is faulty.
    """
    owners = {query: v for v, item in enumerate(items) for query in item.queries}
    queries = [query for item in items for query in item.queries]
    if len(owners) < len(queries):
        twice = next(query for i, query in enumerate(queries) if query in queries[:i])
        raise DataError(f"{dataset.name}: query {twice!r} is listed twice")
    owner = torch.tensor([owners[query] for query in queries], dtype=torch.int64)
    if qrels is not None:
        path = Path(qrels)
        judged = read_qrels(path, [item.video for item in items], queries)
        query, video = torch.tensor([*judged], dtype=torch.int64).view(-1, 2).T
        grade = torch.tensor([*judged.values()], dtype=torch.int64)
        name = f"qrels {sha256(path)[:12]}"
        sizes = len(items), len(queries)
        return tuple(queries), owner, Positives(video, query, *sizes, name, grade)
    if rule == "own" or dataset.query_kind == "clips":
        positives = Positives.own(owner, len(items))
        return tuple(queries), owner, replace(positives, rule=rule)
    groups = equal_captions((query, str(dataset.query(query))) for query in queries)
    right: dict[str, dict[int, None]] = {}  # query -> its right videos, as an ordered set
    for alike in groups:
        right |= dict.fromkeys(alike, dict.fromkeys(owners[query] for query in alike))
    if rule == "unique":
        queries = [first for first, *_ in groups]
    pairs = [(v, q) for q, query in enumerate(queries) for v in right[query]]
    video, position = torch.tensor(pairs, dtype=torch.int64).view(-1, 2).T
    owner = torch.tensor([owners[query] for query in queries])
    return tuple(queries), owner, Positives(video, position, len(items), len(queries), rule)


def equal_captions(captions: Iterable[tuple[T, str]]) -> list[list[T]]:
    """Return the owners of every distinct caption, by :func:`query_group`, in order.

    >>> equal_captions([("a", "A man runs."), ("b", "A car."), ("c", "a man  runs")])
    [['a', 'c'], ['b']]
    """
    groups: dict[int, list[T]] = {}
    for owner, caption in captions:
        groups.setdefault(query_group(caption), []).append(owner)
    return list(groups.values())


def query_group(text: str) -> int:
    """Return a 64-bit hash of a caption that ignores case, spacing and the final period."""
    plain = " ".join(text.casefold().split()).removesuffix(".").rstrip()
    digest = hashlib.blake2b(plain.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
