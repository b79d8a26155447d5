"""Files of tensors: safetensors with a hash of their content, written atomically.

The header has a JSON state and a SHA-256 over tensors and state. safetensors rejects a truncated
file but loads one with a flipped bit; the hash detects both. Pickle is not used.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from varkit.errors import CheckpointError
from varkit.system.files import replacing
from varkit.system.inputs import check_user_file, reason

FORMAT = "varkit-1"


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write tensors and their state atomically.

    Args:
        path: its folder is created.
        tensors: name -> tensor; copied to the CPU.
        state: JSON values.

    Raises:
        WriteError: the disk is full or not writable; an older file at ``path`` is untouched.
    """
    copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    text = json.dumps(state, sort_keys=True)
    metadata = {"format": FORMAT, "state": text, "sha256": _digest(copies, text)}
    with replacing(path, sum(tensor.nbytes for tensor in copies.values())) as part:
        try:
            save_file(copies, part, metadata)
        except SafetensorError as error:
            raise _os_error(error) from error


def load(
    path: Path, *, mapped: bool = False, hint: str | None = None
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file: its tensors, on the CPU, and its state.

    Args:
        path: the file.
        mapped: leave the numbers in the file; the system reads them when they are used. Otherwise
            they are copied, so that later changes of the file have no effect.
        hint: what to do if it is damaged.

    Raises:
        CheckpointError: the file is missing, truncated, changed, or not a varkit checkpoint.
    """
    try:
        check_user_file(path)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if not mapped:
                tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except Exception as error:
        raise CheckpointError(
            f"checkpoint {path} cannot be read: {reason(error)}", hint=hint
        ) from error
    if metadata.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not a checkpoint of this version of varkit: its format is "
            f"{metadata.get('format', 'not given')!r}, not {FORMAT!r}"
        )
    text = metadata.get("state", "")
    if _digest(tensors, text) != metadata.get("sha256"):
        raise CheckpointError(
            f"checkpoint {path} has changed since it was written (SHA-256 differs)", hint=hint
        )
    try:
        state = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"checkpoint {path}: its state is damaged: {error}") from error
    if not isinstance(state, dict):
        raise CheckpointError(f"checkpoint {path}: its state is {type(state).__name__}, not a dict")
    return tensors, state


def _digest(tensors: Mapping[str, Tensor], state: str) -> str:
    digest = hashlib.sha256(state.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _os_error(error: SafetensorError) -> OSError:
    # safetensors turns the system's error into text; a full disk needs its own message.
    text = str(error)
    full = "No space" in text or "StorageFull" in text
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) if full else OSError(errno.EIO, text)
