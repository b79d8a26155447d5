"""The contract of search: what videos and queries are compared in, and what keeps the vectors.

Importing this module does not import torch, so that a search can answer without it.

Letters: R rows of a gallery, one for each window of a video; Q queries; T clips; K length of a row;
N sentences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Asks = Literal["text", "sound", "example"]
"""What a query is: a sentence, a sound, or a video that the answers resemble."""
FLOOR = 1e-9
"""Added before a logarithm."""


@dataclass(frozen=True)
class Block:
    """A part of a row: what one expert, or one alignment, says of a window.

    Attributes:
        name: of the expert, as shown to users.
        width: how many numbers of the row are its.
        weight: of its score in the sum.
        log: its score is the logarithm of the inner product, not the inner product; rows and
            queries are then not negative.
        unit: the mean over a window's clips is scaled to length 1.
        power: p of that mean, mean(x^p)^(1/p). With 2, clips that clearly show something count
            more than those that show a little of everything; numbers are then not negative.
    """

    name: str
    width: int
    weight: float = 1.0
    log: bool = False
    unit: bool = False
    power: float = 1.0


@dataclass(frozen=True)
class Channel:
    """The vectors with which queries of some sort are compared.

    A row is the blocks side by side. Of a block that a window lacks, such as the sound of a silent
    film, all numbers are 0. The score of row v for query q is::

        sum over blocks b of  weight_b * f_b(<q_b, v_b>),   f(x) = x, or log(x + 1e-9)

    A block with ``log`` that a window lacks counts as the mean of the gallery.

    Attributes:
        blocks: at least one.
        answers: the sorts of queries that it answers. ``example``: its rows are queries too.
    """

    blocks: tuple[Block, ...]
    answers: frozenset[Asks]

    @property
    def width(self) -> int:
        """K."""
        return sum(block.width for block in self.blocks)

    @property
    def slices(self) -> tuple[slice, ...]:
        """Where the blocks are in a row."""
        ends = np.cumsum([block.width for block in self.blocks]).tolist()
        return tuple(
            slice(end - block.width, end) for block, end in zip(self.blocks, ends, strict=True)
        )


@dataclass(frozen=True, eq=False)
class Track:
    """What one expert says of a video, clip by clip.

    Attributes:
        values: (T, width of the block) float32.
        times: (T, 2) float64, start and end of each clip in seconds, ascending.
    """

    values: Array
    times: NDArray[np.float64]


@dataclass(frozen=True)
class Streamed:
    """A stream that an index has of its videos.

    Attributes:
        key: its name in a store, such as ``image.classes``.
        width: D.
        classes: the names of the D columns, if they are classes.
    """

    key: str
    width: int
    classes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Reason:
    """Why a window was found: a word for what it shows, and its share of the block's score."""

    block: str
    label: str
    share: float


@runtime_checkable
class Space(Protocol):
    """What videos and queries are compared in, with nothing to train.

    The build supplies ``streams: Mapping[str, Streamed]``, the streams that the index has, and
    ``kept: Mapping[str, Array]``, what an earlier instance kept; empty for a new index. A query
    in words must need neither torch nor the extractors, if the text model does not.

    Attributes:
        channels: by name, such as ``words`` and ``sound``.
        kept: what is computed once and then stored with the index, such as vectors of class names.
        origin: JSON that decides its numbers and is not among the options: the text model's
            SHA-256, a version. A gallery refuses queries of another origin.
    """

    channels: Mapping[str, Channel]
    kept: Mapping[str, Array]
    origin: Mapping[str, Any]

    def tracks(self, streams: Mapping[str, Track]) -> Mapping[str, Mapping[str, Track]]:
        """Return channel -> block -> what it says of a video, clip by clip.

        The core takes means of it over windows, and finds moments in it.

        Args:
            streams: key -> the video's stream; those that it lacks are left out.

        Returns:
            Blocks that the video lacks are left out.
        """

    def encode_text(self, texts: Sequence[str]) -> Array:
        """Return (Q, K) sentences for the channel that answers ``text``.

        Raises:
            DataError: a sentence has no word that the model knows.
        """

    def reasons(self, channel: str, query: Array, row: Array) -> list[Reason]:
        """Return what in a (K,) row answered a (K,) query, the greatest share first.

        Empty if it cannot be told in words.
        """


@dataclass(frozen=True)
class Where:
    """Which rows may be found; None = all. A row that lacks the field is not found.

    Attributes:
        videos: numbers of videos.
        cameras: names of cameras.
        after: the window ends after this time, in seconds since 1970.
        before: the window begins before this time.
        min_anomaly: the least anomaly, from 0 to 1.
    """

    videos: frozenset[int] | None = None
    cameras: frozenset[str] | None = None
    after: float | None = None
    before: float | None = None
    min_anomaly: float | None = None

    @property
    def everything(self) -> bool:
        """Whether every row may be found."""
        return self == Where()


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a gallery, with the fields that filters ask for.

    Attributes:
        ids: (R,) int64, positive; an id is never used for another row.
        vectors: (R, K) float32.
        video: (R,) int64, the number of each row's video.
        begin: (R,) float64, when the window begins, in seconds since 1970; NaN = unknown.
        end: (R,) float64, likewise.
        anomaly: (R,) float32 from 0 to 1; NaN = unknown.
        camera: length R; None = unknown.
    """

    ids: NDArray[np.int64]
    vectors: Array
    video: NDArray[np.int64]
    begin: NDArray[np.float64]
    end: NDArray[np.float64]
    anomaly: Array
    camera: Sequence[str | None]

    def __len__(self) -> int:
        """Return R."""
        return len(self.ids)


@dataclass(frozen=True, eq=False)
class Found:
    """The best rows of one query, best first; rows of one score in the order of their ids.

    Attributes:
        ids: (n,) int64.
        scores: (n,) float32.
    """

    ids: NDArray[np.int64]
    scores: Array


@runtime_checkable
class Engine(Protocol):
    """Keeps rows and finds those with the largest score.

    The build supplies ``folder: Path``, its own, and ``channel: Channel``. All it holds is derived
    from the index's shards and can be made again. One process writes at a time; any number read
    meanwhile, and see each call of ``upsert`` and ``delete`` as a whole or not at all. What a call
    that has returned did survives a kill.

    Attributes:
        exact: whether it finds the best rows by :class:`Channel`'s score. An engine that does not
            finds candidates by the plain inner product, which are then scored again.
    """

    exact: bool

    def upsert(self, rows: Rows) -> None:
        """Add rows, or replace those that have the same ids.

        Raises:
            DataError: vectors are not finite, or not (R, K); nothing is changed.
            WriteError: the disk is full or not writable; nothing is changed.
        """

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Remove rows, and every byte of them; ids that are not there are passed over.

        Raises:
            WriteError: the disk is not writable.
        """

    def search(
        self,
        queries: Array,
        k: int,
        where: Where | None = None,
        absent: Array | None = None,
    ) -> list[Found]:
        """Return the best rows of each query, at most k.

        Args:
            queries: (Q, K) float32.
            k: at least 1.
            where: which rows may be found.
            absent: (Q, blocks) what each block's ``f`` is for rows that lack it, used for blocks
                with ``log``; None = log(1e-9). A row lacks a block with ``log`` if its inner
                product is 0.

        Raises:
            DataError: queries are not finite, or not (Q, K); or what is stored is damaged.
        """

    def ids(self) -> NDArray[np.int64]:
        """Return all ids, ascending."""

    def close(self) -> None:
        """Close files; nothing is lost without it."""
