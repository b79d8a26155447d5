"""``varkit convert`` as a person calls it."""

import hashlib
import os
import pickle

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from tests.support.calls import call, failed, hint, passed, printed


def test_tensors_keep_their_numbers_and_get_dotted_names(tmp_path):
    value = {"a": {"w": torch.arange(6).reshape(2, 3).T, "n": 3}, "list": [torch.ones(2).half()]}
    torch.save(value, tmp_path / "a.pt")
    out = tmp_path / "a.safetensors"
    told = printed(call("convert", tmp_path / "a.pt", out, "--json"))
    tensors = load_file(out)
    assert told["tensors"] == 2
    assert told["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert torch.equal(tensors["a.w"], value["a"]["w"])
    assert torch.equal(tensors["list.0"], value["list"][0])
    assert "exists" in failed(call("convert", tmp_path / "a.pt", out))
    passed(call("convert", tmp_path / "a.pt", out, "--force"))


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda path: pickle.dumps(Runs(path.parent / "canary")), "not data; refused"),
        (lambda path: pickle.dumps({"a": 3}), "holds no tensors"),
        (lambda path: b"", "damaged"),
        (lambda path: pickle.dumps({"a": np.ones(99)})[:-200], "damaged"),
    ],
)
def test_what_is_not_weights_is_refused_and_leaves_nothing(make, what, tmp_path):
    source = tmp_path / "a.pt"
    source.write_bytes(make(source))
    message = failed(call("convert", source, tmp_path / "a.safetensors"))
    assert what in message
    assert str(source) in message
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_missing_file_and_a_wrong_name_are_errors(tmp_path):
    result = call("convert", tmp_path / "none.pt", tmp_path / "a.safetensors")
    assert "No such file" in failed(result)
    assert call("convert", tmp_path / "none.pt", tmp_path / "a.npy").exit_code == 2
    (tmp_path / "b.safetensors").touch()
    result = call("convert", tmp_path / "none.pt", tmp_path / "b.safetensors")
    assert "--force" in hint(result)
