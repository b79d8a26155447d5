"""Measures a model on a split: every video and query encoded once, ranked both ways."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn

from varkit import metrics
from varkit.data import query_batches, video_batches
from varkit.detection import Curve, detection
from varkit.errors import DataError, VarkitError
from varkit.interfaces import Dataset, Item
from varkit.metrics import Ranks, Report, Ties
from varkit.model import RetrievalModel
from varkit.options import EvalOptions
from varkit.results import average
from varkit.shapes import expect_shape
from varkit.types import Captions, Clips, Representation

Progress = Callable[[int, int], None]
"""Called with how many videos and queries are encoded, and how many there are."""


@dataclass(frozen=True)
class Evaluation:
    """A measured split. Embeddings, ranks and curves are those of the first sampler seed.

    Attributes:
        videos: identifiers, length V.
        queries: identifiers, length Q.
        owner: (Q,) int64, the position of each query's video.
        video_factors: (V, K) float32; None where the similarity is no inner product.
        query_factors: (Q, K) float32, or None.
        ranks: of the right answers.
        report: the figures, means over the sampler seeds.
        curves: video -> its curve, where the encoder has samplers or a detector.
        scores: maps the position of a query to the (V,) scores of all videos.
    """

    videos: tuple[str, ...]
    queries: tuple[str, ...]
    owner: Tensor
    video_factors: Tensor | None
    query_factors: Tensor | None
    ranks: Ranks
    report: Report
    curves: Mapping[str, Curve]
    scores: Callable[[int], Tensor]


def evaluate(
    model: RetrievalModel,
    dataset: Dataset,
    items: Sequence[Item],
    *,
    options: EvalOptions,
    device: torch.device | str,
    seed: int | None = None,
    ties: Ties = "average",
    progress: Progress | None = None,
) -> Evaluation:
    """Measure a model; it is left as it was, every module in its mode.

    Args:
        model: on ``device``.
        dataset: where the items come from.
        items: the videos of a split, and their queries.
        options: the recipe's ``eval`` section.
        device: where to encode and to rank.
        seed: of the samplers; None = ``options.seed``.
        ties: how equal scores count.
        progress: is told how far it is.

    Returns:
        The figures of :func:`varkit.metrics.summarize`, and with them, where they apply,
        ``sampling`` (sampler -> share of its picks inside the anomaly), ``detector`` (``auc``
        over ``clips`` clips) and ``repeats`` (``n`` sampler seeds and each figure's ``_sd``).

    Raises:
        DataError: there is nothing to rank, an embedding is not finite, or ground truth does
            not fit its video.
    """
    if not items:
        raise DataError(f"{dataset.name}: there is no video to evaluate")
    first = options.seed if seed is None else seed
    with _evaluating(model):
        encoder = _Encoder(model, dataset, items, options, torch.device(device), progress)
        runs = [encoder.run(first + repeat, ties) for repeat in range(options.repeats)]
    report = runs[0].report if len(runs) == 1 else average([run.report for run in runs])
    return Evaluation(**{**vars(runs[0]), "report": report})


@contextmanager
def _evaluating(model: nn.Module) -> Iterator[None]:
    # Module by module: in training, a frozen part may well be in evaluation mode.
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        # Not inference mode: what a component caches there could not serve training later.
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training


@dataclass
class _Side:
    """The encoded videos, or queries: factors where the model gives them, else all parts."""

    factors: Tensor | None = None
    parts: list[tuple[Tensor, Representation]] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)


class _Encoder:
    """Encodes a split for one sampler seed after another; captions only once."""

    def __init__(
        self,
        model: RetrievalModel,
        dataset: Dataset,
        items: Sequence[Item],
        options: EvalOptions,
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self.model, self.dataset, self.options, self.device = model, dataset, options, device
        self.videos = tuple(item.video for item in items)
        self.queries = tuple(query for item in items for query in item.queries)
        counts = torch.tensor([len(item.queries) for item in items])
        self.owner = torch.repeat_interleave(torch.arange(len(items)), counts)
        self.crops = [1] * len(items)
        if options.crops == "mean":
            self.crops = [dataset.crops(video) for video in self.videos]
        self.captions: _Side | None = None
        self.progress, self.done = progress, 0
        again = options.repeats if dataset.query_kind == "clips" else 1
        self.total = options.repeats * sum(self.crops) + again * len(self.queries)

    def run(self, seed: int, ties: Ties) -> Evaluation:
        videos, queries = self.encode_videos(seed), self.encode_queries(seed)
        if videos.factors is not None and queries.factors is not None:
            ranks = metrics.ranks_from_factors(
                videos.factors, queries.factors, self.owner, ties=ties
            )
        else:
            ranks = metrics.ranks_from_tiles(
                lambda: self.tiles(videos, queries), self.owner, videos=len(self.videos), ties=ties
            )
        report = {**metrics.summarize(ranks), **detection(self.dataset, videos.curves)}
        return Evaluation(
            videos=self.videos,
            queries=self.queries,
            owner=self.owner,
            video_factors=_plain(videos.factors),
            query_factors=_plain(queries.factors),
            ranks=ranks,
            report=report,
            curves=videos.curves,
            scores=lambda query: self.scores(videos, queries, query),
        )

    def encode_videos(self, seed: int) -> _Side:
        side = _Side()
        for crop in range(max(self.crops)):
            chosen = [v for v, crops in enumerate(self.crops) if crops > crop]
            batches = video_batches(
                self.dataset,
                [self.videos[v] for v in chosen],
                seed=seed,
                crop=crop,
                clips_per_batch=self.options.clips_per_batch,
            )
            placed = (([chosen[i] for i in positions], clips) for positions, clips in batches)
            self.encode(side, "video", placed, self.videos)
        if side.factors is not None:
            side.factors /= torch.tensor(self.crops, device=self.device)[:, None]
        elif max(self.crops) > 1:
            raise VarkitError(
                "crops cannot be averaged: an alignment of this model gives no factors",
                hint="set eval.crops=centre",
            )
        return side

    def encode_queries(self, seed: int) -> _Side:
        if self.captions is not None:
            return self.captions
        side = _Side()
        captions = self.dataset.query_kind == "captions"
        batches = query_batches(
            self.dataset,
            self.queries,
            tokenize=getattr(self.model.query, "tokenize", None) if captions else None,
            seed=seed,
            clips_per_batch=self.options.clips_per_batch,
        )
        self.encode(side, "query", batches, self.queries)
        if captions:
            self.captions = side
        return side

    def encode(
        self,
        side: _Side,
        name: Literal["video", "query"],
        batches: Iterable[tuple[list[int], Clips | Captions]],
        names: Sequence[str],
    ) -> None:
        encode = self.model.video if name == "video" else self.model.query
        for positions, inputs in batches:
            representation = encode(inputs.to(self.device))
            rows = self.model.factors(representation, name)
            if rows is None:
                side.parts.append((torch.tensor(positions), representation))
            else:
                expect_shape(rows, (len(positions), "K"), f"all {name} factors")
                _check_finite(rows, name, [names[p] for p in positions])
                if side.factors is None:
                    side.factors = torch.zeros(len(names), rows.shape[1], device=self.device)
                side.factors[positions] += rows.float()
            if isinstance(inputs, Clips):
                curves = _curves(representation, inputs.mask.sum(1).tolist())
                for position, curve in zip(positions, curves, strict=True):
                    if curve.picks or curve.scores is not None:
                        side.curves.setdefault(names[position], curve)  # crop 0 comes first
            self.done += len(positions)
            if self.progress is not None:
                self.progress(self.done, self.total)

    def tiles(self, videos: _Side, queries: _Side) -> Iterator[metrics.Tile]:
        for rows, video in videos.parts:
            for columns, query in queries.parts:
                yield rows, columns, self.model.similarity(video, query)

    def scores(self, videos: _Side, queries: _Side, query: int) -> Tensor:
        if videos.factors is not None and queries.factors is not None:
            return (videos.factors @ queries.factors[query]).cpu()
        found = torch.empty(len(self.videos))
        with _evaluating(self.model):
            for columns, part in queries.parts:
                if query in columns:
                    for rows, video in videos.parts:
                        block = self.model.similarity(video, part)
                        found[rows] = block[:, columns == query].flatten().float().cpu()
        return found


def _plain(factors: Tensor | None) -> Tensor | None:
    return None if factors is None else factors.cpu()


def _check_finite(rows: Tensor, side: str, names: Sequence[str]) -> None:
    bad = [names[i] for i in (~rows.isfinite().all(1)).nonzero().flatten().tolist()]
    if bad:
        raise DataError(
            f"the model's embedding of {side} {bad[0]!r} is not finite"
            + (f", nor of {len(bad) - 1} others of its batch" if len(bad) > 1 else ""),
            hint="the weights may have diverged: try a lower train.lr or train.clip_norm=1",
        )


def _curves(representation: Representation, lengths: Sequence[int]) -> Iterator[Curve]:
    scores = None if representation.scores is None else representation.scores.float().cpu().numpy()
    picks = {name: chosen.cpu().numpy() for name, chosen in representation.picks.items()}
    for b, length in enumerate(lengths):
        own = None if scores is None else scores[b, :length].copy()
        yield Curve(own, {name: chosen[b].copy() for name, chosen in picks.items()})
