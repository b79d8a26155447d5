"""The checkpoints of a folder, and whether one fits the recipe, the data and the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import Tensor, nn

from varkit.errors import CheckpointError
from varkit.system.tensors import load


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
