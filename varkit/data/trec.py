"""Reads TREC files: relevance judgements (qrels), and runs of another program.

Fields are separated by white space. So white space, ``%`` and control characters in an identifier
are percent-encoded in files that varkit writes; a file may also hold identifiers as they are.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import quote

from varkit.errors import DataError, did_you_mean
from varkit.system.inputs import read_user_file, reading

UNSAFE = re.compile(r"[\s%\x00-\x1f\x7f\ud800-\udfff]")
"""Characters that identifiers in these files cannot have."""
SHOWN = 5
"""How many identifiers an error lists."""


def encode(identifier: str) -> str:
    """Return an identifier without white space; ``urllib.parse.unquote`` decodes it.

    >>> encode("v 1#00:10_label_B1")
    'v%201#00:10_label_B1'
    """
    return UNSAFE.sub(lambda match: quote(match[0], errors="surrogatepass"), identifier)


def read_qrels(
    path: Path, videos: Sequence[str], queries: Sequence[str]
) -> dict[tuple[int, int], int]:
    """Read relevance judgements, one ``QUERY 0 VIDEO GRADE`` in a line; grade 0 = not relevant.

    Args:
        path: of the file.
        videos: identifiers of all candidates.
        queries: identifiers of all queries; each must have a relevant video.

    Returns:
        (query, video), by position, -> grade of each relevant video, at least 1.

    Raises:
        DataError: the file cannot be read; a line has another form, an unknown identifier, a
            grade that is not a whole number of at least 0, or a pair that was judged before; or a
            query has no relevant video.
    """
    seen: dict[tuple[int, int], int] = {}
    grades: dict[tuple[int, int], int] = {}
    for line, pair, (_, text) in _lines(path, "QUERY 0 VIDEO GRADE", videos, queries):
        if pair in seen:
            raise _fault(path, line, f"judges the same query and video as line {seen[pair]}")
        seen[pair] = line
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise _fault(path, line, f"grade {text!r} is not a whole number of at least 0")
        if int(text):
            grades[pair] = int(text)
    judged = {query for query, _ in grades}
    bare = [name for q, name in enumerate(queries) if q not in judged]
    if bare:
        named = ", ".join(map(repr, bare[:SHOWN])) + (", ..." if len(bare) > SHOWN else "")
        what = f"{len(bare)} of {len(queries)} queries of this split have no relevant video"
        raise DataError(f"{path}: {what}: {named}")
    return grades


def read_run(
    path: Path, videos: Sequence[str], queries: Sequence[str]
) -> dict[tuple[int, int], float]:
    """Read a run, one ``QUERY Q0 VIDEO RANK SCORE NAME`` in a line; the rank is not used.

    Returns:
        (query, video), by position, -> score.

    Raises:
        DataError: the file cannot be read; a line has another form, an unknown identifier, a
            score that is not a finite number, or a pair that occurred before.
    """
    scores: dict[tuple[int, int], float] = {}
    for line, pair, (_, _, text, _) in _lines(
        path, "QUERY Q0 VIDEO RANK SCORE NAME", videos, queries
    ):
        if pair in scores:
            raise _fault(path, line, "has the same query and video as an earlier line")
        try:
            scores[pair] = float(text)
        except ValueError:
            scores[pair] = math.nan
        if not math.isfinite(scores[pair]):
            raise _fault(path, line, f"score {text!r} is not a finite number")
    return scores


def _lines(
    path: Path, form: str, videos: Sequence[str], queries: Sequence[str]
) -> Iterator[tuple[int, tuple[int, int], list[str]]]:
    """Yield line number, (query, video) by position, and all fields but these two."""
    of_query, of_video = _places(queries), _places(videos)
    with reading(path):
        data = read_user_file(path)
    try:
        text = data.decode("utf-8-sig")
    except ValueError as error:
        raise DataError(f"{path} is not UTF-8 text: {error}") from error
    for line, content in enumerate(text.split("\n"), start=1):
        fields = content.split()
        if not fields:
            continue
        if len(fields) != len(form.split()):
            raise _fault(path, line, f"has {len(fields)} fields; it must be {form}")
        query, video = fields.pop(0), fields.pop(1)
        for what, name, place, other in (
            ("query", query, of_query, of_video),
            ("video", video, of_video, of_query),
        ):
            if name not in place:
                near = f" A line is {form}" if name in other else did_you_mean(name, place)
                raise _fault(path, line, f"there is no {what} {name!r} in this split.{near}")
        yield line, (of_query[query], of_video[video]), fields


def _places(names: Sequence[str]) -> dict[str, int]:
    """Return the position of each identifier, by its spellings in a file; encoded ones prevail."""
    spelled = (*enumerate(names), *enumerate(map(encode, names)))
    return {spelling: i for i, spelling in spelled}


def _fault(path: Path, line: int, what: str) -> DataError:
    return DataError(f"{path}, line {line}: {what}")
