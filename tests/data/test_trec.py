"""TREC files: judgements and runs as they were meant, and every fault by its line."""

from __future__ import annotations

import pytest

from varkit.data.trec import encode, read_qrels, read_run
from varkit.errors import DataError

VIDEOS = ("v1", "v 2", "v%202", "é")
QUERIES = ("v1#0", "q 2")
QRELS = "v1#0 0 v1 1\nv1#0 0 é 3\nv1#0 0 v%202 0\nq%202 0 v1 2\n"


def written(tmp_path, text):
    path = tmp_path / "judged.qrels"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text",
    [
        QRELS,
        f"\ufeff{QRELS}",
        QRELS.replace("\n", "\r\n"),
        QRELS.replace(" ", "\t").replace("\n", "\n\n"),
        "\n".join(reversed(QRELS.splitlines())),
    ],
)
def test_judgements_are_read_in_any_order_and_layout(tmp_path, text):
    found = read_qrels(written(tmp_path, text), VIDEOS, QUERIES)
    assert found == {(0, 0): 1, (0, 3): 3, (1, 0): 2}


def test_what_is_encoded_is_found_again_also_beside_one_that_looks_encoded(tmp_path):
    lines = [f"{encode(q)} 0 {encode(v)} {1 + i}" for q in QUERIES for i, v in enumerate(VIDEOS)]
    found = read_qrels(written(tmp_path, "\n".join(lines)), VIDEOS, QUERIES)
    assert found == {(q, v): 1 + v for q in range(2) for v in range(4)}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1#0 0 v1", "line 1: has 3 fields; it must be QUERY 0 VIDEO GRADE"),
        ("\nv1#0 0 v 2 1", "line 2: has 5 fields"),
        ("v1#0 0 v11 1", "line 1: there is no video 'v11' in this split. Did you mean 'v1'"),
        ("v1#1 0 v1 1", "line 1: there is no query 'v1#1' in this split. Did you mean 'v1#0'"),
        ("v1 0 v1#0 1", "line 1: there is no query 'v1' in .* A line is QUERY 0 VIDEO GRADE"),
        ("v1#0 0 v1 -1", "line 1: grade '-1' is not a whole number of at least 0"),
        ("v1#0 0 v1 1.0", "line 1: grade '1.0'"),
        ("v1#0 0 v1 nan", "line 1: grade 'nan'"),
        ("v1#0 0 v1 ²", "line 1: grade '²'"),
        (f"v1#0 0 v1 {'9' * 30}", "line 1: grade '999"),
        (f"{QRELS}v1#0 0 v1 1", "line 5: judges the same query and video as line 1"),
        (f"{QRELS}v1#0 0 v%202 1", "line 5: judges the same query and video as line 3"),
        ("v1#0 0 v1 1\nq%202 0 v1 0", "1 of 2 queries of this split have no .*: 'q 2'$"),
        ("", "2 of 2 queries of this split have no relevant video: 'v1#0', 'q 2'"),
        (b"v1#0 0 \xff 1", "is not UTF-8 text"),
    ],
)
def test_faults_of_judgements_are_named(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(DataError, match=message) as caught:
        read_qrels(path, VIDEOS, QUERIES)
    assert str(path) in caught.value.what


def test_a_file_that_cannot_be_read_is_an_error(tmp_path):
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_qrels(path, VIDEOS, QUERIES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("v1#0 Q0 v1 1 0.5", "line 1: has 5 fields; it must be QUERY Q0 VIDEO RANK SCORE NAME"),
        ("v1#0 Q0 v1 1 nan me", "line 1: score 'nan' is not a finite number"),
        ("v1#0 Q0 v1 1 1e999 me", "line 1: score '1e999' is not"),
        ("v1#0 Q0 v1 1 x me", "line 1: score 'x' is not"),
        ("v1#0 Q0 v1 1 1 me\nv1#0 Q0 v1 2 0 me", "line 2: has the same query and video"),
        ("v1#0 Q0 w 1 1 me", "line 1: there is no video 'w'"),
    ],
)
def test_faults_of_a_run_are_named(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_run(written(tmp_path, text), VIDEOS, QUERIES)
