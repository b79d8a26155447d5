"""Files with the rank of every query and every video, one JSON object per line.

A fair comparison of two runs needs to know in which queries they differ. ``varkit compare`` reads
these files, and so can any statistics package.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le
from pydantic import ConfigDict, TypeAdapter, ValidationError

from varkit.errors import RunError
from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank import RECALLS
from varkit.interfaces import Count, Fraction, Natural
from varkit.system.files import write_text
from varkit.system.inputs import read_user_file, reading


@dataclass(frozen=True, kw_only=True)
class RankRow:
    """The rank of one query's or one video's best right answer; a line of ``ranks/best.jsonl``.

    Attributes:
        direction: whether a query retrieves videos, or a video retrieves queries.
        repeat: number of the sampler seed, from 0.
        id: the query, or the video, that retrieves.
        answer: the right video, or the right query; if several are right, the best.
        rank: of the answer, from 1.
        hits: the chances that a right answer is among the first 1, 5 and 10: 0 or 1 without ties.
        ties: how many wrong candidates have the same score as the answer.
        video: the row's video, or the query's own.
        cluster: the first of the videos that share a right query with the retrieving video, or
            with the answer of a query, itself or through further videos; rows of one cluster are
            not independent.
        label: of that video, 1 = anomalous, 0 = normal, None = unknown.
        classes: what happens in that video; empty = unknown.
        clips: T of that video, or None.
        anomaly: share of its clips that are anomalous, 0 for a normal video; None = unknown.
        text: the caption; None for sounds, and if a video retrieves queries.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(
        strict=True, extra="forbid", allow_inf_nan=False
    )

    direction: Literal["query_to_video", "video_to_query"]
    repeat: Natural
    id: str
    answer: str
    rank: Annotated[float, Ge(1)]
    hits: tuple[Fraction, Fraction, Fraction]
    ties: Natural
    video: str
    cluster: str
    label: Annotated[int, Ge(0), Le(1)] | None
    classes: tuple[str, ...]
    clips: Count | None
    anomaly: Fraction | None
    text: str | None


def write_ranks(path: Path, rows: Iterable[RankRow]) -> None:
    """Write a ranks file atomically.

    Raises:
        WriteError: the disk is full or not writable; an older file at ``path`` is untouched.
    """
    write_text(path, "".join(json.dumps(asdict(row), allow_nan=False) + "\n" for row in rows))


def read_ranks(path: Path) -> list[RankRow]:
    """Read a ranks file, in the order in which it was written.

    Raises:
        RunError: it cannot be read, is damaged or truncated.
    """
    path = Path(path)
    with reading(path, RunError, hint="varkit eval RUN --out FOLDER writes the ranks of a run"):
        lines = read_user_file(path).split(b"\n")
    if lines.pop():
        raise _damaged(path, f"cut short in line {len(lines) + 1}")
    adapter = TypeAdapter(RankRow)
    rows = []
    for number, line in enumerate(lines, start=1):
        try:
            rows.append(adapter.validate_json(line))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, (f"line {number}", *first["loc"])))
            raise _damaged(path, f"{where}: {first['msg']}") from None
    _check_whole(path, rows)
    return rows


def _check_whole(path: Path, rows: Sequence[RankRow]) -> None:
    """Refuse a file with missing lines: all repeats must have the same rows, with all answers."""
    if not rows:
        raise _damaged(path, "it has no ranks")
    repeats: dict[int, dict[str, set[str]]] = {}
    for number, row in enumerate(rows, start=1):
        seen = repeats.setdefault(row.repeat, {way: set() for way in DIRECTIONS})[row.direction]
        if row.id in seen:
            raise _damaged(path, f"line {number}: {row.direction} {row.id!r} occurs twice")
        seen.add(row.id)
        if not row.ties and row.hits != tuple(map(float, (row.rank <= k for k in RECALLS))):
            raise _damaged(path, f"line {number}: rank {row.rank:g} does not have hits {row.hits}")
    if sorted(repeats) != list(range(len(repeats))):
        raise _damaged(path, f"it has repeats {sorted(repeats)}")
    if any(names != repeats[0] for names in repeats.values()):
        raise _damaged(path, "not every repeat holds the same queries and videos")
    queries, videos = (repeats[0][way] for way in DIRECTIONS)
    for row in rows:
        answers = videos if row.direction == "query_to_video" else queries
        for name, known in ((row.answer, answers), (row.cluster, videos)):
            if name not in known:
                raise _damaged(path, f"{name!r}, which {row.id!r} belongs to, has no line")


def _damaged(path: Path, what: str) -> RunError:
    return RunError(
        f"{path} is damaged: {what}", hint="varkit eval RUN --out FOLDER measures again"
    )
