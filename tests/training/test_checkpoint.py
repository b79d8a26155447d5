"""One-file checkpoints: round trip, damage, foreign files, a full disk."""

import errno
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from varkit.errors import CheckpointError, RunError
from varkit.training import checkpoint

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
    checkpoint.save(where, TENSORS, STATE)
    return where


def test_round_trip(path):
    tensors, state = checkpoint.load(path)
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in tensors.items():
        assert tensor.dtype == TENSORS[name].dtype
        assert torch.equal(tensor, TENSORS[name])


def test_every_flipped_bit_and_truncation_anywhere_are_noticed(path):
    data = path.read_bytes()
    for place in range(0, len(data), 7):
        flipped = bytearray(data)
        flipped[place] ^= 1 << (place % 8)
        path.write_bytes(flipped)
        with pytest.raises(CheckpointError, match="safetensors"):
            checkpoint.load(path)
    for length in range(0, len(data), 11):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match="cannot be read"):
            checkpoint.load(path)


def test_a_missing_or_foreign_file_is_refused(path, tmp_path):
    with pytest.raises(CheckpointError, match="no checkpoint"):
        checkpoint.load(tmp_path / "absent.safetensors")
    save_file({"a": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match="format is 'not given'"):
        checkpoint.load(tmp_path / "other.safetensors")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EIO])
def test_a_full_disk_keeps_the_old_checkpoint(path, monkeypatch, code):
    def fail(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(RunError, match=os.strerror(code)):
        checkpoint.save(path, {"other": torch.zeros(3)}, {})
    monkeypatch.undo()
    assert checkpoint.load(path)[1] == STATE
    assert [p.name for p in path.parent.iterdir()] == ["a.safetensors"]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_disk_that_really_is_full(tmp_path, monkeypatch):
    # save_file writes to the device that always answers ENOSPC.
    monkeypatch.setattr(Path, "with_name", lambda *_: Path("/dev/full"))
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)
    with pytest.raises(RunError, match="cannot write"):
        checkpoint.save(tmp_path / "a.safetensors", TENSORS, STATE)


def test_prune_keeps_the_newest(tmp_path):
    for update in range(4):
        checkpoint.save(tmp_path / f"{update:03d}.safetensors", TENSORS, {"update": update})
    checkpoint.prune(tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["002.safetensors", "003.safetensors"]
    assert checkpoint.load_newest(tmp_path)[1] == {"update": 3}
    assert checkpoint.load_newest(tmp_path / "nothing") is None


def test_weights_load_strictly():
    model = nn.Linear(3, 2)
    good = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    checkpoint.load_weights(model, good, "here")
    with pytest.raises(CheckpointError, match="here do not fit the model; missing: bias"):
        checkpoint.load_weights(model, {"weight": good["weight"]}, "here")
    with pytest.raises(CheckpointError, match="not in the model: extra"):
        checkpoint.load_weights(model, {**good, "extra": torch.zeros(1)}, "here")
    with pytest.raises(CheckpointError, match=r"weight is \(2, 4\), the model's \(2, 3\)"):
        checkpoint.load_weights(model, {**good, "weight": torch.zeros(2, 4)}, "here")


def test_another_recipes_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match="another recipe: a, not b"):
        checkpoint.check_identity({"recipe": "a"}, {"recipe": "b"}, "runs/x")
