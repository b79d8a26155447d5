"""Measures scores on a split, and saves the result as a run folder like that of a trained model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from varkit.data.positives import positives_of
from varkit.evaluation.evaluate import Evaluation, save
from varkit.evaluation.examples import examples
from varkit.evaluation.metrics import chance, summarize
from varkit.evaluation.results import RunResults, summarize_seeds, training_results
from varkit.interfaces.settings import Which
from varkit.runs.folder import new_folder, provenance
from varkit.search.scores import Scores
from varkit.search.sources import Ground, ScoreSource
from varkit.system.files import write_json

WHICH: Which = "last"
"""The name in results and files; nothing is selected here."""


def evaluate_scores(scores: Scores, ground: Ground, backward: Scores | None = None) -> Evaluation:
    """Rank a split by scores.

    Args:
        scores: of all its videos and queries.
        ground: the split, and how ties and equal captions count.
        backward: scores with which videos search for queries; None = the same scores.

    Raises:
        DataError: a score is not finite, or the split has nothing to rank.
    """
    dataset, options = ground.dataset, ground.options
    items = tuple(dataset.split(ground.split))
    queries, owner, positives = positives_of(dataset, items, options.positives)
    place = {query: q for q, query in enumerate(ground.names()[1])}
    columns = torch.tensor([place[query] for query in queries])
    forth = scores.of(columns)
    ranks = forth.ranks(positives, options.ties)
    if backward is not None:
        back = backward.of(columns).ranks(positives, options.ties)
        collapsed = ranks.collapsed or back.collapsed
        ranks = replace(ranks, video_to_query=back.video_to_query, collapsed=collapsed)
    return Evaluation(
        items=items,
        queries=queries,
        owner=owner,
        positives=positives,
        video_factors=forth.video,
        query_factors=forth.query,
        ranks=(ranks,),
        report=summarize(ranks),
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
    dataset = ground.dataset
    measured = evaluate_scores(scores, ground, backward)
    facts = provenance(
        name,
        dataset,
        seeds=[0],
        selection=_selection(sources),
        embedded=any(source.embedded for source in sources),
        command=command,
        started=started,
    )
    facts["simulated"] |= any(source.simulated for source in sources)
    facts["made_from"] = [source.origin for source in sources]
    facts["made_how"] = dict(how)
    folder = new_folder(out, name, started)
    own = folder / "seed-0"
    depth = ground.options.trec_depth if backward is None else 0
    training = training_results(
        {WHICH: save(measured, dataset, own, WHICH, trec_depth=depth)},
        dataset=dataset.name,
        simulated=facts["simulated"],
        selection=facts["selection"],
        chance=chance(measured.positives),
    )
    results = summarize_seeds({0: training}, split=ground.split)
    write_json(own / "examples.json", examples(measured, dataset))
    write_json(own / "results.json", training)
    write_json(folder / "run.json", facts)
    write_json(folder / "results.json", results)
    return folder, results


def _selection(sources: Sequence[ScoreSource]) -> str:
    """Return how the models were selected; ``test`` if any was selected on the test set."""
    rules = {source.selection for source in sources}
    if "test" in rules:
        return "test"
    return rules.pop() if len(rules) == 1 else "unknown"
