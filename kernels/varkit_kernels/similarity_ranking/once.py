"""Gradients that cannot be differentiated again, and say so."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Backward = Callable[..., tuple[Tensor | None, ...]]


def differentiable_once(backward: Backward) -> Backward:
    """Decorate a backward pass: second derivatives raise, instead of being left out.

    torch's ``once_differentiable`` lets ``create_graph=True`` pass where the incoming gradient is a
    constant, as that of a loss is; a penalty on the gradients then counts for nothing, silently.
    """

    @functools.wraps(backward)
    def wrapped(ctx: Any, *incoming: Tensor) -> tuple[Tensor | None, ...]:
        with torch.no_grad():
            found = backward(ctx, *incoming)
        if not torch.is_grad_enabled():
            return found
        return tuple(
            None if x is None else _Refusal.apply(x.requires_grad_())  # type: ignore[no-untyped-call]  # torch's
            for x in found
        )

    return wrapped


class _Refusal(torch.autograd.Function):
    """The identity, whose derivative is an error."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *incoming: Tensor) -> Tensor:
        raise RuntimeError(
            "the fused losses can be differentiated once; backend='eager' has second derivatives"
        )
