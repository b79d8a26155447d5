"""The interfaces that plugins implement, with the shapes of all inputs and outputs.

These are Protocols: a component is an ordinary class and inherits nothing from varkit. Its
constructor *is* its recipe schema:

* **keyword-only arguments** are the recipe's options; their annotations are checked before
  anything runs, and their defaults are the recipe's defaults;
* **positional arguments** are supplied by the build, by name, like a test's fixtures;
  :data:`varkit.plugins.kinds.SUPPLIED` lists them all.

A class may also have two static methods. ``missing(**options) -> list[str]`` lists what this
machine lacks to run it. ``example(folder) -> dict`` returns constructor arguments from which the
conformance kit can build a small instance, where the defaults are not enough. :class:`Dataset`
describes further optional members of data sets.

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
    """Chooses clips, without seeing their features."""

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Choose N clips of every video.

        Args:
            scores: (B, T) anomaly confidence in [0, 1]; None where there is no detector.
            mask: (B, T) bool, True = a real clip; at least one a row.
            draws: the random numbers of these B items; no other source of chance is allowed.
            training: whether the model is being trained.

        Returns:
            (B, N) int64 positions of real clips, ascending. N is the same for every batch, so
            clips of a video with fewer than N are repeated.
        """


@runtime_checkable
class Detector(Protocol):
    """Estimates how anomalous every clip is."""

    def __call__(self, features: Tensor, mask: Tensor) -> Tensor:
        """Return (B, T) confidence in [0, 1], 0 in padding, of (B, T, C) features, (B, T) mask."""

    def loss(self, scores: Tensor, mask: Tensor, label: Tensor) -> Tensor:
        """Return the () loss of (B, T) scores against (B,) labels; NaN labels do not count."""


@runtime_checkable
class Encoder(Protocol):
    """Turns clips or captions into a representation.

    Attributes:
        consumes: what it reads.
        detector: its detector, which the model trains with the videos' labels, or None.
    """

    consumes: ClassVar[Literal["clips", "captions"]]
    detector: Any

    def __call__(self, inputs: Any) -> Representation:
        """Encode B :class:`Clips` or :class:`Captions`."""


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder of captions, which also tokenises them.

    It may have two more methods, which are called with all captions of a split:

    * ``remember(texts, progress)`` before they come in batches, so that frozen parts compute each
      caption once; ``progress``, if it is not None, takes the number of captions done and the
      number of all.
    * ``caption_facts(texts) -> CaptionFacts`` before the first training step. A run tells and
      records them, and refuses to train if the encoder does not know most of the tokens.
    """

    consumes: ClassVar[Literal["clips", "captions"]]
    detector: Any

    def tokenize(self, texts: Sequence[str]) -> Captions:
        """Tokenise B captions."""

    def __call__(self, inputs: Captions) -> Representation:
        """Encode B captions."""


@runtime_checkable
class Alignment(Protocol):
    """Computes how similar videos and queries are."""

    def similarity(self, video: Representation, query: Representation) -> Tensor:
        """Return the (V, Q) similarity of V videos and Q queries."""

    def factors(
        self, representation: Representation, side: Literal["video", "query"]
    ) -> Tensor | None:
        """Return (B, K) vectors whose inner products are :meth:`similarity`, or None.

        Expert weights belong to the query side's vectors. An alignment returns None if its score
        is not an inner product, and then for every representation.
        """


@runtime_checkable
class PretextTask(Protocol):
    """An auxiliary loss, used in training only; search checkpoints leave its parameters out."""

    def __call__(self, video: Representation, query: Representation, batch: Batch) -> Tensor:
        """Return the () loss of a batch."""


@runtime_checkable
class Objective(Protocol):
    """The ranking loss: the query of the same pair is the positive, the rest are negatives.

    The model calls it outside autocast, with vectors and similarities in at least fp32.

    For training over W ranks, an objective may have one more method:

    * ``over_ranks(video, query, pairs) -> Tensor | None`` gets this rank's (b, K) factors and its
      own ``pairs``; b may differ between ranks. It returns, on every rank, the () loss of all
      ranks' pairs together. The gradients of this rank's factors are W times those of the loss,
      because training averages them over ranks. Without this method, or if it returns None on all
      ranks, every rank gathers all factors and calls :meth:`factored`.
    """

    def factored(self, video: Tensor, query: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of (B, K) factor vectors; this is the place for a fused kernel."""

    def dense(self, similarity: Tensor, pairs: Pairs) -> Tensor:
        """Return the () loss of a (B, B) similarity (rows videos, columns queries).

        Args:
            similarity: (B, B).
            pairs: what else is known about the pairs.
        """


@dataclass(frozen=True)
class Sequences:
    """The clips of one video or sound, as a data set gives them.

    Attributes:
        streams: name -> (T, D_stream) float32, the same T in all.
        times: (T, 2) float32, start and end of every clip in seconds.
        absent: the streams that it lacks, such as the audio of a silent film; their numbers are 0.
    """

    streams: Mapping[str, Array]
    times: Array
    absent: frozenset[str] = frozenset()

    def __len__(self) -> int:
        """Return T."""
        return int(self.times.shape[0])


class VideoReader(Protocol):
    """The clips of one video or sound, opened but not yet read.

    A long video is never in memory as a whole, unless the data set keeps it there. Between calls
    a reader does not keep files open. If a file is missing, unreadable, empty or not finite, every
    property and method may raise a DataError that names the video.

    It may also have a method ``intact()``, which raises a DataError if a file is not the one that
    was stored; ``varkit data verify`` calls it.
    """

    @property
    def length(self) -> int:
        """T of crop 0, from a header or an index, without reading numbers.

        Another crop may have one clip more or fewer.
        """

    @property
    def times(self) -> Array:
        """(T, 2) float32, start and end in seconds of every clip of crop 0, ascending."""

    @property
    def crops(self) -> int:
        """The number of crops, at least 1; crop 0 is the centre."""

    @property
    def absent(self) -> frozenset[str]:
        """The streams that it lacks, such as the audio of a silent film; never all of them."""

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Read one stream's T clips in order, as many at a time as memory allows.

        A stream that is absent is read as zeros.

        A fault that the header shows is raised by the call itself. Numbers are read and checked
        during iteration.

        Yields:
            (t, D) float32.
        """

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Read all streams, averaged over ``count`` equal segments if there are more clips.

        :func:`varkit.data.collate.segment_means` computes this from :meth:`pieces`.
        """


@dataclass(frozen=True)
class Item:
    """One video of a split and the queries that describe it.

    Attributes:
        video: the video's identifier, unique in the data set.
        queries: the identifiers of its queries; at least one in train. A video of val or test may
            have none: it is a candidate for the queries of all videos.
        label: 1 = anomalous, 0 = normal, None = unknown.
        classes: sorted names of what happens in it, such as ``("Fighting", "Riot")``, by which
            results are grouped. Empty = unknown.
    """

    video: str
    queries: tuple[str, ...]
    label: int | None = None
    classes: tuple[str, ...] = ()


@runtime_checkable
class Dataset(Protocol):
    """Videos and queries in splits.

    Attributes:
        name: its name in tables.
        simulated: whether a program made any of it; all results then say so.
        query_kind: what a query is.
        widths: stream -> D_stream on the video side.
        query_widths: the same on the query side; empty for captions.

    Its class may also have:

    * a static method ``prepare(plugins, progress, **options)``, which makes what the constructor
      reads, such as features of videos, as far as it is not there. ``varkit run``, ``varkit
      resume``, ``varkit data`` and ``varkit.train`` call it before they build the data set; the
      constructor refuses what is not there. ``plugins`` are the recipe's plugin files;
      ``progress``, if it is not None, takes the number of videos done and of all;
    * a static method ``survey(**options) -> varkit.data.inspect.verify.Survey``, which opens what
      can be opened and lists every fault instead of raising;
    * a method ``split_fingerprint(name) -> str``, which is ``fingerprint`` of one split alone; with
      it and ``survey``, a run is measured again where only its test data are left;
    * a static method ``guide(**options) -> str``, which says where to get the data and where to
      put them; it is called even if a required option was not given;
    * ``published: Mapping[str, tuple[float, str]]``, published figures of the data set and their
      source, by the names of :mod:`varkit.data.inspect.stats`;
    * a method ``files() -> Sequence[Path]``, the files that features are read from. A training
      notices by their sizes and times that they changed; otherwise only ``fingerprint`` tells;
    * ``made_by: Mapping[str, varkit.media.reader.Origin]``, how streams were extracted from media
      files. A run records it, and its model refuses streams that were made in another way;
    * ``remarks: Sequence[str]``, what users should know of the files.
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
        """Open one video; :class:`varkit.data.in_memory.InMemory` is a reader of clips in memory.

        Raises:
            DataError: there is no such video.
        """

    def query(self, query: str) -> str | VideoReader:
        """Return a caption, or open a sound."""

    def truth(self, video: str) -> NDArray[np.bool_] | None:
        """Return (T,) True where a clip is anomalous, or None if unknown."""

    def fingerprint(self) -> str:
        """Return a hash of everything that can change a result."""

    def questions(self) -> str:
        """Return a hash of the test split's videos and queries, whatever the features.

        Runs with the same hash can be compared query by query, even if their features and
        training videos differ. :func:`varkit.data.in_memory.hash_questions` computes it.
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
