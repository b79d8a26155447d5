"""One file of tensors: round trip, damage, foreign files, a full disk."""

import errno
import os
import resource

import pytest
import torch

from varkit.errors import CheckpointError, RunError
from varkit.system.tensors import load, save

TENSORS = {
    "weight": torch.arange(12.0).reshape(3, 4).T,  # not contiguous
    "half": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
    "count": torch.tensor(7),
    "none": torch.empty(0, 3),
}
STATE = {"epoch": 3, "best": None, "name": "ä"}


@pytest.fixture
def path(tmp_path):
    where = tmp_path / "a.safetensors"
    save(where, TENSORS, STATE)
    return where


def test_round_trip(path):
    tensors, state = load(path)
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, TENSORS[name])


def test_every_flipped_bit_is_noticed(path):
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="safetensors"):
            load(path)


def test_truncation_anywhere_is_noticed(path):
    data = path.read_bytes()
    for length in range(0, len(data), 11):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="cannot be read"):
            load(path)


def test_a_missing_or_foreign_file_is_refused(path, tmp_path):
    from safetensors.torch import save_file

    with pytest.raises(CheckpointError, match="no checkpoint"):
        load(tmp_path / "absent.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="format is 'not given'"):
        load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_keeps_the_old_checkpoint(path, monkeypatch, code):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=os.strerror(code)):
        save(path, {"other": torch.zeros(3)}, {})
    monkeypatch.undo()
    assert load(path)[1] == STATE
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


def test_the_system_refuses_to_write_more(tmp_path):
    path = tmp_path / "a.safetensors"
    save(path, TENSORS, STATE)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(RunError, match="cannot write"):
            save(path, TENSORS, {"more": "x" * 200})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]
