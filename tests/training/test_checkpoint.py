"""The checkpoints of a folder: the newest few are kept, and only what fits is loaded."""

import pytest
import torch
from torch import nn

from varkit.errors import CheckpointError
from varkit.system.tensors import save
from varkit.training import checkpoint


def test_prune_keeps_the_newest(tmp_path):
    for update in range(4):
        save(tmp_path / f"{update:03d}.safetensors", {}, {"update": update})
    checkpoint.prune(tmp_path, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["002.safetensors", "003.safetensors"]
    assert checkpoint.load_newest(tmp_path)[2] == {"update": 3}
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
    with pytest.raises(CheckpointError, match=r"bias is torch.int64, the model's torch.float32"):
        checkpoint.load_weights(model, {**good, "bias": torch.zeros(2, dtype=torch.int64)}, "here")


def test_another_recipes_checkpoint_is_refused():
    with pytest.raises(CheckpointError, match="another recipe: a, not b"):
        checkpoint.check_identity({"recipe": "a"}, {"recipe": "b"}, "runs/x")
