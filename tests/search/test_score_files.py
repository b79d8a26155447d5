"""Files of scores: read back as written, and everything hostile named."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from varkit.errors import DataError, VarkitError
from varkit.search.score_files import (
    Marks,
    ScoreFile,
    read_scores,
    read_trec_run,
    write_scores,
)
from varkit.search.scores import Scores


def arrays(**changes):
    random = np.random.default_rng(0)
    return {
        "video_ids": np.array(["a", "b é", "c#0"]),
        "videos": random.normal(size=(3, 4)).astype(np.float32),
        "query_ids": np.array(["x", "y"]),
        "queries": random.normal(size=(2, 4)).astype(np.float32),
    } | changes


def saved(folder, **changes):
    path = folder / "model.npz"
    np.savez(path, **{name: value for name, value in arrays(**changes).items() if value is not ...})
    return path


def similarity(matrix):
    """Return changes that make a file of embeddings one of a similarity."""
    return {"videos": ..., "queries": ..., "similarity": matrix}


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
def test_what_is_written_is_read(tmp_path, dtype):
    given = arrays()
    found = read_scores(saved(tmp_path, videos=given["videos"].astype(dtype)))
    assert found.video_ids == ("a", "b é", "c#0")
    wanted = given["videos"].astype(dtype).astype("f4")
    np.testing.assert_array_equal(found.scores.factors[0], wanted)
    assert not found.marks.simulated
    write_scores(tmp_path / "again.npz", found)
    again = read_scores(tmp_path / "again.npz")
    for one, other in zip(again.scores.factors, found.scores.factors, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (again.video_ids, again.query_ids) == (found.video_ids, found.query_ids)


@pytest.mark.parametrize(
    ("marks", "checkpoint"),
    [
        ({}, "given"),
        ({"simulated": True, "seed": 3}, "given"),
        ({"embedded": True, "selection": "test"}, "best"),
        ({"selection": "val"}, "best"),
        ({"selection": "last"}, "last"),
        ({"selection": "val", "checkpoint": "last"}, "last"),
    ],
)
def test_marks_stay(tmp_path, marks, checkpoint):
    found = read_scores(saved(tmp_path, **{name: np.array(mark) for name, mark in marks.items()}))
    write_scores(tmp_path / "again.npz", found)
    for each in (found, read_scores(tmp_path / "again.npz")):
        assert each.marks == Marks(**{**marks, "checkpoint": checkpoint})


def test_normalize_makes_the_inner_product_a_cosine(tmp_path):
    half = 0.5**0.5
    for largest, smallest, dtype in ((3e38, 1e-40, "f4"), (1e300, 1e-300, "f8")):
        extreme = [[largest, largest, 0, 0], [smallest, 0, 0, smallest], [1, 2, 3, 4]]
        videos = np.array(extreme, dtype)
        found = read_scores(saved(tmp_path, videos=videos, normalize=np.array(True)))
        np.testing.assert_allclose(found.scores.factors[0][0], [half, half, 0, 0], rtol=1e-6)
        np.testing.assert_allclose(found.scores.factors[0][1], [half, 0, 0, half], rtol=1e-6)
    for rows in (factor.numpy() for factor in found.scores.factors):
        np.testing.assert_allclose((rows.astype("f8") ** 2).sum(1), 1, rtol=1e-6)


def test_vectors_come_in_the_order_of_the_split(tmp_path):
    found = read_scores(saved(tmp_path))
    dense = found.scores.dense()
    assert dense.shape == (3, 2)
    similar = read_scores(saved(tmp_path, **similarity(dense.numpy())))
    for each in (found, similar):
        ordered = each.of(["c#0", "a", "b é"], ["y", "x"]).dense()
        np.testing.assert_array_equal(ordered, dense[[2, 0, 1]][:, [1, 0]])


@pytest.mark.parametrize(
    ("videos", "queries", "message"),
    [
        (["a", "b é"], ["x", "y"], "1 video identifiers are not in the split: 'c#0'"),
        (["a", "b é", "c#0"], ["x", "y", "z", "q"], "2 of 4 query .* are missing: 'z', 'q'"),
        (["a", "b é", "c#1"], ["x", "y"], "1 of 3 video .* missing: 'c#1'. Did you mean 'c#0'"),
        (["a", "b é", "c#1"], ["x", "y"], "1 video .* not in .*: 'c#0'$"),
        (["a", "b é", "c#0"], ["x", "q9"], "missing: 'q9'. 1 query .* not in the split: 'y'$"),
        ([*"defghi"], ["x", "y"], "6 of 6 video .*: 'd', 'e', 'f', 'g', 'h', \\.\\.\\."),
    ],
)
def test_other_identifiers_than_the_split_has_are_named(tmp_path, videos, queries, message):
    with pytest.raises(DataError, match=message):
        read_scores(saved(tmp_path)).of(videos, queries)


def with_row(row, value):
    videos = arrays()["videos"].astype(np.float64)
    videos[row] = value
    return videos


def with_cell(value):
    matrix = np.ones((3, 2))
    matrix[2, 1] = value
    return matrix


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"videos": ...}, "no array videos. Needed: video_ids"),
        ({"vidoes": np.ones(1), "simulated": np.array(False)}, "an array 'vidoes'.*videos"),
        ({"videos": with_row(1, np.nan)}, "1 video vectors are not finite: 'b é'"),
        ({"videos": with_row(2, [1, 2, np.inf, 4])}, "1 video vectors are not finite: 'c#0'"),
        ({"videos": with_row(0, 1e300)}, "1 video vectors are not finite: 'a'"),
        ({"videos": with_row(0, 0)}, "1 video vectors are all zero: 'a'"),
        ({"videos": with_row(0, 1e-300)}, "1 video vectors are all zero: 'a'"),
        ({"videos": with_row(0, 0), "normalize": np.array(True)}, "all zero: 'a'"),
        ({"videos": with_row(0, np.inf), "normalize": np.array(True)}, "not finite: 'a'"),
        ({"video_ids": np.array(["a", "b", "a"])}, "identifiers occur more than once: 'a'"),
        ({"videos": with_row(0, 1e30), "queries": np.full((2, 4), 1e30)}, "'a' has length 2e\\+30"),
        (
            {"videos": with_row(1, 1e-30), "queries": np.full((2, 4), 1e-30)},
            "'b é' has length 2e-30",
        ),
        ({"videos": with_row(1, 1e-40)}, "inner products do not fit into float32: video 'b é'"),
        ({"videos": np.full((3, 4), np.inf, "f2")}, "3 video vectors are not finite"),
        ({"query_ids": np.array(["x"])}, "1 query identifiers, but 2 query vectors"),
        ({"query_ids": np.array([["x", "y"]])}, "query_ids must be text of shape"),
        ({"query_ids": np.array([b"x", b"y"])}, r"query_ids must be text .*\|S1"),
        ({"query_ids": np.array([1, 2])}, "query_ids must be text"),
        ({"queries": np.ones((2, 5))}, "video vectors are 4 wide and query vectors 5"),
        ({"queries": np.ones((2, 4, 1))}, r"queries must be floats .*\(2, 4, 1\)"),
        ({"queries": np.ones((2, 4), int)}, "queries must be floats of shape"),
        ({"queries": np.ones((2, 4), complex)}, "queries must be floats"),
        ({"queries": np.array("none")}, "queries must be floats"),
        ({"queries": np.ones((2, 4), bool)}, "queries must be floats .* not bool"),
        ({"videos": np.ones((3, 0)), "queries": np.ones((2, 0))}, "they are empty"),
        ({"queries": np.ones((0, 4)), "query_ids": np.array([], "<U1")}, "nothing to rank"),
        ({"normalize": np.array([True, True, False])}, "normalize must be one boolean"),
        ({"normalize": np.array(1)}, "normalize must be one boolean"),
        ({"embedded": np.array("yes")}, "embedded must be one boolean"),
        ({"selection": np.array("tets")}, "'tets'. Did you mean 'test'. Allowed: val, last, test"),
        ({"selection": np.array("")}, "selection is ''. Allowed: val"),
        ({"selection": np.array(["test"])}, r"selection must be one text; .*\(1,\)"),
        ({"selection": np.array(b"test")}, "selection must be one text"),
        ({"selection": np.array(True)}, "selection must be one text; not bool"),
        ({"checkpoint": np.array("bets")}, "checkpoint is 'bets'. Did you mean 'best'"),
        (
            {"selection": np.array("last"), "checkpoint": np.array("best")},
            "with selection 'last' there is only the last",
        ),
        ({"seed": np.array(1.5)}, "seed must be one whole number; not float64"),
        ({"seed": np.array(-1)}, "seed is -1; it must be at least 0"),
        ({"similarity": np.ones((3, 2))}, "an array 'videos'.*and either videos, queries or simil"),
        (similarity(np.ones((3, 2))) | {"normalize": np.array(True)}, "an array 'normalize'"),
        (similarity(np.ones((3, 2))) | {"video_ids": ...}, "no array video_ids"),
        (similarity(np.ones((2, 3))), r"similarity is 2 x 3, but .* 3 videos \(rows\) and 2 q"),
        (similarity(np.ones((3, 3))), "similarity is 3 x 3, but"),
        (similarity(np.ones(6)), r"similarity must be floats of shape \(V, Q\); .*\(6,\)"),
        (similarity(np.ones((3, 2), int)), "similarity must be floats"),
        (similarity(np.ones((3, 2), complex)), "similarity must be floats"),
        (similarity(np.array([["1", "2"]] * 3)), "similarity must be floats"),
        (similarity(with_cell(np.nan)), "video 'c#0' and query 'y' is nan"),
        (similarity(with_cell(-np.inf)), "query 'y' is -inf, not"),
        (similarity(with_cell(1e39)), "query 'y' is inf, not"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    path = saved(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_scores(path)
    assert str(path) in str(caught.value)


class Trap:
    """Leaves a mark where a pickle of it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


@pytest.mark.parametrize("name", ["video_ids", "videos", "normalize"])
def test_objects_are_never_unpickled(tmp_path, name):
    mark = tmp_path / "mark"
    trap = np.empty(3, object)
    trap[:] = [Trap(mark)] * 3
    path = saved(tmp_path, **{name: trap})
    with pytest.raises(DataError, match="holds Python objects, which are never read"):
        read_scores(path)
    assert not mark.exists()


def test_what_is_no_archive_is_refused(tmp_path):
    mark, file = tmp_path / "mark", tmp_path / "file.npz"
    for content in (pickle.dumps(Trap(mark)), b"", b"video_ids,videos\n", b"PK\x03\x04 nothing"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"file.npz is not an .npz file"):
            read_scores(file)
    assert not mark.exists()
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DataError, match=r"one.npy is not an .npz file"):
        read_scores(tmp_path / "one.npy")
    for absent in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_scores(absent)


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    """A shape of 2^50 rows over a few bytes, and one that is no shape."""
    path = saved(tmp_path)
    for shape in ("(1125899906842624, 4)", "(-3, 4)", "('a', 4)", "(3, 5)"):
        header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}"
        header = header.ljust(117) + "\n"
        data = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode()
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "new.npz", "w") as new:
            for name in old.namelist():
                new.writestr(name, data + bytes(48) if name == "videos.npy" else old.read(name))
        with pytest.raises(DataError, match=r"new.npz"):
            read_scores(tmp_path / "new.npz")


@settings(max_examples=60)
@given(st.integers(0, 10_000), st.integers(1, 255), st.booleans())
def test_a_damaged_file_is_refused_or_read_whole(tmp_path_factory, place, flip, cut):
    """Whatever byte is changed, or wherever it is cut, nothing but a VarkitError comes out."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays())
    content = bytearray(buffer.getvalue())
    place %= len(content)
    content[place] ^= flip
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content[:place] if cut else content)
    try:
        found = read_scores(path)
    except VarkitError:
        return
    assert len(found.scores.dense()) == len(found.video_ids)


def test_scores_of_a_program_are_checked_too():
    with pytest.raises(DataError, match="all zero: 'v'"):
        ScoreFile(("v",), ("q",), Scores(factors=(torch.zeros(1, 2), torch.ones(1, 2))))
    with pytest.raises(DataError) as caught:
        ScoreFile(("v",), ("q", "r"), Scores(matrix=torch.ones(2, 1)))
    assert caught.value.hint == "save similarity.T"


def test_a_trec_run_scores_what_it_does_not_list_below_the_rest(tmp_path):
    path = tmp_path / "other.run"
    path.write_text("x Q0 b%20é 1 7.5 me\nx Q0 a 2 -2 me\n\ny Q0 c#0 1 1e3 me\n", "utf-8")
    matrix = read_trec_run(path, ("a", "b é", "c#0"), ("x", "y")).scores.dense()
    assert matrix[:, 0].tolist()[:2] == [-2, 7.5]
    assert matrix[2, 1] == 1000
    unlisted = matrix[[2, 0, 1], [0, 1, 1]]
    assert unlisted.unique().tolist() == [np.nextafter(np.float32(-2), np.float32(-9))]
    path.write_text("x Q0 a 1 1e300 me")
    with pytest.raises(DataError, match="video 'a' and query 'x' is inf"):
        read_trec_run(path, ("a", "b"), ("x",))
    path.write_text("\n")
    with pytest.raises(DataError, match=r"other\.run lists no video"):
        read_trec_run(path, ("a",), ("x",))
