"""Files of embeddings: read back as written, and everything hostile named."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from varkit.errors import DataError, VarkitError
from varkit.search.vectors import Embeddings, read_embeddings, write_embeddings


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


@pytest.mark.parametrize("dtype", ["<f2", "<f4", ">f8"])
def test_what_is_written_is_read(tmp_path, dtype):
    given = arrays()
    found = read_embeddings(saved(tmp_path, videos=given["videos"].astype(dtype)))
    assert found.video_ids == ("a", "b é", "c#0")
    np.testing.assert_array_equal(found.videos, given["videos"].astype(dtype).astype("f4"))
    assert not found.simulated
    write_embeddings(tmp_path / "again.npz", found)
    again = read_embeddings(tmp_path / "again.npz")
    for name in ("videos", "queries"):
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (again.video_ids, again.query_ids) == (found.video_ids, found.query_ids)


@pytest.mark.parametrize(
    "mark", [{}, {"simulated": True}, {"embedded": True}, {"selection": "test"}]
)
def test_marks_stay(tmp_path, mark):
    wanted = {"simulated": False, "embedded": False, "selection": "unknown"} | mark
    found = read_embeddings(
        saved(tmp_path, **{name: np.array(value) for name, value in mark.items()})
    )
    write_embeddings(tmp_path / "again.npz", found)
    for each in (found, read_embeddings(tmp_path / "again.npz")):
        assert {name: getattr(each, name) for name in wanted} == wanted


def test_normalize_makes_the_inner_product_a_cosine(tmp_path):
    large = np.array([[3e38, 3e38, 0, 0], [1e-38, 0, 0, 1e-38], [1, 2, 3, 4]], np.float32)
    found = read_embeddings(saved(tmp_path, videos=large, normalize=np.array(True)))
    half = 0.5**0.5
    np.testing.assert_allclose(found.videos[0], [half, half, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(found.videos[1], [half, 0, 0, half], rtol=1e-6)
    for rows in (found.videos, found.queries):
        np.testing.assert_allclose((rows.astype("f8") ** 2).sum(1), 1, rtol=1e-6)


def test_vectors_come_in_the_order_of_the_split(tmp_path):
    found = read_embeddings(saved(tmp_path))
    video, query = found.of(["c#0", "a", "b é"], ["y", "x"])
    np.testing.assert_array_equal(video, found.videos[[2, 0, 1]])
    np.testing.assert_array_equal(query, found.queries[[1, 0]])


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
        read_embeddings(saved(tmp_path)).of(videos, queries)


def with_row(row, value):
    videos = arrays()["videos"].astype(np.float64)
    videos[row] = value
    return videos


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
        ({"video_ids": np.array(["a", "b", "a"])}, "identifiers occur more than once: 'a'"),
        ({"query_ids": np.array(["x"])}, "1 query identifiers, but 2 query vectors"),
        ({"query_ids": np.array([["x", "y"]])}, "query_ids must be text of shape"),
        ({"query_ids": np.array([b"x", b"y"])}, r"query_ids must be text .*\|S1"),
        ({"query_ids": np.array([1, 2])}, "query_ids must be text"),
        ({"queries": np.ones((2, 5))}, "video vectors are 4 wide and query vectors 5"),
        ({"queries": np.ones((2, 4, 1))}, r"queries must be floats .*\(2, 4, 1\)"),
        ({"queries": np.ones((2, 4), int)}, "queries must be floats of shape"),
        ({"queries": np.ones((2, 4), complex)}, "queries must be floats"),
        ({"queries": np.array("none")}, "queries must be floats"),
        ({"videos": np.ones((3, 0)), "queries": np.ones((2, 0))}, "nothing to rank"),
        ({"queries": np.ones((0, 4)), "query_ids": np.array([], "<U1")}, "nothing to rank"),
        ({"normalize": np.array([True, True, False])}, "normalize must be one boolean"),
        ({"normalize": np.array(1)}, "normalize must be one boolean"),
        ({"embedded": np.array("yes")}, "embedded must be one boolean"),
        ({"selection": np.array("tets")}, "'tets'. Did you mean 'test'. Allowed: val, last, test"),
        ({"selection": np.array("")}, "selection is ''. Allowed: val"),
        ({"selection": np.array(["test"])}, r"selection must be one text; .*\(1,\)"),
        ({"selection": np.array(b"test")}, "selection must be one text"),
        ({"selection": np.array(True)}, "selection must be one text; not bool"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, changes, message):
    path = saved(tmp_path, **changes)
    with pytest.raises(DataError, match=message) as caught:
        read_embeddings(path)
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
        read_embeddings(path)
    assert not mark.exists()


def test_what_is_no_archive_is_refused(tmp_path):
    mark, file = tmp_path / "mark", tmp_path / "file.npz"
    for content in (pickle.dumps(Trap(mark)), b"", b"video_ids,videos\n", b"PK\x03\x04 nothing"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"file.npz is not an .npz file"):
            read_embeddings(file)
    assert not mark.exists()
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(DataError, match=r"one.npy is not an .npz file"):
        read_embeddings(tmp_path / "one.npy")
    for absent in (tmp_path / "absent.npz", tmp_path):
        with pytest.raises(DataError, match="cannot be read"):
            read_embeddings(absent)


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
            read_embeddings(tmp_path / "new.npz")


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
        found = read_embeddings(path)
    except VarkitError:
        return
    assert len(found.videos) == len(found.video_ids)


def test_embeddings_of_a_program_are_checked_too():
    with pytest.raises(DataError, match="all zero: 'v'"):
        Embeddings(("v",), np.zeros((1, 2), "f4"), ("q",), np.ones((1, 2), "f4"))
