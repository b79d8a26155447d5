"""Measures a model on a split: encodes and ranks all videos and queries, and saves the ranks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from varkit.data.batches import remember_captions
from varkit.data.positives import Positives, positives_of
from varkit.errors import DataError
from varkit.evaluation.detection import Curve, detection
from varkit.evaluation.encoding import Progress, Side, SplitEncoder
from varkit.evaluation.graded import retrieval_report
from varkit.evaluation.groups import group_figures
from varkit.evaluation.metrics import Report
from varkit.evaluation.rank import Answers, Ranks, Tile, ranks_from_factors, ranks_from_tiles
from varkit.evaluation.rank_files import RankRow, write_ranks
from varkit.evaluation.results import average
from varkit.evaluation.trec import write_trec
from varkit.interfaces import Dataset, Item
from varkit.interfaces.settings import EvalOptions, Measured
from varkit.model.retrieval import RetrievalModel


@dataclass(frozen=True)
class Evaluation:
    """The results of a split. Embeddings, curves and tiles are those of the first sampler seed.

    Attributes:
        items: the videos, length V.
        queries: identifiers, length Q.
        owner: (Q,) int64, the position of each query's own video.
        positives: which videos are right for which queries.
        video_factors: (V, K) float32; None if the similarity is not an inner product.
        query_factors: (Q, K) float32, or None.
        ranks: of the right answers, for every sampler seed.
        report: the figures, means over the sampler seeds.
        curves: video -> scores and picks, if the encoder has samplers or a detector.
        clips: video -> T.
        tiles: yields the similarity of all videos and queries, in pieces.
        scores: maps the position of a query to the (V,) scores of all videos.
    """

    items: tuple[Item, ...]
    queries: tuple[str, ...]
    owner: Tensor
    positives: Positives
    video_factors: Tensor | None
    query_factors: Tensor | None
    ranks: tuple[Ranks, ...]
    report: Report
    curves: Mapping[str, Curve]
    clips: Mapping[str, int]
    tiles: Callable[[], Iterable[Tile]]
    scores: Callable[[int], Tensor]

    @property
    def videos(self) -> tuple[str, ...]:
        """The videos' identifiers, length V."""
        return tuple(item.video for item in self.items)


def evaluate(
    model: RetrievalModel,
    dataset: Dataset,
    items: Sequence[Item],
    *,
    options: EvalOptions,
    device: torch.device | str,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model; afterwards every module is back in its previous mode.

    Args:
        model: on ``device``.
        dataset: where the items come from.
        items: the videos of a split, and their queries.
        options: the recipe's ``eval`` section.
        device: where to encode and to rank.
        seed: of the samplers; None = ``options.seed``.
        progress: called after every batch.

    Returns:
        The evaluation. Its report has the figures of
        :func:`varkit.evaluation.graded.retrieval_report` and, where they apply, those of
        :func:`varkit.evaluation.detection.detection` and ``repeats`` (``n`` sampler seeds and each
        figure's ``_sd``).

    Raises:
        DataError: there is nothing to rank, an identifier stands for two queries, an embedding or
            a similarity is not finite, or ground truth or ``options.qrels`` does not fit.
    """
    if not items:
        raise DataError(f"{dataset.name}: there are no videos to evaluate")
    first = options.seed if seed is None else seed
    queries, owner, positives = positives_of(dataset, items, options.positives, options.qrels)
    names = [item.video for item in items]
    place = torch.device(device)
    encoder = SplitEncoder(model, dataset, names, queries, options, place, progress)
    remember_captions(model.query, dataset, items)
    ranks: list[Ranks] = []
    reports: list[Report] = []
    with evaluating(model):
        for repeat in range(options.repeats):
            encoded = encoder.encode_videos(first + repeat), encoder.encode_queries(first + repeat)
            ranks.append(_rank(encoder, *encoded, positives))
            report = retrieval_report(ranks[-1], positives, partial(encoder.tiles, *encoded))
            reports.append({**report, **detection(dataset, encoded[0].curves)})
            if repeat == 0:
                sides = encoded
    return Evaluation(
        items=tuple(items),
        queries=queries,
        owner=owner,
        positives=positives,
        video_factors=_plain(sides[0].factors),
        query_factors=_plain(sides[1].factors),
        ranks=tuple(ranks),
        report=reports[0] if len(reports) == 1 else average(reports),
        curves=sides[0].curves,
        clips=sides[0].clips,
        tiles=lambda: _tiles(encoder, *sides),
        scores=lambda query: _scores(encoder, *sides, query),
    )


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode, without gradients; restore its modes afterwards."""
    # Module by module, because a frozen part may be in evaluation mode during training.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # Not inference mode: tensors that a component caches there cannot be used in training.
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


def _rank(encoder: SplitEncoder, videos: Side, queries: Side, positives: Positives) -> Ranks:
    ties = encoder.options.ties
    names = encoder.videos, encoder.queries
    if videos.factors is not None and queries.factors is not None:
        factors = videos.factors, queries.factors
        return ranks_from_factors(*factors, positives, ties=ties, names=names)
    tiles = partial(encoder.tiles, videos, queries)
    return ranks_from_tiles(tiles, positives, ties=ties, names=names)


def _tiles(encoder: SplitEncoder, videos: Side, queries: Side) -> Iterator[Tile]:
    with evaluating(encoder.model):
        yield from encoder.tiles(videos, queries)


def _scores(encoder: SplitEncoder, videos: Side, queries: Side, query: int) -> Tensor:
    if videos.factors is not None and queries.factors is not None:
        # In float64, as for ranks: partial sums in float32 may be infinite where the sum is not.
        return (videos.factors.double() @ queries.factors[query].double()).float().cpu()
    scores = torch.empty(len(encoder.videos))
    with evaluating(encoder.model):
        for columns, part in queries.parts:
            if query in columns:
                for rows, video in videos.parts:
                    block = encoder.model.similarity(video, part)
                    scores[rows] = block[:, columns == query].flatten().float().cpu()
    return scores


def _plain(factors: Tensor | None) -> Tensor | None:
    return None if factors is None else factors.cpu()


def save(
    evaluation: Evaluation,
    dataset: Dataset,
    folder: Path | None,
    which: Measured,
    *,
    trec_depth: int,
) -> Report:
    """Save every rank, so that anybody can check the figures, and return the whole report.

    Args:
        evaluation: of a split of ``dataset``.
        dataset: where its items come from.
        folder: gets ``ranks/<which>.jsonl`` and ``trec/``; None = write nothing.
        which: the model's name in the files.
        trec_depth: candidates per query in the TREC files; 0 = write no such files.

    Returns:
        The evaluation's report with ``groups`` (:func:`varkit.evaluation.groups.group_figures`).

    Raises:
        WriteError: the disk is full or not writable.
    """
    rows = list(rank_rows(evaluation, dataset))
    if folder is not None:
        write_ranks(folder / "ranks" / f"{which}.jsonl", rows)
        if trec_depth:
            write_trec(folder / "trec", which, evaluation, trec_depth)
    return {**evaluation.report, "groups": group_figures(rows)}


def rank_rows(evaluation: Evaluation, dataset: Dataset) -> Iterator[RankRow]:
    """Yield, for one sampler seed after another, the ranks of queries, then of videos.

    Videos that no query names have no rank.
    """
    facts = [_facts(item, evaluation, dataset) for item in evaluation.items]
    cluster = [evaluation.videos[first] for first in evaluation.positives.clusters()]
    owner = evaluation.owner.tolist()
    videos, queries = evaluation.videos, evaluation.queries
    captions = dataset.query_kind == "captions"
    texts = [str(dataset.query(query)) if captions else None for query in queries]
    for repeat, ranks in enumerate(evaluation.ranks):
        for q, place in enumerate(_places(ranks.query_to_video, videos)):
            yield RankRow(
                direction="query_to_video",
                repeat=repeat,
                id=queries[q],
                cluster=cluster[int(ranks.query_to_video.answer[q])],
                text=texts[q],
                **place,
                **facts[owner[q]],
            )
        named = evaluation.positives.named.tolist()
        for v, place in zip(named, _places(ranks.video_to_query, queries), strict=True):
            yield RankRow(
                direction="video_to_query",
                repeat=repeat,
                id=videos[v],
                cluster=cluster[v],
                text=None,
                **place,
                **facts[v],
            )


def _places(answers: Answers, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    columns = (answers.rank, answers.hits, answers.ties, answers.answer)
    for rank, hits, ties, answer in zip(*(column.tolist() for column in columns), strict=True):
        yield {"rank": rank, "hits": tuple(hits), "ties": ties, "answer": names[answer]}


def _facts(item: Item, evaluation: Evaluation, dataset: Dataset) -> dict[str, Any]:
    truth = dataset.truth(item.video)
    without_truth = 0.0 if item.label == 0 else None
    return {
        "video": item.video,
        "label": item.label,
        "classes": item.classes,
        "clips": evaluation.clips[item.video],
        "anomaly": without_truth if truth is None else float(truth.mean()),
    }
