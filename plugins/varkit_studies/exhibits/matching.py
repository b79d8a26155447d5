"""Similarity of a data set's videos to queries from elsewhere, for exhibits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from varkit.errors import RunError, did_you_mean
from varkit.evaluation.encoding import Side, SplitEncoder
from varkit.evaluation.evaluate import evaluating
from varkit.interfaces import Dataset, VideoReader
from varkit.interfaces.settings import EvalOptions
from varkit.model.retrieval import RetrievalModel
from varkit_studies.finished import FinishedRow, FinishedStudy

Floats = NDArray[np.float64]


class Queries(Protocol):
    """The query side of a data set."""

    @property
    def query_kind(self) -> Literal["captions", "clips"]:
        """What a query is."""

    def query(self, query: str) -> str | VideoReader:
        """Return a caption, or open a sound."""


class Texts:
    """Free text as queries: each is its own identifier."""

    query_kind: Literal["captions", "clips"] = "captions"

    def query(self, query: str) -> str:
        """Return the text."""
        return query


class Joined:
    """The videos of one data set with the queries of another: what encoding needs of a data set.

    Args:
        gallery: the data set of the videos.
        queries: the source of the queries.
    """

    def __init__(self, gallery: Dataset, queries: Queries) -> None:
        self.name, self.open = gallery.name, gallery.open
        self.query_kind, self.query = queries.query_kind, queries.query


def encoder(
    model: RetrievalModel,
    gallery: Dataset,
    videos: Sequence[str],
    queries: Queries,
    names: Sequence[str],
    options: EvalOptions,
) -> SplitEncoder:
    """Return an encoder of some videos of a gallery and of the queries called ``names``."""
    joined: Any = Joined(gallery, queries)
    place = next((p.device for p in model.parameters()), torch.device("cpu"))
    return SplitEncoder(model, joined, videos, names, options, place, None)


def matrix(encoder: SplitEncoder, videos: Side, queries: Side) -> Floats:
    """Return the (V, Q) similarity of the encoded videos and queries; they may be a part of all."""
    counts = [
        len(side.factors) if side.factors is not None else sum(len(p) for p, _ in side.parts)
        for side in (videos, queries)
    ]
    similarity = np.empty(counts)
    for rows, columns, block in encoder.tiles(videos, queries):
        similarity[np.ix_(rows.tolist(), columns.tolist())] = block.float().cpu()
    return similarity


def match(
    model: RetrievalModel,
    gallery: Dataset,
    queries: Queries,
    names: Sequence[str],
    options: EvalOptions,
) -> Floats:
    """Return the (V, Q) similarity of the gallery's test videos and some queries.

    It uses the first sampler seed.

    Args:
        model: may have been trained on other data with the same streams.
        gallery: its test videos are searched.
        queries: the source of the queries.
        names: identifiers of the queries.
        options: how videos are read.
    """
    videos = [item.video for item in gallery.split("test")]
    encoding = encoder(model, gallery, videos, queries, names, options)
    with evaluating(model):
        seed = options.seed
        return matrix(encoding, encoding.encode_videos(seed), encoding.encode_queries(seed))


def precision(similarity: Floats, right: NDArray[np.bool_], k: int) -> Floats:
    """Return, for each query, the share of right videos among its first k.

    Ties are in random order, and the share is the expected one.

    Args:
        similarity: (V, Q).
        right: (V, Q) True = the video is of the query's category.
        k: at most V.
    """
    last = np.sort(similarity, axis=0)[-k]
    above, tied = similarity > last, similarity == last
    share = (k - above.sum(axis=0)) / tied.sum(axis=0)  # of the tied that are among the first k
    return np.asarray(((above & right).sum(axis=0) + share * (tied & right).sum(axis=0)) / k)


def of_classes(classes: Iterable[Sequence[str]], wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Return whether each video has one of the wanted classes."""
    return np.array([not set(wanted).isdisjoint(own) for own in classes], dtype=np.bool_)


@dataclass(frozen=True)
class Mean:
    """A mean with its 95 % interval, by a bootstrap over the averaged values."""

    value: float
    low: float
    high: float

    @classmethod
    def of(
        cls, values: Floats, *, resamples: int, seed: int, together: Sequence[Any] | None = None
    ) -> Mean:
        """Average (n,) values; percentile bootstrap (Efron and Tibshirani 1993, chapter 13).

        Values with equal entries of ``together``, (n,), are drawn as one.
        """
        names = np.arange(len(values)) if together is None else np.array(together)
        _, place = np.unique(names, return_inverse=True)
        total, size = np.bincount(place, values), np.bincount(place)
        draw = np.random.default_rng(seed).integers(len(size), size=(resamples, len(size)))
        means = total[draw].sum(axis=1) / size[draw].sum(axis=1)
        low, high = np.quantile(means, (0.025, 0.975))
        return cls(float(values.mean()), float(low), float(high))

    def __str__(self) -> str:
        """Return it in %."""
        return f"{100 * self.value:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def reference(study: FinishedStudy, name: str | None = None) -> FinishedRow:
    """Return a finished row, by default the study's reference.

    Raises:
        RunError: the row does not exist or is not finished.
    """
    name = study.study.reference if name is None else name
    if name not in study.rows:
        close = did_you_mean(name, study.rows)
        raise RunError(f"no finished row {name!r}.{close} Finished: {', '.join(study.rows)}.")
    return study.rows[name]
