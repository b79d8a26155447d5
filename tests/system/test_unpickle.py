"""Weights in pickles are read as PyTorch and numpy read them, and nothing else in them runs."""

import collections
import functools
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from varkit.system.inputs import InputError
from varkit.system.unpickle import read_pickled

BASE = torch.arange(24.0)
VALUES = {
    "turned": BASE.reshape(4, 6).T,
    "part": BASE[2:20:3],
    "one": torch.tensor(3.5),
    "empty": torch.zeros(0, 3),
    "parameter": torch.nn.Parameter(torch.randn(2, 3)),
    "nested": {"list": [torch.ones(2, dtype=torch.bfloat16), 3, "text", None, True, 2.5]},
    "ordered": collections.OrderedDict(a=torch.arange(3)),
    **{
        str(kind): torch.tensor([1, 0, 1]).to(kind)
        for kind in (torch.half, torch.double, torch.int8, torch.uint8, torch.int16, torch.bool)
    },
}


def expect_same(made, expected):
    if isinstance(expected, torch.Tensor):
        assert made.dtype == expected.dtype
        assert torch.equal(made, expected.detach())
    elif isinstance(expected, dict):
        assert list(made) == list(expected)
        for key, value in expected.items():
            expect_same(made[key], value)
    elif isinstance(expected, list):
        assert len(made) == len(expected)
        for one, other in zip(made, expected, strict=True):
            expect_same(one, other)
    else:
        assert made == expected
        assert type(made) is type(expected)


@pytest.mark.parametrize("archive", [True, False])
def test_pytorchs_files_are_read_as_they_were_written(archive, tmp_path):
    path = tmp_path / "a.pt"
    torch.save(VALUES, path, _use_new_zipfile_serialization=archive)
    expect_same(read_pickled(path), VALUES)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_numpys_arrays_become_tensors(protocol, tmp_path):
    random = np.random.default_rng(0)
    arrays = {
        "c": random.random((3, 4)),
        "f": np.asfortranarray(random.random((3, 4), np.float32)),
        "big": np.arange(5, dtype=">i4"),
        "half": np.ones(2, np.float16),
        "bool": np.array([True, False]),
        "scalar": np.float64(2.5),
    }
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps({"params": arrays}, protocol))
    made = read_pickled(path)["params"]
    for name in ("c", "f", "half", "bool"):
        expect_same(made[name], torch.from_numpy(np.ascontiguousarray(arrays[name])))
    assert made["big"].tolist() == [0, 1, 2, 3, 4]
    assert made["scalar"] == 2.5


class Does:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def setting(module, name, state):
    """Return a pickle that pushes a name and sets a state on it."""
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + pickle.dumps(state, 2)[2:-1] + b"b."


@pytest.mark.parametrize(
    "make",
    [
        lambda path: Does(os.system, f"touch {path}"),
        lambda path: Does(eval, f"open({str(path)!r}, 'w')"),
        lambda path: Does(exec, f"open({str(path)!r}, 'w')"),
        lambda path: Does(Path.touch, path),
        lambda path: Does(functools.partial, os.system, f"touch {path}"),
        lambda path: Does(torch.load, str(path)),
        lambda path: Does(torch.hub.load, "a/b", "c"),
        lambda path: Does(getattr, "text", "format"),
        lambda path: Does(__import__, "os"),
        lambda path: Does(np.load, str(path), None, True),
    ],
)
@pytest.mark.parametrize("how", ["pickle", "archive", "old"])
def test_what_is_not_data_is_refused_and_not_run(make, how, tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "a.pt"
    value = {"a": torch.ones(2), "b": make(canary)}
    if how == "pickle":
        path.write_bytes(pickle.dumps(make(canary)))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=how == "archive")
    with pytest.raises(InputError, match=r"names [\w.]+, which is not data; refused"):
        read_pickled(path)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "FloatStorage"),
        ("torch._utils", "_rebuild_tensor_v2"),
        ("numpy", "dtype"),
        ("_codecs", "encode"),
        ("collections", "OrderedDict"),
    ],
)
def test_no_file_changes_what_the_next_one_means(module, name, tmp_path):
    for number, state in enumerate(({"dtype": "x"}, (None, {"dtype": "x", "tensor": "y"}))):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(setting(module, name, state))
        with pytest.raises(InputError):
            read_pickled(path)
    torch.save(VALUES, tmp_path / "a.pt")
    expect_same(read_pickled(tmp_path / "a.pt"), VALUES)


def rewritten(path, change):
    """Write PyTorch's archive again with other members."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: archive.read(info) for info in archive.infolist()}
    change(members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda m: m.update({"a/data/0": b"1234"}), "another length"),
        (lambda m: m.pop("a/data/0"), "lacks its member"),
        (lambda m: m.pop("a/data.pkl"), "not one of PyTorch's"),
        (lambda m: m.update({"b/data.pkl": b"N."}), "not one of PyTorch's"),
        (lambda m: m.update({"a/byteorder": b"big"}), "byte order"),
    ],
)
def test_damaged_archives_are_refused(change, what, tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"x": torch.ones(8)}, path)
    rewritten(path, change)
    with pytest.raises(InputError, match=what):
        read_pickled(path)


def test_an_array_of_objects_is_refused(tmp_path):
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(np.array([None, {}], object)))
    with pytest.raises(InputError, match="not of numbers"):
        read_pickled(path)


def test_what_contains_itself_or_is_too_deep_is_refused(tmp_path):
    circle: list = []
    circle.append(circle)
    deep: list = []
    for _ in range(60):
        deep = [deep]
    for number, value in enumerate((circle, deep)):
        path = tmp_path / f"{number}.pkl"
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(InputError, match="levels deep"):
            read_pickled(path)


def test_what_occurs_again_and_again_is_made_once(tmp_path):
    value = [torch.ones(2).numpy()]
    for _ in range(40):
        value = [value] * 10
    path = tmp_path / "a.pkl"
    path.write_bytes(pickle.dumps(value))
    assert len(read_pickled(path)) == 10


@pytest.mark.parametrize("how", ["archive", "old", "numpy"])
def test_cut_or_flipped_files_are_errors_and_nothing_worse(how, tmp_path):
    path = tmp_path / "a.pt"
    value = {"a": torch.randn(5, 3), "b": {"c": torch.arange(4)}}
    if how == "numpy":
        path.write_bytes(pickle.dumps({"a": np.ones((3, 4)), "b": np.arange(3)}))
    else:
        torch.save(value, path, _use_new_zipfile_serialization=how == "archive")
    data, random = path.read_bytes(), np.random.default_rng(0)
    for cut in np.linspace(0, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError):
            read_pickled(path)
    for _ in range(300):
        flipped = bytearray(data)
        for at in random.integers(0, len(data), random.integers(1, 4)):
            flipped[at] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            read_pickled(path)
        except InputError:
            continue
