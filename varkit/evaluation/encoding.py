"""Encodes a split for evaluation: every video and query once per sampler seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from varkit.data.batches import query_batches, video_batches
from varkit.errors import DataError, VarkitError
from varkit.evaluation.detection import Curve
from varkit.evaluation.rank import Tile, tiles_of_factors
from varkit.interfaces import Captions, Clips, Dataset, Representation
from varkit.interfaces.checks import expect_shape
from varkit.interfaces.settings import EvalOptions
from varkit.model.retrieval import RetrievalModel

Progress = Callable[[int, int], None]
"""Called with the number of videos and queries encoded so far, and the number of all."""


@dataclass
class Side:
    """The encoded videos, or queries: their factors, or representations if there are none.

    Attributes:
        factors: (n, K) float32 on the device, or None.
        parts: positions and representations of batches, if there are no factors.
        curves: identifier -> scores and picks of the first crop.
        clips: identifier -> T of the first crop; empty for captions.
    """

    factors: Tensor | None = None
    parts: list[tuple[Tensor, Representation]] = field(default_factory=list)
    curves: dict[str, Curve] = field(default_factory=dict)
    clips: dict[str, int] = field(default_factory=dict)


class SplitEncoder:
    """Encodes a split; captions only once, since they do not depend on the sampler seed.

    Args:
        model: in evaluation mode, on ``device``.
        dataset: where the videos come from.
        videos: identifiers, length V.
        queries: identifiers, length Q.
        options: the recipe's ``eval`` section.
        device: where to encode.
        progress: called after every batch.
    """

    def __init__(
        self,
        model: RetrievalModel,
        dataset: Dataset,
        videos: Sequence[str],
        queries: Sequence[str],
        options: EvalOptions,
        device: torch.device,
        progress: Progress | None,
    ) -> None:
        self.model, self.dataset, self.options, self.device = model, dataset, options, device
        self.videos, self.queries = videos, queries
        self.crops = [1] * len(videos)
        if options.crops == "mean":
            self.crops = [dataset.open(video).crops for video in videos]
        self.captions: Side | None = None
        self.progress, self.done = progress, 0
        query_repeats = options.repeats if dataset.query_kind == "clips" else 1
        self.total = options.repeats * sum(self.crops) + query_repeats * len(queries)

    def encode_videos(self, seed: int) -> Side:
        """Encode all videos, with one seed for the samplers.

        Raises:
            DataError: an embedding is not finite.
            VarkitError: crops are to be averaged, but the model has no factors.
        """
        side = Side()
        for crop in range(max(self.crops)):
            chosen = [v for v, crops in enumerate(self.crops) if crops > crop]
            batches = video_batches(
                self.dataset,
                [self.videos[v] for v in chosen],
                seed=seed,
                crop=crop,
                max_clips=self.options.max_clips,
                clips_per_batch=self.options.clips_per_batch,
            )
            placed = (([chosen[i] for i in positions], clips) for positions, clips in batches)
            self.encode(side, "video", placed, self.videos)
        if side.factors is not None:
            side.factors /= torch.tensor(self.crops, device=self.device)[:, None]
        elif max(self.crops) > 1:
            raise VarkitError(
                "crops cannot be averaged: an alignment of this model has no factors",
                hint="set eval.crops=centre",
            )
        return side

    def encode_queries(self, seed: int) -> Side:
        """Encode all queries; see :meth:`encode_videos`."""
        if self.captions is not None:
            return self.captions
        side = Side()
        captions = self.dataset.query_kind == "captions"
        batches = query_batches(
            self.dataset,
            self.queries,
            tokenize=getattr(self.model.query, "tokenize", None) if captions else None,
            seed=seed,
            max_clips=self.options.max_clips,
            clips_per_batch=self.options.clips_per_batch,
        )
        self.encode(side, "query", batches, self.queries)
        if captions:
            self.captions = side
        return side

    def encode(
        self,
        side: Side,
        name: Literal["video", "query"],
        batches: Iterable[tuple[list[int], Clips | Captions]],
        names: Sequence[str],
    ) -> None:
        """Add batches to an encoded side.

        Args:
            side: what is encoded so far.
            name: which encoder encodes them.
            batches: positions in ``names``, and the clips or captions there.
            names: of everything on this side, for messages.

        Raises:
            DataError: an embedding is not finite.
        """
        encode = self.model.video if name == "video" else self.model.query
        for positions, inputs in batches:
            representation = encode(inputs.to(self.device))
            rows = self.model.factors(representation, name)
            if rows is None:
                side.parts.append((torch.tensor(positions), representation))
            else:
                expect_shape(rows, (len(positions), "K"), f"all {name} factors")
                rows = rows.float()
                _check_finite(rows, name, [names[p] for p in positions])
                if side.factors is None:
                    side.factors = torch.zeros(len(names), rows.shape[1], device=self.device)
                side.factors[positions] += rows
            if isinstance(inputs, Clips):
                curves = _curves(representation, inputs.mask.sum(1).tolist())
                for position, (length, curve) in zip(positions, curves, strict=True):
                    if length == self.options.max_clips and name == "video":
                        length = self.dataset.open(names[position]).length
                        curve = curve.over(length, self.options.max_clips)
                    side.clips.setdefault(names[position], length)  # crop 0 comes first
                    if curve.picks or curve.scores is not None:
                        side.curves.setdefault(names[position], curve)
            self.done += len(positions)
            if self.progress is not None:
                self.progress(self.done, self.total)

    def tiles(self, videos: Side, queries: Side) -> Iterator[Tile]:
        """Yield the similarity of encoded videos and queries, in pieces."""
        if videos.factors is not None and queries.factors is not None:
            yield from tiles_of_factors(videos.factors, queries.factors)
            return
        for rows, video in videos.parts:
            for columns, query in queries.parts:
                yield rows, columns, self.model.similarity(video, query)


def _check_finite(rows: Tensor, side: str, names: Sequence[str]) -> None:
    bad = [names[i] for i in (~rows.isfinite().all(1)).nonzero().flatten().tolist()]
    if bad:
        raise DataError(
            f"the model's embedding of {side} {bad[0]!r} is not finite"
            + (f", like {len(bad) - 1} more in its batch" if len(bad) > 1 else ""),
            hint="the weights may have diverged: try a lower train.lr or train.clip_norm=1",
        )


def _curves(representation: Representation, lengths: Sequence[int]) -> Iterator[tuple[int, Curve]]:
    scores = None if representation.scores is None else representation.scores.float().cpu().numpy()
    picks = {name: chosen.cpu().numpy() for name, chosen in representation.picks.items()}
    for b, length in enumerate(lengths):
        own = None if scores is None else scores[b, :length].copy()
        yield length, Curve(own, {name: chosen[b].copy() for name, chosen in picks.items()})
