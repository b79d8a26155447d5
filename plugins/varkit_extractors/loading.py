"""Puts weights from files into networks, all of them or none."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn

from varkit.errors import DataError
from varkit.system.files import sha256
from varkit.system.inputs import check_user_file, reading


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by their names.

    Raises:
        DataError: the file is missing or damaged.
    """
    with reading(path):
        check_user_file(path)
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def hashed(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        DataError: it cannot be read.
    """
    with reading(path):
        return sha256(path)


def fill(network: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Make a file's tensors the weights of a convolutional network, which is not trained.

    Args:
        network: its own tensors give names and shapes; they may be on the meta device.
        state: name -> tensor.
        path: of the file, for messages.

    Raises:
        DataError: a tensor is missing, one too many, or of another shape; the first are named.
    """
    wanted = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    faults = []
    for name in sorted(wanted.keys() | given.keys()):
        if name not in given:
            faults.append(f"lacks {name} {wanted[name]}")
        elif name not in wanted:
            faults.append(f"has {name} {given[name]}, which is not part of it")
        elif wanted[name] != given[name]:
            faults.append(f"has {name} {given[name]} instead of {wanted[name]}")
    if faults:
        more = f"; and {len(faults) - 3} more faults" if len(faults) > 3 else ""
        kind = type(network).__module__.rpartition(".")[2]
        raise DataError(f"{path} does not fit {kind}: it {'; '.join(faults[:3])}{more}")
    network.load_state_dict({name: tensor.float() for name, tensor in state.items()}, assign=True)
    network.requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # a fifth faster
