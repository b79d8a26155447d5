"""Writes run and qrels files, which trec_eval, pytrec_eval, ir_measures and ranx read.

Identifiers are encoded as in :mod:`varkit.data.trec`, which reads such files.

A run has only the best ``depth`` candidates; an answer behind them counts as not retrieved.
Readers break ties by their own rule: trec_eval puts the greatest identifier first. So their
figures differ from varkit's if there are ties. The best candidates are chosen by the same rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from varkit.data.trec import encode
from varkit.evaluation.rank import Tile
from varkit.system.files import replacing

if TYPE_CHECKING:
    from varkit.evaluation.evaluate import Evaluation


def write_trec(folder: Path, name: str, evaluation: Evaluation, depth: int) -> None:
    """Write ``<name>.<direction>.run`` and ``<direction>.qrels`` of both directions.

    Args:
        folder: is created.
        name: of the run in file names and in the last column.
        evaluation: of several sampler seeds, the first is written.
        depth: candidates per query, at least 1.

    Raises:
        WriteError: the disk is full or not writable.
    """
    videos = [encode(video) for video in evaluation.videos]
    queries = [encode(query) for query in evaluation.queries]
    best = best_candidates(evaluation.tiles(), videos, queries, depth)
    right = evaluation.positives
    grades = torch.ones_like(right.query) if right.grade is None else right.grade
    pairs = torch.stack([right.query, right.video, grades], dim=1).tolist()
    for way, seekers, candidates, (places, scores), own in (
        ("query_to_video", queries, videos, best[0], 0),
        ("video_to_query", videos, queries, best[1], 1),
    ):
        _write(folder / f"{name}.{way}.run", _run(seekers, candidates, places, scores, name))
        judged = (f"{seekers[pair[own]]} 0 {candidates[pair[1 - own]]} {pair[2]}" for pair in pairs)
        _write(folder / f"{way}.qrels", judged)


def best_candidates(
    tiles: Iterable[Tile], videos: Sequence[str], queries: Sequence[str], depth: int
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the best candidates of every query, and of every video, in order.

    Args:
        tiles: pieces that together cover the (V, Q) similarity.
        videos: encoded identifiers, length V; of tied candidates, the greatest comes first.
        queries: encoded identifiers, length Q.
        depth: the number of candidates.

    Returns:
        For the queries (Q, depth) int64 positions of videos and their (Q, depth) scores, then the
        same for the videos; ``depth`` is at most V, or Q.
    """
    of_queries, of_videos = _Best(queries, videos, depth), _Best(videos, queries, depth)
    for rows, columns, tile in tiles:
        # + 0 makes -0 a 0.
        scores = tile.cpu().float() + 0.0
        of_queries.add(columns.cpu(), rows.cpu(), scores.T)
        of_videos.add(rows.cpu(), columns.cpu(), scores)
    return of_queries.candidates(), of_videos.candidates()


class _Best:
    """The best candidates of n seekers so far, one 64-bit key each.

    The upper half of a key grows with the score; the lower half is the place of the candidate's
    identifier in alphabetical order. So no two keys of a seeker are equal.
    """

    def __init__(self, seekers: Sequence[str], candidates: Sequence[str], depth: int) -> None:
        # By bytes, as strcmp in C.
        names = [name.encode() for name in candidates]
        self.order = torch.tensor(sorted(range(len(names)), key=names.__getitem__))
        self.place = self.order.argsort()
        self.depth = min(depth, len(names))
        self.keys = torch.full((len(seekers), self.depth), torch.iinfo(torch.int64).min)

    def add(self, seekers: Tensor, candidates: Tensor, scores: Tensor) -> None:
        """Add the (s, c) scores of some seekers and candidates."""
        bits = scores.contiguous().view(torch.int32).long()
        # A float's bits grow with it if it is positive, and shrink if it is negative.
        grows = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)
        keys = (grows << 32) + self.place[candidates]
        self.keys[seekers] = torch.cat([self.keys[seekers], keys], dim=1).topk(self.depth).values

    def candidates(self) -> tuple[Tensor, Tensor]:
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
            # Nine digits restore the same float32.
            yield f"{seeker} Q0 {candidates[place]} {rank} {score:.9g} {name}"


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path, 0) as part, part.open("w", encoding="utf-8") as file:
        file.writelines(f"{line}\n" for line in lines)
