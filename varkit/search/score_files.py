"""Files of scores: the similarity of the videos and queries of a split, from any model.

An ``.npz`` file holds embeddings, whose inner products are the similarity, or the similarity
itself. A TREC run holds the best videos of each query.
"""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from varkit.data.trec import read_run
from varkit.errors import DataError, did_you_mean
from varkit.evaluation.rank import check_finite
from varkit.evaluation.results import Selection
from varkit.interfaces.settings import Measured
from varkit.search.scores import Scores
from varkit.system.files import write_bytes
from varkit.system.inputs import open_user_file, reason
from varkit.system.npy import members, read_member

IDENTIFIERS = ("video_ids", "query_ids")
VECTORS = ("videos", "queries")
MATRIX = "similarity"
SELECTIONS = ("val", "last", "test", "unknown")
"""How a model was selected: a run's ``train.select``, or unknown."""
CHECKPOINTS = ("best", "last", "given")
SHOWN = 5
"""How many identifiers an error lists."""
_SMALLEST, _LARGEST = (float(limit) for limit in (np.finfo("f4").tiny, np.finfo("f4").max))


@dataclass(frozen=True)
class Marks:
    """Where scores come from; whatever is made from them says so.

    Attributes:
        simulated: whether a program made any of the data.
        embedded: whether they come from a recipe's embedded variant.
        selection: how the model was selected, one of ``SELECTIONS``.
        checkpoint: which model of its training it is: ``best``, ``last``, or ``given`` = unknown.
        seed: of the training, at least 0.

    Raises:
        DataError: a value is not allowed.
    """

    simulated: bool = False
    embedded: bool = False
    selection: Selection = "unknown"
    checkpoint: Measured = "given"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("selection", SELECTIONS), ("checkpoint", CHECKPOINTS)):
            value = getattr(self, name)
            if value not in allowed:
                near = did_you_mean(value, allowed)
                raise DataError(f"{name} is {value!r}.{near} Allowed: {', '.join(allowed)}")
        if (self.selection, self.checkpoint) == ("last", "best"):
            raise DataError(
                "checkpoint is 'best', but with selection 'last' there is only the last"
            )
        if self.seed < 0:
            raise DataError(f"seed is {self.seed}; it must be at least 0")

    def joined(self, other: Marks) -> Marks:
        """Return the marks of what is made from both: what differs is unknown.

        A selection on the test set stays one, since it flatters whatever is made from it.
        """
        rules = {self.selection, other.selection}
        return Marks(
            simulated=self.simulated or other.simulated,
            embedded=self.embedded or other.embedded,
            selection="test" if "test" in rules else rules.pop() if len(rules) == 1 else "unknown",
            checkpoint=self.checkpoint if self.checkpoint == other.checkpoint else "given",
            seed=self.seed if self.seed == other.seed else 0,
        )


@dataclass(frozen=True)
class ScoreFile:
    """The scores of V videos and Q queries in a file.

    Attributes:
        video_ids: as the data set calls them, length V.
        query_ids: as the data set calls them, length Q.
        scores: of these videos and queries, in this order.
        marks: where the scores come from.

    Raises:
        DataError: an identifier occurs twice, a shape does not fit, a score or a vector is not
            finite, a vector is all zero, or inner products of vectors may not fit into float32.
    """

    video_ids: tuple[str, ...]
    query_ids: tuple[str, ...]
    scores: Scores
    marks: Marks = Marks()

    def __post_init__(self) -> None:
        for side, names in (("video", self.video_ids), ("query", self.query_ids)):
            if not names:
                raise DataError(f"there are no {side} identifiers: there is nothing to rank")
            twice = [name for name, count in Counter(names).items() if count > 1]
            if twice:
                raise DataError(_named(twice, f"{side} identifiers occur more than once"))
        if self.scores.matrix is not None:
            _check_matrix(self.scores.matrix, self.video_ids, self.query_ids)
        if self.scores.factors is not None:
            _check_factors(*self.scores.factors, self.video_ids, self.query_ids)

    def of(self, videos: Sequence[str], queries: Sequence[str]) -> Scores:
        """Return the scores in the order of a split's identifiers.

        Raises:
            DataError: an identifier is missing, or is not in the split.
        """
        return self.scores.of(
            torch.tensor(positions("video", self.video_ids, videos)),
            torch.tensor(positions("query", self.query_ids, queries)),
        )


def read_scores(path: Path) -> ScoreFile:
    """Read an ``.npz`` file of embeddings or of a similarity; nothing in it is unpickled.

    It holds ``video_ids`` and ``query_ids``, and either ``videos`` (V, K) and ``queries`` (Q, K) or
    ``similarity`` (V, Q). It may hold the :class:`Marks`, and with vectors ``normalize``, a
    boolean: scale all vectors to length 1. Without ``checkpoint``, a model that was selected on
    validation or test data is the best, and one of selection ``last`` the last.

    Raises:
        DataError: it cannot be read, an array is missing, unknown or of the wrong type, or
            :class:`ScoreFile` refuses the content.
    """
    arrays = _arrays(path)
    try:
        return _score_file(arrays)
    except DataError as error:
        raise DataError(f"{path}: {error.what}", hint=error.hint) from None


def read_trec_run(path: Path, videos: Sequence[str], queries: Sequence[str]) -> ScoreFile:
    """Read a TREC run of a split as its similarity.

    A pair of a query and a video that is not listed scores just below the lowest that is.

    Args:
        path: of the file; see :func:`varkit.data.trec.read_run`.
        videos: the split's identifiers, length V.
        queries: likewise, length Q.
    """
    listed = read_run(path, videos, queries)
    if not listed:
        raise DataError(f"{path} lists no video for any query")
    scores = torch.tensor([*listed.values()])
    query, video = torch.tensor([*listed]).T
    below = torch.nextafter(scores.min(), torch.tensor(-torch.inf))
    matrix = below.repeat(len(videos), len(queries))
    matrix[video, query] = scores
    try:
        return ScoreFile(tuple(videos), tuple(queries), Scores(matrix=matrix))
    except DataError as error:
        raise DataError(f"{path}: {error.what}") from None


def write_scores(path: Path, content: ScoreFile) -> None:
    """Write an ``.npz`` file that :func:`read_scores` reads.

    Raises:
        WriteError: the disk is full or not writable; what was at ``path`` before is untouched.
    """
    factors = content.scores.factors
    names, tensors = (VECTORS, factors) if factors else ((MATRIX,), (content.scores.dense(),))
    arrays: dict[str, Any] = {
        **dict(
            zip(IDENTIFIERS, map(np.array, (content.video_ids, content.query_ids)), strict=True)
        ),
        **dict(zip(names, (tensor.numpy() for tensor in tensors), strict=True)),
        **{name: np.array(value) for name, value in asdict(content.marks).items()},
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_bytes(path, buffer.getvalue())


def _arrays(path: Path) -> Mapping[str, Any]:
    try:
        with open_user_file(path) as file, zipfile.ZipFile(file) as archive:
            return {name: read_member(archive, info) for name, info in members(archive).items()}
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from error
    except Exception as error:  # numpy and zipfile raise errors of any kind over a damaged file
        if "Python objects" in str(error):
            raise DataError(
                f"{path} holds Python objects, which are never read",
                hint="write identifiers with numpy.array(names), whose type is <U",
            ) from error
        raise DataError(
            f"{path} is not an .npz file, or is damaged: {reason(error)}",
            hint="write it with numpy.savez",
        ) from error


def _score_file(arrays: Mapping[str, Any]) -> ScoreFile:
    needed = (*IDENTIFIERS, *((MATRIX,) if MATRIX in arrays else VECTORS))
    allowed = (
        *(field.name for field in fields(Marks)),
        *(() if MATRIX in arrays else ("normalize",)),
    )
    unknown = [name for name in arrays if name not in (*needed, *allowed)]
    lacking = [name for name in needed if name not in arrays]
    if lacking or unknown:
        wrong = f"no array {', '.join(lacking)}" if lacking else f"an array {unknown[0]!r}"
        misspelt = unknown and unknown[0] not in VECTORS
        near = did_you_mean(unknown[0], (*needed, *allowed, MATRIX)) if misspelt else ""
        raise DataError(
            f"there is {wrong}.{near} Needed: {', '.join(IDENTIFIERS)}, and either "
            f"{', '.join(VECTORS)} or {MATRIX}; allowed: {', '.join(allowed)}"
        )
    if MATRIX in arrays:
        scores = Scores(matrix=_floats(MATRIX, arrays[MATRIX], "(V, Q)"))
    else:
        unit = _single("normalize", arrays.get("normalize", np.array(False)), "b", "boolean")
        video, query = (_floats(name, arrays[name], "(n, K)", unit=unit) for name in VECTORS)
        scores = Scores(factors=(video, query))
    videos, queries = (_identifiers(name, arrays[name]) for name in IDENTIFIERS)
    kinds = {bool: ("b", "boolean"), int: ("iu", "whole number"), str: ("U", "text")}
    marks = {
        field.name: _single(field.name, arrays[field.name], *kinds[type(field.default)])
        for field in fields(Marks)
        if field.name in arrays
    }
    by_selection = {"val": "best", "test": "best", "last": "last"}
    marks.setdefault("checkpoint", by_selection.get(marks.get("selection", ""), "given"))
    return ScoreFile(videos, queries, scores, Marks(**marks))


def _single(name: str, array: Any, kinds: str, what: str) -> Any:
    if array.shape != () or array.dtype.kind not in kinds:
        raise DataError(f"{name} must be one {what}; not {array.dtype} of shape {array.shape}")
    return array.item()


def _identifiers(name: str, array: Any) -> tuple[str, ...]:
    if array.ndim != 1 or array.dtype.kind != "U":
        raise DataError(
            f"{name} must be text of shape (n,); not {array.dtype} of shape {array.shape}"
        )
    return tuple(array.tolist())


def _floats(name: str, array: Any, shape: str, *, unit: bool = False) -> Tensor:
    if array.ndim != 2 or array.dtype.kind != "f":
        raise DataError(
            f"{name} must be floats of shape {shape}; not {array.dtype} of shape {array.shape}",
            hint=f"{name}.astype(numpy.float32) converts whole numbers",
        )
    with np.errstate(all="ignore"):  # what is then not finite, or all zero, is reported
        wide = array.astype(np.float64)
        if unit:  # the largest number first: squares of 1e300 are not finite
            for order in (np.inf, 2):
                length = np.linalg.norm(wide, ord=order, axis=1, keepdims=True)
                wide = wide / np.where(length > 0, length, 1)
        return torch.from_numpy(wide.astype(np.float32))


def _check_matrix(matrix: Tensor, videos: Sequence[str], queries: Sequence[str]) -> None:
    size = (len(videos), len(queries))
    if matrix.shape != size:
        turned = matrix.shape == size[::-1]
        raise DataError(
            f"{MATRIX} is {' x '.join(map(str, matrix.shape))}, but there are {size[0]} videos "
            f"(rows) and {size[1]} queries (columns)",
            hint=f"save {MATRIX}.T" if turned else None,
        )
    check_finite((torch.arange(size[0]), torch.arange(size[1]), matrix), (videos, queries))


def _check_factors(
    video: Tensor, query: Tensor, videos: Sequence[str], queries: Sequence[str]
) -> None:
    lengths = []
    for side, names, vectors in (("video", videos, video), ("query", queries, query)):
        if len(names) != len(vectors):
            raise DataError(f"{len(names)} {side} identifiers, but {len(vectors)} {side} vectors")
        if not vectors.shape[1]:
            raise DataError(f"{side} vectors of shape {tuple(vectors.shape)}: they are empty")
        for what, rows in (
            ("not finite", ~vectors.isfinite().all(1)),
            ("all zero", ~vectors.any(1)),
        ):
            faulty = [names[i] for i in rows.nonzero().flatten().tolist()]
            if faulty:
                raise DataError(_named(faulty, f"{side} vectors are {what}"))
        lengths.append(vectors.double().norm(dim=1))
    if video.shape[1] != query.shape[1]:
        raise DataError(
            f"video vectors are {video.shape[1]} wide and query vectors {query.shape[1]}; an inner "
            "product needs the same width"
        )
    # An inner product is at most the product of the lengths. Of finite vectors it may still be
    # too large for float32, or so small that it vanishes.
    for extreme in (torch.argmax, torch.argmin):
        v, q = (int(extreme(length)) for length in lengths)
        product = float(lengths[0][v] * lengths[1][q])
        if not _SMALLEST <= product <= _LARGEST:
            raise DataError(
                f"inner products do not fit into float32: video {videos[v]!r} has length "
                f"{lengths[0][v]:.3g}, query {queries[q]!r} {lengths[1][q]:.3g}",
                hint="scale the vectors, or save normalize=True to compare by cosine",
            )


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
