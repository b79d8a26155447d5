"""Run and qrels files, which trec_eval, pytrec_eval, ir_measures and ranx read.

These formats are separated by white space, so white space, ``%`` and control characters within an
identifier are percent-encoded (``urllib.parse.unquote`` gives the identifier back).

A run holds the best ``depth`` candidates only, so a rank behind them counts as not found. Readers
break ties by their own rule, trec_eval by the identifier, the greatest first: figures of a run
with ties differ from varkit's. The candidates that are kept are chosen by that same rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import torch
from torch import Tensor

from varkit.evaluation.rank import Tile
from varkit.system.files import replacing

if TYPE_CHECKING:
    from varkit.evaluation.evaluate import Evaluation

UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f\ud800-\udfff]")
"""What identifiers cannot hold in these files."""


def write_trec(folder: Path, name: str, found: Evaluation, depth: int) -> None:
    """Write ``<name>.<direction>.run`` and ``<direction>.qrels`` of both directions.

    Args:
        folder: is made.
        name: of the run in file names and in the last column.
        found: an evaluation; of several sampler seeds, the first is written.
        depth: candidates a query, at least 1.

    Raises:
        WriteError: the disk is full or not writable.
    """
    videos = [encode(video) for video in found.videos]
    queries = [encode(query) for query in found.queries]
    best = best_candidates(found.tiles(), videos, queries, depth)
    pairs = list(zip(found.positives.query.tolist(), found.positives.video.tolist(), strict=True))
    for way, seekers, candidates, (places, scores), swap in (
        ("query_to_video", queries, videos, best[0], 1),
        ("video_to_query", videos, queries, best[1], -1),
    ):
        _write(folder / f"{name}.{way}.run", _run(seekers, candidates, places, scores, name))
        right = (pair[::swap] for pair in pairs)
        _write(folder / f"{way}.qrels", (f"{seekers[s]} 0 {candidates[c]} 1" for s, c in right))


def encode(identifier: str) -> str:
    """Return an identifier without white space.

    >>> encode("v 1#00:10_label_B1")
    'v%201#00:10_label_B1'
    """
    return UNSAFE.sub(lambda found: quote(found[0], errors="surrogatepass"), identifier)


def best_candidates(
    tiles: Iterable[Tile], videos: Sequence[str], queries: Sequence[str], depth: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the best candidates of every query, and of every video, in order.

    Args:
        tiles: pieces that together are the (V, Q) similarity.
        videos: encoded identifiers, length V; of candidates that tie, the greatest comes first.
        queries: encoded identifiers, length Q.
        depth: how many candidates.

    Returns:
        For the queries (Q, depth) int64 positions of videos and their (Q, depth) scores, then the
        same for the videos; ``depth`` is V, or Q, where that is less.
    """
    of_queries, of_videos = _Best(queries, videos, depth), _Best(videos, queries, depth)
    for rows, columns, tile in tiles:
        # + 0 makes -0 a 0.
        scores = tile.cpu().float() + 0.0
        of_queries.add(columns.cpu(), rows.cpu(), scores.T)
        of_videos.add(rows.cpu(), columns.cpu(), scores)
    return of_queries.found(), of_videos.found()


class _Best:
    """The best candidates of n seekers so far, as one whole number each.

    Its upper half grows with the score, its lower half is the place of the candidate's identifier
    in alphabetical order. So no two are the same, and the largest of any pieces are the largest.
    """

    def __init__(self, seekers: Sequence[str], candidates: Sequence[str], depth: int) -> None:
        # By bytes, as C's strcmp.
        names = [name.encode() for name in candidates]
        self.order = torch.tensor(sorted(range(len(names)), key=names.__getitem__))
        self.place = self.order.argsort()
        self.depth = min(depth, len(names))
        self.keys = torch.full((len(seekers), self.depth), torch.iinfo(torch.int64).min)

    def add(self, seekers: Tensor, candidates: Tensor, scores: Tensor) -> None:
        """Look at (s, c) scores of some seekers and candidates."""
        bits = scores.contiguous().view(torch.int32).long()
        # A float's bits grow with it if it is positive, and shrink if it is negative.
        grows = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
        keys = (grows << 32) + self.place[candidates]
        self.keys[seekers] = torch.cat([self.keys[seekers], keys], dim=1).topk(self.depth).values

    def found(self) -> tuple[Tensor, Tensor]:
        """Return the candidates' positions and scores, the best first."""
        grows = self.keys >> 32
        bits = torch.where(grows < 0, grows ^ 0x7FFFFFFF, grows).to(torch.int32)
        return self.order[self.keys & 0xFFFFFFFF], bits.view(torch.float32)


def _run(
    seekers: Sequence[str], candidates: Sequence[str], places: Tensor, scores: Tensor, name: str
) -> Iterator[str]:
    for seeker, row, values in zip(seekers, places, scores, strict=True):
        pairs = zip(row.tolist(), values.tolist(), strict=True)
        for rank, (place, score) in enumerate(pairs, start=1):
            # Nine digits give the same float32 back.
            yield f"{seeker} Q0 {candidates[place]} {rank} {score:.9g} {name}"


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path, 0) as part, part.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
