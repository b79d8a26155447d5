"""What a plugin can add to varkit: components of every kind, and verbs of the command line.

A plugin is a module with functions marked ``@varkit.hookimpl``. Each is named ``register_`` plus
the plural of a kind in :data:`varkit.plugins.kinds.KINDS`, and gets a ``register`` callable, which
it calls once for every component::

    from varkit import hookimpl

    @hookimpl
    def register_samplers(register):
        register("every_other", "my_plugin:EveryOther", summary="every second clip")

The target is a class, or a ``"module:Class"`` string that is imported only when a recipe uses it.
:mod:`varkit.interfaces` says what each kind of component must do. An installed plugin may also add
verbs to the command line; their target is a click command. ``data NAME`` is one of ``varkit data``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pluggy

from varkit.plugins.kinds import KINDS, Kind

if TYPE_CHECKING:
    from varkit.plugins.registry import Register, RegisterCommand

GROUP = "varkit"
hookspec = pluggy.HookspecMarker(GROUP)
hookimpl = pluggy.HookimplMarker(GROUP)


@hookspec
def register_commands(register: RegisterCommand) -> None:
    """Register verbs of the command line: ``varkit NAME`` runs the click command."""


def hooks() -> dict[str, Callable[..., None]]:
    """Return all hooks by name: one for each kind of component, and one for verbs."""
    of_kinds = {kind.hook: _hook(kind) for kind in KINDS.values()}
    return of_kinds | {"register_commands": register_commands}


def manager() -> pluggy.PluginManager:
    """Return a plugin manager with all hooks and no plugins."""
    empty = pluggy.PluginManager(GROUP)
    empty.add_hookspecs(type("Hooks", (), hooks()))
    return empty


def _hook(kind: Kind) -> Callable[[Register], None]:
    def hook(register: Register) -> None: ...

    protocol = kind.protocol.replace(":", ".")
    hook.__name__ = kind.hook
    hook.__doc__ = f"Register {kind.plural} (``{protocol}``): {kind.summary}."
    return hookspec(hook)
