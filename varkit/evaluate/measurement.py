"""A trained model measured on a split, with the files that let others check the figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from varkit.evaluate.encoding import Progress
from varkit.evaluate.evaluation import Evaluation, evaluate
from varkit.evaluate.figures import Report
from varkit.evaluate.groups import group_figures
from varkit.evaluate.rank import Answers
from varkit.evaluate.rank_files import RankRow, write_ranks
from varkit.evaluate.trec import write_trec
from varkit.interfaces import Dataset, Item
from varkit.interfaces.settings import EvalOptions
from varkit.model.retrieval import RetrievalModel

Which = Literal["best", "last"]
"""The model of the selected epoch, or the last."""


def measure(
    model: RetrievalModel,
    dataset: Dataset,
    items: Sequence[Item],
    *,
    options: EvalOptions,
    device: torch.device | str,
    folder: Path | None,
    which: Which,
    progress: Progress | None = None,
) -> tuple[Evaluation, Report]:
    """Evaluate a model, also by groups of videos, and save every rank.

    Args:
        model: on ``device``.
        dataset: where the items come from.
        items: the videos of a split, and their queries.
        options: the recipe's ``eval`` section.
        device: where to encode and to rank.
        folder: gets ``ranks/<which>.jsonl`` and, unless ``options.trec_depth`` is 0, ``trec/``;
            None = nothing is written.
        which: the model's name in the files.
        progress: is told how far it is.

    Returns:
        The evaluation, and its report with ``groups``
        (:func:`varkit.evaluate.groups.group_figures`).

    Raises:
        DataError: as :func:`varkit.evaluate.evaluation.evaluate`.
        WriteError: the disk is full or not writable.
    """
    found = evaluate(model, dataset, items, options=options, device=device, progress=progress)
    rows = list(rank_rows(found, dataset))
    if folder is not None:
        write_ranks(folder / "ranks" / f"{which}.jsonl", rows)
        if options.trec_depth:
            write_trec(folder / "trec", which, found, options.trec_depth)
    return found, {**found.report, "groups": group_figures(rows)}


def rank_rows(found: Evaluation, dataset: Dataset) -> Iterator[RankRow]:
    """Yield the rank of every query, then of every video, of one sampler seed after another."""
    facts = [_facts(item, found, dataset) for item in found.items]
    owner = found.owner.tolist()
    videos, queries = found.videos, found.queries
    captions = dataset.query_kind == "captions"
    texts = [str(dataset.query(query)) if captions else None for query in queries]
    for repeat, ranks in enumerate(found.ranks):
        for q, place in enumerate(_places(ranks.query_to_video, videos)):
            yield RankRow(
                direction="query_to_video",
                repeat=repeat,
                id=queries[q],
                text=texts[q],
                **place,
                **facts[owner[q]],
            )
        for v, place in enumerate(_places(ranks.video_to_query, queries)):
            yield RankRow(
                direction="video_to_query",
                repeat=repeat,
                id=videos[v],
                text=None,
                **place,
                **facts[v],
            )


def _places(answers: Answers, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for rank, ties, answer in zip(answers.rank, answers.ties, answers.answer, strict=True):
        yield {"rank": float(rank), "ties": int(ties), "answer": names[answer]}


def _facts(item: Item, found: Evaluation, dataset: Dataset) -> dict[str, Any]:
    truth = dataset.truth(item.video)
    nowhere = 0.0 if item.label == 0 else None
    return {
        "video": item.video,
        "label": item.label,
        "classes": item.classes,
        "clips": found.clips[item.video],
        "anomaly": nowhere if truth is None else float(truth.mean()),
    }
