"""The checkpoints of a folder, and whether one fits the recipe, the data and the model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn
from typing_extensions import TypedDict

from varkit.errors import CheckpointError
from varkit.interfaces import Natural
from varkit.system.records import wrong
from varkit.system.tensors import load

T = TypeVar("T")

KEPT = 2
"""How many checkpoints a training keeps unless ``train.keep`` says otherwise."""


class PositionState(TypedDict):
    """A :class:`varkit.training.loop.Position` in JSON; ``best`` is None instead of -infinity."""

    epoch: Natural
    step: Natural
    updates: Natural
    best_epoch: Natural | None
    best: float | None
    log_bytes: Natural


class TrainingState(TypedDict):
    """The state of a checkpoint from which a training goes on, beside what identifies it.

    ``optimised`` names the parameters for which the optimiser has a state.
    """

    position: PositionState
    scaler: dict[str, float]
    optimised: list[str]


class ModelState(TypedDict):
    """The state of a trained model, beside what identifies it."""

    epoch: Natural


def load_newest(folder: Path) -> tuple[Path, dict[str, Tensor], dict[str, Any]] | None:
    """Return the newest checkpoint of a folder: its file, tensors and state; None without any.

    Raises:
        CheckpointError: the newest checkpoint is damaged; an older one is never used silently.
    """
    paths = checkpoints(folder)
    if not paths:
        return None
    newest = paths[-1]
    return newest, *load(newest, hint=without(newest))


def without(path: Path) -> str:
    """Return the hint for a damaged checkpoint."""
    return f"rm {path}, then varkit resume continues from the one before it"


def checkpoints(folder: Path) -> list[Path]:
    """Return a folder's checkpoints, oldest first, since their names sort by time."""
    return sorted(p for p in folder.glob("*.safetensors") if not p.name.startswith("."))


def prune(folder: Path, keep: int) -> None:
    """Delete all but the newest ``keep`` checkpoints."""
    paths = checkpoints(folder)
    for path in paths[: max(0, len(paths) - keep)]:
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


def check_state(state: dict[str, Any], kind: type[T], where: Path | str) -> T:
    """Return a checkpoint's state as what it must be.

    Raises:
        CheckpointError: it is something else; the message names the first wrong key.
    """
    if (fault := wrong(state, kind)) is not None:
        raise CheckpointError(f"{where} is damaged, or of another version of varkit: {fault}")
    typed: T = state  # type: ignore[assignment]  # just checked
    return typed


def load_weights(model: nn.Module, tensors: dict[str, Tensor], where: str) -> None:
    """Load weights strictly.

    Raises:
        CheckpointError: tensors are missing, unexpected, or of another shape or type; the message
            lists the first of each.
    """
    check_tensors(model.state_dict(), tensors, f"the weights in {where}")
    model.load_state_dict(tensors)


def check_tensors(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], what: str) -> None:
    """Check that tensors have the names, shapes and types that a model needs.

    Raises:
        CheckpointError: they differ; the message lists the first of each kind.
    """
    both = sorted(expected.keys() & given.keys())
    shapes = [
        f"{name} is {tuple(given[name].shape)}, the model's {tuple(expected[name].shape)}"
        for name in both
        if expected[name].shape != given[name].shape
    ]
    types = [
        f"{name} is {given[name].dtype}, the model's {expected[name].dtype}"
        for name in both
        if expected[name].dtype != given[name].dtype
    ]
    problems = [
        f"{label}: {', '.join(names[:4])}{' ...' if len(names) > 4 else ''}"
        for label, names in (
            ("missing", sorted(expected.keys() - given.keys())),
            ("not in the model", sorted(given.keys() - expected.keys())),
            ("shape", shapes),
            ("type", types),
        )
        if names
    ]
    if problems:
        raise CheckpointError(f"{what} do not fit the model; {'; '.join(problems)}")


def _short(value: object) -> str:
    return f"{value:.12}" if isinstance(value, str) else str(value)
