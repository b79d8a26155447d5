"""Files of embeddings: vectors of the videos and queries of a split, from any model."""

from __future__ import annotations

import io
import lzma
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varkit.errors import DataError, did_you_mean
from varkit.interfaces import Array
from varkit.system.files import write_bytes

REQUIRED = ("video_ids", "videos", "query_ids", "queries")
FLAGS = ("normalize", "simulated", "embedded")
OPTIONAL = (*FLAGS, "selection")
SELECTIONS = ("val", "last", "test", "unknown")
"""How a model was selected: a run's ``train.select``, or unknown."""
SHOWN = 5
"""How many identifiers an error lists."""
_DAMAGE = (
    *(ValueError, EOFError, KeyError, RuntimeError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, struct.error, lzma.LZMAError),
)
"""What numpy and zipfile raise for a file that is damaged or of another format."""


@dataclass(frozen=True)
class Embeddings:
    """Vectors of V videos and Q queries; their inner product is the similarity.

    Attributes:
        video_ids: as the data set calls them, length V.
        videos: (V, K) float32, no row all zero.
        query_ids: as the data set calls them, length Q.
        queries: (Q, K) float32, likewise.
        simulated: whether they come from data that a program made.
        embedded: whether they come from a recipe's embedded variant.
        selection: how the model was selected, one of ``SELECTIONS``.

    Raises:
        DataError: an identifier occurs twice, a shape does not fit, a vector is not finite or
            all zero, or ``selection`` is unknown.
    """

    video_ids: tuple[str, ...]
    videos: Array
    query_ids: tuple[str, ...]
    queries: Array
    simulated: bool = False
    embedded: bool = False
    selection: str = "unknown"

    def __post_init__(self) -> None:
        _check("video", self.video_ids, self.videos)
        _check("query", self.query_ids, self.queries)
        if self.videos.shape[1] != self.queries.shape[1]:
            raise DataError(
                f"video vectors are {self.videos.shape[1]} wide and query vectors "
                f"{self.queries.shape[1]}; an inner product needs the same width"
            )
        if self.selection not in SELECTIONS:
            raise DataError(
                f"selection is {self.selection!r}.{did_you_mean(self.selection, SELECTIONS)} "
                f"Allowed: {', '.join(SELECTIONS)}"
            )

    def of(self, videos: Sequence[str], queries: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return the (V, K) and (Q, K) vectors in the order of a split's identifiers.

        Raises:
            DataError: an identifier is missing, or is not in the split.
        """
        return (
            torch.from_numpy(self.videos[positions("video", self.video_ids, videos)]),
            torch.from_numpy(self.queries[positions("query", self.query_ids, queries)]),
        )


def read_embeddings(path: Path) -> Embeddings:
    """Read an ``.npz`` file of the arrays of :class:`Embeddings`; nothing in it is unpickled.

    It may also hold ``normalize``, a boolean: scale all vectors to length 1. By default
    ``simulated`` and ``embedded`` are false, and ``selection`` is unknown.

    Raises:
        DataError: it cannot be read, an array is missing, unknown or of the wrong type, or
            :class:`Embeddings` refuses the content.
    """
    arrays = _arrays(path)
    unknown = [name for name in arrays if name not in (*REQUIRED, *OPTIONAL)]
    lacking = [name for name in REQUIRED if name not in arrays]
    if lacking or unknown:
        wrong = f"no array {', '.join(lacking)}" if lacking else f"an array {unknown[0]!r}"
        near = did_you_mean(unknown[0], (*REQUIRED, *OPTIONAL)) if unknown else ""
        raise DataError(
            f"{path} has {wrong}.{near} Needed: {', '.join(REQUIRED)}; "
            f"allowed: {', '.join(OPTIONAL)}"
        )
    try:
        flags = {name: _flag(name, arrays[name]) for name in FLAGS if name in arrays}
        embeddings = Embeddings(
            _identifiers("video_ids", arrays["video_ids"]),
            _vectors("videos", arrays["videos"]),
            _identifiers("query_ids", arrays["query_ids"]),
            _vectors("queries", arrays["queries"]),
            simulated=flags.get("simulated", False),
            embedded=flags.get("embedded", False),
            selection=_word("selection", arrays.get("selection", np.array("unknown"))),
        )
    except DataError as error:
        raise DataError(f"{path}: {error.line}") from None
    if flags.get("normalize", False):
        videos, queries = _normalized(embeddings.videos), _normalized(embeddings.queries)
        return replace(embeddings, videos=videos, queries=queries)
    return embeddings


def write_embeddings(path: Path, embeddings: Embeddings) -> None:
    """Write an ``.npz`` file that :func:`read_embeddings` reads.

    Raises:
        WriteError: the disk is full or not writable; what was at ``path`` before is untouched.
    """
    buffer = io.BytesIO()
    np.savez(
        buffer,
        video_ids=np.array(embeddings.video_ids),
        videos=embeddings.videos,
        query_ids=np.array(embeddings.query_ids),
        queries=embeddings.queries,
        simulated=np.array(embeddings.simulated),
        embedded=np.array(embeddings.embedded),
        selection=np.array(embeddings.selection),
    )
    write_bytes(path, buffer.getvalue())


def _arrays(path: Path) -> Mapping[str, Any]:
    try:
        # Opened here, since numpy leaves a file open that is not in its format.
        with path.open("rb") as file:
            if file.peek(2)[:2] != b"PK":  # numpy would take it for a pickle
                raise DataError(f"{path} is not an .npz file", hint="write it with numpy.savez")
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    except MemoryError as error:
        raise DataError(f"{path} does not fit into memory") from error
    except _DAMAGE as error:
        if "Object arrays" in str(error):
            raise DataError(
                f"{path} holds Python objects, which are never read",
                hint="write identifiers with numpy.array(names), whose type is <U",
            ) from error
        raise DataError(f"{path} is not an .npz file, or is damaged: {error}") from error


def _flag(name: str, array: Any) -> bool:
    if array.shape != () or array.dtype != np.bool_:
        raise DataError(f"{name} must be one boolean; not {array.dtype} of shape {array.shape}")
    return bool(array)


def _word(name: str, array: Any) -> str:
    if array.shape != () or array.dtype.kind != "U":
        raise DataError(f"{name} must be one text; not {array.dtype} of shape {array.shape}")
    word: str = array.item()
    return word


def _identifiers(name: str, array: Any) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(
            f"{name} must be text of shape (n,); not {array.dtype} of shape {array.shape}"
        )
    return tuple(array.tolist())


def _vectors(name: str, array: Any) -> Array:
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(
            f"{name} must be floats of shape (n, K); not {array.dtype} of shape {array.shape}"
        )
    with np.errstate(over="ignore"):  # an overflow is reported as not finite
        vectors: Array = array.astype(np.float32)
    return vectors


def _normalized(vectors: Array) -> Array:
    wide = vectors.astype(np.float64)
    unit: Array = (wide / np.linalg.norm(wide, axis=1, keepdims=True)).astype(np.float32)
    return unit


def _check(side: str, names: Sequence[str], vectors: Array) -> None:
    if len(names) != len(vectors):
        raise DataError(f"{len(names)} {side} identifiers, but {len(vectors)} {side} vectors")
    if not len(names) or not vectors.shape[1]:
        raise DataError(f"{side} vectors of shape {vectors.shape}: there is nothing to rank")
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(_named(twice, f"{side} identifiers occur more than once"))
    faults = (
        ("not finite", ~np.isfinite(vectors).all(axis=1)),
        ("all zero", ~vectors.any(axis=1)),
    )
    for what, rows in faults:
        faulty = [names[i] for i in np.flatnonzero(rows).tolist()]
        if faulty:
            raise DataError(_named(faulty, f"{side} vectors are {what}"))


def positions(side: str, names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the position in ``names`` of each identifier of a split.

    Args:
        side: what messages call them.
        names: in any order.
        wanted: the split's identifiers.

    Raises:
        DataError: an identifier is missing, or is not in the split.
    """
    place = {name: i for i, name in enumerate(names)}
    known = set(wanted)
    lacking = [name for name in wanted if name not in place]
    extra = [name for name in names if name not in known]
    missing = _named(lacking, f"of {len(wanted)} {side} identifiers of the split are missing")
    unknown = _named(extra, f"{side} identifiers are not in the split")
    if lacking and extra:
        raise DataError(f"{missing}.{did_you_mean(lacking[0], extra)} {unknown}")
    if lacking or extra:
        raise DataError(missing if lacking else unknown)
    return [place[name] for name in wanted]


def _named(names: Sequence[str], what: str) -> str:
    listed = ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
    return f"{len(names)} {what}: {listed}"
