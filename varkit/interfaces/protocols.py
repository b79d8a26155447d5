"""The interfaces that plugins implement, with the shapes of everything that passes.

These are Protocols: a component inherits nothing from varkit. It is an ordinary class, and its
constructor *is* its recipe schema:

* **keyword-only arguments** are the recipe's options; their annotations are checked before
  anything runs, and their defaults are the recipe's defaults;
* **positional arguments** are what the build supplies, asked for by name as a test asks for a
  fixture; :data:`varkit.plugins.kinds.SUPPLIED` lists them all.

A class may have two static methods beside its interface: ``missing(**options) -> list[str]`` says
what this machine lacks to run it, and ``example(folder) -> dict`` gives constructor arguments with
which the conformance kit can build a small one where the defaults are not enough. What a data
set may have besides stands with :class:`Dataset`.

Letters: B videos of a batch (V of a gallery), Q queries, T clips, N sampled clips, L tokens,
E experts, D width, K length of a factor vector.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from varkit.interfaces.draws import Draws
from varkit.interfaces.flow import Batch, Captions, Clips, Pairs, Representation

Array = NDArray[np.float32]


@runtime_checkable
class Sampler(Protocol):
    """Chooses clips: pure selection, sees no features."""

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Choose N clips of every video.

        Args:
            scores: (B, T) anomaly confidence in [0, 1]; None where there is no detector.
            mask: (B, T) bool, True = a real clip; at least one a row.
            draws: the random numbers of these B items; the only source of chance allowed.
            training: whether the model is being trained.

        Returns:
            (B, N) int64 positions of real clips, ascending; N is the same for every batch, so
            a video with fewer clips repeats some.
        """


@runtime_checkable
class Detector(Protocol):
    """Says how anomalous every clip is."""

    def __call__(self, features: Tensor, mask: Tensor) -> Tensor:
        """Map (B, T, C) features and a (B, T) mask to (B, T) confidence in [0, 1], 0 in padding."""

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the () loss of (B, T) scores against (B,) labels; NaN labels do not count."""


@runtime_checkable
class Encoder(Protocol):
    """Turns clips or captions into a representation.

    Attributes:
        consumes: what it reads.
        detector: its detector where it has one; the model trains it with the videos' labels.
    """

    consumes: ClassVar[Literal["clips", "captions"]]
    detector: Any

    def __call__(self, inputs: Any) -> Representation:
        """Encode B :class:`Clips` or :class:`Captions`."""


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder of captions, which also cuts them into tokens."""

    consumes: ClassVar[Literal["clips", "captions"]]
    detector: Any

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Cut B captions into tokens."""

    def __call__(self, inputs: Captions) -> Representation:
        """Encode B captions."""


@runtime_checkable
class Alignment(Protocol):
    """Says how similar videos and queries are."""

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity of V videos and Q queries."""

    def factors(
        self, representation: Representation, side: Literal["video", "query"]
    ) -> Tensor | None:
        """Return (B, K) vectors whose inner products are :meth:`similarity`, or None.

        Expert weights belong to the query side's vectors. An alignment that returns None for one
        representation returns None for all: such a score is no inner product.
        """


@runtime_checkable
class PretextTask(Protocol):
    """A further loss, in training only; its parameters never enter a search checkpoint."""

    def __call__(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss of a batch."""


@runtime_checkable
class Objective(Protocol):
    """The ranking loss; pair b of the batch is the positive, all others are negatives.

    The model calls it outside autocast, with vectors and similarities in at least fp32.

    One that need not see all factors in one place may have a method for training over W ranks:

    * ``over_ranks(video, query, pairs) -> Tensor | None``: the () loss of all ranks' pairs
      together, on every rank, of this rank's (b, K) factors and its own ``pairs``. Ranks may differ
      in b. The gradients that reach this rank's factors are W times those of the loss, for training
      averages them over ranks. Without it, or where it returns None on all ranks, every rank
      gathers all factors and calls :meth:`factored`.
    """

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors; a fused kernel slots in here."""

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity (rows videos, columns queries).

        Args:
            similarity: (B, B).
            pairs: what else is known of them.
        """


@dataclass(frozen=True)
class Sequences:
    """The clips of one video or sound as a data set holds them.

    Attributes:
        streams: name -> (T, D_stream) float32, the same T in all.
        times: (T, 2) float32, start and end of every clip in seconds.
    """

    streams: Mapping[str, Array]
    times: Array

    def __len__(self) -> int:
        """Return T."""
        return int(self.times.shape[0])


class VideoReader(Protocol):
    """The clips of one video, or of one sound, opened but not yet read.

    A video of hours is never in memory as a whole, unless the data set keeps it there. Between
    calls a reader keeps no file open. Every property and method may raise a DataError that names
    the video: a file is missing, unreadable, empty or not finite.
    """

    @property
    def length(self) -> int:
        """T, from a header or an index: no numbers are read.

        It is that of crop 0; another crop may have one clip more or fewer.
        """

    @property
    def times(self) -> Array:
        """(T, 2) float32, start and end of every clip in seconds, ascending; likewise."""

    @property
    def crops(self) -> int:
        """How many crops there are, at least 1; crop 0 is the centre."""

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Read one stream's T clips in order, as many at a time as memory allows.

        What a header shows to be wrong with this stream is raised in the call; numbers are read,
        and checked, as the pieces are asked for.

        Yields:
            (t, D) float32, one after another.
        """

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Read all streams, averaged over ``count`` equal segments if there are more clips.

        :func:`varkit.data.collate.segment_means` does it, from :meth:`pieces`.
        """


@dataclass(frozen=True)
class Item:
    """One video of a split and the queries that describe it.

    Attributes:
        video: the video's identifier, unique in the data set.
        queries: the identifiers of its queries, at least one.
        label: 1 = anomalous, 0 = normal, None = unknown.
        classes: names of what happens in it, sorted, such as ``("Fighting", "Riot")``; results
            are also given by class. Empty = unknown.
    """

    video: str
    queries: tuple[str, ...]
    label: int | None = None
    classes: tuple[str, ...] = ()


@runtime_checkable
class Dataset(Protocol):
    """Videos and queries in splits.

    Attributes:
        name: what tables call it.
        simulated: whether any of it was made by a program; then all that is made of it says so.
        query_kind: what a query is.
        widths: stream -> D_stream on the video side.
        query_widths: the same on the query side; empty for captions.

    What its class may have, for ``varkit data``:

    * a static method ``survey(**options) -> varkit.data.inspect.verification.Survey``: opens what
      can be opened and lists every fault instead of raising;
    * a static method ``guide(**options) -> str``: where to get the data and where to put them;
      called even where some option that must be given was not;
    * ``published: Mapping[str, tuple[float, str]]``: figures of the data set that were printed,
      by the names of :mod:`varkit.data.inspect.statistics`, each with where.
    """

    name: str
    simulated: bool
    query_kind: Literal["captions", "clips"]
    widths: Mapping[str, int]
    query_widths: Mapping[str, int]

    def split(self, name: str) -> Sequence[Item]:
        """Return the items of ``"train"``, ``"test"`` or, where there is one, ``"val"``.

        Raises:
            DataError: there is no such split.
        """

    def open(self, video: str) -> VideoReader:
        """Open one video; :class:`varkit.data.plain.InMemory` is a reader of clips in memory.

        Raises:
            DataError: there is no such video.
        """

    def query(self, query: str) -> str | VideoReader:
        """Return a caption, or open a sound."""

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None where nobody knows."""

    def fingerprint(self) -> str:
        """Return a hash of everything that can change a result."""

    def questions(self) -> str:
        """Return a hash of what is asked of the test split, whatever the features.

        That is its videos and their queries: runs with the same one can be compared query by
        query, even where they differ in features and training videos.
        :func:`varkit.data.plain.hash_questions` gives the plain answer.
        """


__all__ = [
    "Alignment",
    "Array",
    "Batch",
    "Captions",
    "Clips",
    "Dataset",
    "Detector",
    "Draws",
    "Encoder",
    "Item",
    "Objective",
    "Pairs",
    "PretextTask",
    "Representation",
    "Sampler",
    "Sequences",
    "TextEncoder",
    "VideoReader",
]
