"""What components return is looked at where it enters the core, so that a fault has a name."""

from __future__ import annotations

import inspect

from torch import Tensor

from varkit.errors import PluginError


def expect_shape(found: object, shape: tuple[int | str, ...], what: str) -> None:
    """Make sure that a component returned a tensor of a shape.

    Args:
        found: what it returned.
        shape: sizes; a letter stands for any size.
        what: who returned what, e.g. ``"alignments.cls: factors"``.

    Raises:
        PluginError: it is something else.
    """
    if isinstance(found, Tensor) and found.ndim == len(shape):
        pairs = zip(found.shape, shape, strict=True)
        if all(isinstance(size, str) or size == real for real, size in pairs):
            return
    is_ = f"shape {_list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
    raise PluginError(
        f"{what} must be a tensor of shape {_list(shape)}; it is {is_}",
        hint="varkit plugin test NAME|FILE checks a component against its interface",
    )


def absent_members(component: object, protocol: type) -> list[str]:
    """Return the attributes and methods that a protocol asks for and a component has not."""
    functions = [name for name, value in vars(protocol).items() if inspect.isfunction(value)]
    public = [name for name in functions if name == "__call__" or not name.startswith("_")]
    members = (*protocol.__annotations__, *public)
    return [name for name in members if not hasattr(component, name)]


def _list(shape: tuple[int | str, ...]) -> str:
    return f"({', '.join(map(str, shape))}{',' if len(shape) == 1 else ''})"
