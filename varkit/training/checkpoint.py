"""Checkpoints: safetensors files with a hash of their content, written atomically.

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
from torch import Tensor, nn

from varkit.errors import CheckpointError
from varkit.system.files import replacing

FORMAT = "varkit-1"


def save(path: Path, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
    """Write a checkpoint atomically.

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


def load(path: Path, *, hint: str | None = None) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a checkpoint: its tensors, on the CPU, and its state.

    Args:
        path: the file.
        hint: what to do if it is damaged.

    Raises:
        CheckpointError: the file is missing, truncated, changed, or not a varkit checkpoint.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            # Copied out of the mapped file, so that later changes of the file have no effect.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise CheckpointError(f"no checkpoint {path}") from None
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"checkpoint {path} cannot be read: {error}", hint=hint) from error
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
    return tensors, json.loads(text)


def load_newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Read the newest checkpoint of a folder, or return None if there are none.

    Raises:
        CheckpointError: the newest checkpoint is damaged; an older one is never used silently.
    """
    paths = checkpoints(folder)
    if not paths:
        return None
    newest = paths[-1]
    return load(newest, hint=f"rm {newest}, then varkit resume continues from the one before it")


def checkpoints(folder: Path) -> list[Path]:
    """Return a folder's checkpoints, oldest first, since their names sort by time."""
    return sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints."""
    for path in checkpoints(folder)[:-keep]:
        path.unlink(missing_ok=True)


def check_identity(state: dict[str, Any], expected: dict[str, Any], where: Path | str) -> None:
    """Refuse a checkpoint of another recipe, data set or seed.

    Raises:
        CheckpointError: one of these differs; the message says which.
    """
    for key, value in expected.items():
        if state.get(key) != value:
            raise CheckpointError(
                f"the checkpoint in {where} belongs to another {key}: "
                f"{_short(state.get(key))}, not {_short(value)}",
                hint="start a new run with varkit run",
            )


def load_weights(model: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: tensors are missing, unexpected or of another shape; the message lists
            the first of each.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - tensors.keys())
    extra = sorted(tensors.keys() - own.keys())
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, the model's {tuple(own[name].shape)}"
        for name in sorted(own.keys() & tensors.keys())
        if own[name].shape != tensors[name].shape
    ]
    problems = [
        f"{label}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        for label, names in (("missing", missing), ("not in the model", extra), ("shape", shapes))
        if names
    ]
    if problems:
        raise CheckpointError(f"the weights in {where} do not fit the model; {'; '.join(problems)}")
    model.load_state_dict(tensors)


def _short(value: object) -> str:
    return f"{value:.12}" if isinstance(value, str) else str(value)


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
