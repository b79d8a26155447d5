"""Checks of what components return, so that an error names the component at fault."""

from __future__ import annotations

import inspect

from torch import Tensor

from varkit.errors import PluginError


def expect_shape(value: object, shape: tuple[int | str, ...], what: str) -> None:
    """Check that a component returned a tensor of the given shape.

    Args:
        value: what it returned.
        shape: sizes; a letter stands for any size.
        what: who returned what, e.g. ``"alignments.cls: factors"``.

    Raises:
        PluginError: it is something else.
    """
    if isinstance(value, Tensor) and value.ndim == len(shape):
        pairs = zip(value.shape, shape, strict=True)
        if all(isinstance(size, str) or size == real for real, size in pairs):
            return
    actual = f"shape {_list(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
    raise PluginError(
        f"{what} must be a tensor of shape {_list(shape)}; it is {actual}",
        hint="varkit plugin test NAME|FILE checks a component against its interface",
    )


def absent_members(component: object, protocol: type) -> list[str]:
    """Return the attributes and methods of a protocol that a component lacks."""
    functions = [name for name, value in vars(protocol).items() if inspect.isfunction(value)]
    public = [name for name in functions if name == "__call__" or not name.startswith("_")]
    members = (*protocol.__annotations__, *public)
    return [name for name in members if not hasattr(component, name)]


def _list(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
