"""Puts weights from files into networks, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load
from torch import Tensor, nn

from varkit.errors import CheckpointError
from varkit.system.files import sha256
from varkit.system.inputs import read_user_file, reading
from varkit.system.unpickle import read_pickled
from varkit.system.weights import flat


def in_package(package: str, place: str) -> Path | None:
    """Return a file or folder of an installed package, which is not imported, or None.

    Args:
        package: its name in Python.
        place: below the package's folder.
    """
    found = find_spec(package)
    roots = (found and found.submodule_search_locations) or ()
    places = [Path(root) / place for root in roots]
    return next((each for each in places if each.exists()), None)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of ``.safetensors``, or of PyTorch's ``.pt`` or ``.pth``, by their names.

    Raises:
        CheckpointError: the file is missing or damaged, or holds anything that is not data.
    """
    with reading(path, CheckpointError):
        if path.suffix == ".safetensors":
            tensors: dict[str, Tensor] = load(read_user_file(path))
            return tensors
        return dict(flat(read_pickled(path)))


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        CheckpointError: it cannot be read.
    """
    with reading(path, CheckpointError):
        return sha256(path)


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Make tensors the weights of a convolutional network, which is not trained.

    Args:
        network: its own tensors give names and shapes; they may be on the meta device.
        state: name -> tensor.
        path: of their file, for messages.

    Raises:
        CheckpointError: a tensor is missing, one too many, or of another shape; three are named.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    faults = [f"lacks {name} {shape}" for name, shape in wanted.items() if name not in given]
    for name, shape in sorted(given.items()):
        if name not in wanted:
            faults.append(f"has {name} {shape}, which is not part of it")
        elif wanted[name] != shape:
            faults.append(f"has {name} {shape} instead of {wanted[name]}")
    if faults:
        more = f"; and {len(faults) - 3} more faults" if len(faults) > 3 else ""
        kind = type(network).__module__.rpartition(".")[2]
        raise CheckpointError(f"{path} does not fit {kind}: it {'; '.join(faults[:3])}{more}")
    singles = {
        name: (tensor.float() if tensor.is_floating_point() else tensor).contiguous()
        for name, tensor in state.items()
    }
    network.load_state_dict(singles, assign=True)
    network.requires_grad_(False)


def random_weights(network: nn.Module) -> dict[str, Tensor]:
    """Return weights that keep the size of what passes through, always the same."""
    chance, made = torch.Generator().manual_seed(0), {}
    for name, tensor in network.state_dict().items():
        spread = (2 / tensor[0].numel()) ** 0.5 if tensor.ndim > 1 else 0.1
        made[name] = spread * torch.randn(tensor.shape, generator=chance)
    return made
