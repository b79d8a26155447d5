"""Adam, the learning-rate schedule, and Adam's state as named tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from varkit.errors import RecipeError, did_you_mean
from varkit.interfaces.settings import TrainOptions
from varkit.training.checkpoint import check_tensors

ADAM = ("step", "exp_avg", "exp_avg_sq")
"""What Adam keeps of a parameter."""


def make_optimizer(model: nn.Module, options: TrainOptions) -> torch.optim.Adam:
    """Return Adam over the trainable parameters (ALAN IV-B), one group per learning-rate factor.

    A parameter gets the factor of the longest prefix in ``lr_factors`` that matches its name.

    Raises:
        RecipeError: a prefix matches no parameter.
    """
    groups: dict[float, list[nn.Parameter]] = {}
    unused = set(options.lr_factors)
    for name, parameter in trainable(model).items():
        prefixes = [p for p in options.lr_factors if f"{name}.".startswith(f"{p}.")]
        unused -= set(prefixes)
        factor = options.lr_factors[max(prefixes, key=len)] if prefixes else 1.0
        groups.setdefault(factor, []).append(parameter)
    if unused:
        keys = ", ".join(f"{prefix}: null" for prefix in sorted(unused))
        raise RecipeError(
            [f"train.lr_factors: {_unmatched(model, prefix)}" for prefix in sorted(unused)],
            hint=f"leave it out: 'train.lr_factors={{{keys}}}'",
        )
    return torch.optim.Adam(
        [
            {"params": p, "factor": factor, "lr": options.lr * factor}
            for factor, p in groups.items()
        ],
        weight_decay=options.weight_decay,
    )


def _unmatched(model: nn.Module, prefix: str) -> str:
    """Return why a prefix matches no trainable parameter."""
    modules = [name for name, _ in model.named_modules() if name]
    if prefix in modules:
        return f"all of {prefix!r} is frozen; it has no learning rate"
    return f"no trainable parameter is named {prefix!r}...{did_you_mean(prefix, modules)}"


def learning_rate(options: TrainOptions, epoch: int, progress: float) -> float:
    """Return the learning rate: linear warm-up, times ``lr_decay`` for every finished epoch.

    Args:
        options: ``lr``, ``lr_decay`` (ALAN IV-B: 5e-5, 0.95) and ``warmup_epochs``.
        epoch: from 0.
        progress: share of the epoch done after this step, in (0, 1].
    """
    warmup = min(1.0, (epoch + progress) / options.warmup_epochs) if options.warmup_epochs else 1.0
    return options.lr * warmup * options.lr_decay**epoch


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Set every group's learning rate to ``rate`` times its factor."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["factor"]


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that take a gradient, by name."""
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return the optimiser's state as tensors named ``<parameter>/<quantity>``."""
    return {
        f"{name}/{quantity}": torch.as_tensor(value)
        for name, parameter in trainable(model).items()
        for quantity, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tensors: Mapping[str, Tensor],
    optimised: Iterable[str],
    where: str,
) -> None:
    """Restore what :func:`optimizer_tensors` returned.

    Args:
        model: of the optimiser.
        optimizer: just made.
        tensors: its state.
        optimised: the parameters that have one.
        where: it is from.

    Raises:
        CheckpointError: tensors are missing, unexpected, or of another shape or type.
    """
    parameters = trainable(model)
    like = {
        f"{name}/{quantity}": torch.zeros(()) if quantity == "step" else parameters[name]
        for name in optimised
        if name in parameters
        for quantity in ADAM
    }
    check_tensors(like, tensors, f"the optimiser's tensors in {where}")
    for key, tensor in tensors.items():
        name, _, quantity = key.rpartition("/")
        parameter = parameters[name]
        # Adam keeps its step counter on the CPU, whatever the parameter's device.
        device = torch.device("cpu") if tensor.ndim == 0 else parameter.device
        optimizer.state[parameter][quantity] = tensor.to(device)
