"""A trained model in Python: encode captions and videos, compare and rank them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from varkit.data.batches import remember_captions, video_batches
from varkit.errors import DataError, VarkitError, did_you_mean
from varkit.evaluation.encoding import Side, SplitEncoder
from varkit.evaluation.evaluate import evaluating
from varkit.evaluation.rank import check_finite
from varkit.interfaces import Array, Dataset
from varkit.interfaces.settings import Which
from varkit.recipe.load import Recipe
from varkit.runs.data import open_shape
from varkit.runs.folder import Run, open_run
from varkit.runs.trained import TrainedModel, open_model

BATCH = 256
"""Captions per batch."""


@dataclass(frozen=True)
class Encoded:
    """Videos or queries, encoded by one model.

    Attributes:
        ids: identifiers of the data set, or the captions themselves, length n.
        side: what they are.
        side_values: factors, or whole representations if the model has no factors.
    """

    ids: tuple[str, ...]
    side: Literal["video", "query"]
    side_values: Side

    def __len__(self) -> int:
        """Return n."""
        return len(self.ids)

    @property
    def vectors(self) -> Array:
        """(n, K) float32: a video's and a query's inner product is their similarity.

        Raises:
            VarkitError: the model's similarity is not an inner product.
        """
        if self.side_values.factors is None:
            raise VarkitError(
                "this model has no vectors: an alignment of its recipe gives no factors",
                hint="use model.similarity or model.rank, which need no vectors",
            )
        vectors: Array = self.side_values.factors.cpu().numpy()
        return vectors


@dataclass(frozen=True)
class Match:
    """One result of a ranking: an identifier (or a caption), and its similarity."""

    id: str
    score: float


class Model:
    """A trained model, for search; :func:`load` opens one.

    Attributes:
        run: the run that trained it.
        recipe: of the run.
        dataset: of the recipe; identifiers refer to its videos and queries.
        simulated: whether it was trained on data that a program made.
        network: the model itself, in evaluation mode.
        device: where it computes.
    """

    def __init__(self, trained: TrainedModel, device: torch.device | str) -> None:
        self.run: Run = trained.run
        self.recipe: Recipe = trained.recipe
        self.dataset: Dataset = trained.dataset
        self.simulated = trained.dataset.simulated
        self.network = trained.model.to(device)
        self.device = torch.device(device)

    def encode_captions(self, captions: Iterable[str]) -> Encoded:
        """Encode sentences.

        Args:
            captions: n sentences, none of them empty.

        Raises:
            VarkitError: the model's queries are sounds.
            DataError: there are no captions, or one is empty.
        """
        texts = (captions,) if isinstance(captions, str) else tuple(captions)
        tokenize = getattr(self.network.query, "tokenize", None)
        if self.dataset.query_kind != "captions" or tokenize is None:
            raise VarkitError(
                f"the queries of {self.recipe.name} are {self.dataset.query_kind}, not captions",
                hint="model.encode_queries encodes those of its data set",
            )
        if not texts or not all(text.strip() for text in texts):
            raise DataError(f"give captions of at least one word; not {list(texts)!r}")
        batches = (
            (list(range(start, min(start + BATCH, len(texts)))), tokenize(texts[start:][:BATCH]))
            for start in range(0, len(texts), BATCH)
        )
        side = Side()
        with evaluating(self.network):
            self._encoder((), texts).encode(side, "query", batches, texts)
        return Encoded(texts, "query", side)

    def encode_queries(
        self, queries: Sequence[str] | None = None, *, split: str = "test"
    ) -> Encoded:
        """Encode captions or sounds of the data set.

        Args:
            queries: n identifiers; None = all of the split.
            split: part of the data set.

        Raises:
            DataError: the split or a query does not exist, or a sound's file is damaged.
        """
        items = self.dataset.split(split)
        ids = _chosen("query", queries, [q for item in items for q in item.queries], split)
        if queries is None:
            remember_captions(self.network.query, self.dataset, items)
        with evaluating(self.network):
            encoder = self._encoder((), ids)
            return Encoded(ids, "query", encoder.encode_queries(self.recipe.eval.seed))

    def encode_videos(self, videos: Sequence[str] | None = None, *, split: str = "test") -> Encoded:
        """Encode videos of the data set, by the recipe's ``eval`` section.

        Args:
            videos: n identifiers; None = all of the split.
            split: part of the data set.

        Raises:
            DataError: the split or a video does not exist, or a feature file is damaged.
        """
        known = [item.video for item in self.dataset.split(split)]
        ids = _chosen("video", videos, known, split)
        with evaluating(self.network):
            encoder = self._encoder(ids, ())
            return Encoded(ids, "video", encoder.encode_videos(self.recipe.eval.seed))

    def similarity(self, videos: Encoded, queries: Encoded) -> Array:
        """Return the (V, Q) float32 similarity, without a unit: higher is more similar.

        Raises:
            VarkitError: the arguments are not videos, then queries.
            DataError: a similarity is not finite.
        """
        if (videos.side, queries.side) != ("video", "query"):
            raise VarkitError(
                f"similarity takes videos, then queries; not {videos.side}, then {queries.side}"
            )
        matrix = torch.empty(len(videos), len(queries))
        with evaluating(self.network):
            encoder = self._encoder(videos.ids, queries.ids)
            for rows, columns, tile in encoder.tiles(videos.side_values, queries.side_values):
                scores = tile.float().cpu()
                check_finite((rows, columns, scores), (videos.ids, queries.ids))
                matrix[rows[:, None], columns] = scores
        array: Array = matrix.numpy()
        return array

    def rank(self, asked: str | Encoded, among: Encoded, *, top: int | None = None) -> list[Match]:
        """Return the most similar first; equal scores keep the order of ``among``.

        Args:
            asked: a sentence, or one encoded query or video.
            among: videos; if ``asked`` is a video, queries.
            top: how many to return; None = all.

        Raises:
            VarkitError: ``asked`` is not a single item, or both are videos, or both queries.
        """
        asked = self.encode_captions([asked]) if isinstance(asked, str) else asked
        if len(asked) != 1:
            raise VarkitError(f"rank takes one query or one video at a time; not {len(asked)}")
        sides = (among, asked) if asked.side == "query" else (asked, among)
        scores = self.similarity(*sides).ravel()
        order = np.argsort(-scores, kind="stable")[:top]
        return [Match(among.ids[i], float(scores[i])) for i in order]

    def factor_widths(self, dataset: Dataset) -> dict[str, int]:
        """Return how many numbers of a vector are each alignment's; empty if there are no vectors.

        Args:
            dataset: whose video ``made up`` is encoded to find out.
        """
        with evaluating(self.network):
            options = self.recipe.eval
            batches = video_batches(
                dataset, ["made up"], seed=0, max_clips=options.max_clips, clips_per_batch=1
            )
            _, clips = next(iter(batches))
            return self.network.factor_widths(self.network.video(clips.to(self.device)))

    def _encoder(self, videos: Sequence[str], queries: Sequence[str]) -> SplitEncoder:
        options, device = self.recipe.eval, self.device
        return SplitEncoder(self.network, self.dataset, videos, queries, options, device, None)


def load(
    run: Run | Path | str,
    *,
    seed: int | None = None,
    which: Which | None = None,
    accept_code: bool = False,
    device: torch.device | str = "cpu",
) -> Model:
    """Open a trained model of a run.

    It needs no data: what the model's data set lacks here is told when it is asked for.

    Args:
        run: an opened run, or its folder.
        seed: of the training; None = the run's first.
        which: ``"best"`` or ``"last"``; None = of the selected epoch, where one was selected.
        accept_code: open it even if the code that made it has changed since.
        device: where to compute.

    Raises:
        RunError: the folder is not a run, other code made it, or it has no such training.
        CheckpointError: the weights are damaged, or belong to a different recipe or data.
    """
    opened = run if isinstance(run, Run) else open_run(run, accept_code=accept_code)
    trained = open_model(opened, seed=seed, which=which, dataset=open_shape(opened))
    return Model(trained, device)


def _chosen(
    what: str, names: Sequence[str] | None, known: Sequence[str], split: str
) -> tuple[str, ...]:
    if names is None:
        return tuple(known)
    unknown = [name for name in names if name not in set(known)]
    if unknown:
        near = did_you_mean(unknown[0], known)
        raise DataError(f"no {what} of the {split} split is named {unknown[0]!r}.{near}")
    return tuple(names)
