"""Measures scores on a split, and saves the result as a run folder like that of a trained model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import torch

from varkit.data.positives import positives_of
from varkit.evaluation.evaluate import Evaluation, save
from varkit.evaluation.examples import examples
from varkit.evaluation.graded import retrieval_report
from varkit.evaluation.metrics import chance
from varkit.evaluation.results import RunResults, summarize_seeds, training_results
from varkit.runs.folder import new_folder, provenance
from varkit.search.score_files import Marks
from varkit.search.scores import Scores
from varkit.search.sources import Ground, ScoreSource
from varkit.system.files import write_json


def evaluate_scores(scores: Scores, ground: Ground, backward: Scores | None = None) -> Evaluation:
    """Rank a split by scores.

    Args:
        scores: of all its videos and queries.
        ground: the split, and how ties and equal captions count.
        backward: scores with which videos search for queries; None = the same scores.

    Raises:
        DataError: a score is not finite, the split has nothing to rank, or a file of relevance
            judgements is faulty.
    """
    dataset, options = ground.dataset, ground.options
    items = tuple(dataset.split(ground.split))
    queries, owner, positives = positives_of(dataset, items, options.positives, options.qrels)
    videos, every = ground.names()
    place = {query: q for q, query in enumerate(every)}
    columns = torch.tensor([place[query] for query in queries])
    names = videos, queries
    forth = back = scores.of(slice(None), columns)
    ranks = forth.ranks(positives, options.ties, names)
    if backward is not None:
        back = backward.of(slice(None), columns)
        reverse = back.ranks(positives, options.ties, names)
        collapsed = ranks.collapsed or reverse.collapsed
        ranks = replace(ranks, video_to_query=reverse.video_to_query, collapsed=collapsed)
    video_factors, query_factors = forth.factors or (None, None)
    return Evaluation(
        items=items,
        queries=queries,
        owner=owner,
        positives=positives,
        video_factors=video_factors,
        query_factors=query_factors,
        ranks=(ranks,),
        report=retrieval_report(ranks, positives, forth.tiles, back.tiles),
        curves={},
        clips={item.video: dataset.open(item.video).length for item in items},
        tiles=forth.tiles,
        scores=forth.of_query,
    )


def write_measured(
    scores: Scores,
    ground: Ground,
    sources: Sequence[ScoreSource],
    how: Mapping[str, Any],
    *,
    backward: Scores | None = None,
    name: str,
    out: Path,
    command: Sequence[str],
    started: datetime,
) -> tuple[Path, RunResults]:
    """Measure scores and write ``out/<name>/<time>-<id>/``, a measured run without a model.

    TREC files are written unless each direction has scores of its own.

    Args:
        scores: as for :func:`evaluate_scores`.
        ground: likewise.
        sources: what the scores were made from; recorded in ``run.json``, with their SHA-256.
        how: how they were made; recorded likewise.
        backward: as for :func:`evaluate_scores`.
        name: of the result in tables.
        out: folder of runs.
        command: the command line.
        started: time of the start.

    Returns:
        The folder, and the content of its ``results.json``.

    Raises:
        DataError: as :func:`evaluate_scores`.
        WriteError: the disk is full or not writable.
    """
    dataset, marks = ground.dataset, reduce(Marks.joined, (source.marks for source in sources))
    measured = evaluate_scores(scores, ground, backward)
    shown = examples(measured, dataset)
    facts = provenance(
        name,
        dataset,
        seeds=[marks.seed],
        selection=marks.selection,
        embedded=marks.embedded,
        command=command,
        started=started,
    )
    facts["simulated"] |= marks.simulated
    facts["made_from"] = [source.origin for source in sources]
    facts["made_how"] = dict(how)
    folder = new_folder(out, name, started)
    own, which = folder / f"seed-{marks.seed}", marks.checkpoint
    depth = ground.options.trec_depth if backward is None else 0
    try:
        training = training_results(
            {which: save(measured, dataset, own, which, trec_depth=depth)},
            dataset=dataset.name,
            simulated=facts["simulated"],
            selection=marks.selection,
            chance=chance(measured.positives),
        )
        results = summarize_seeds({marks.seed: training}, split=ground.split)
        write_json(own / "examples.json", shown)
        write_json(own / "results.json", training)
        write_json(folder / "results.json", results)
        write_json(folder / "run.json", facts)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)  # never half a run
        raise
    return folder, results
