"""What a plugin can add to varkit: components of every kind, and verbs of the command line.

A plugin is a module with functions marked ``@varkit.hookimpl`` and named ``register_`` and the
plural of a kind in :data:`varkit.plugins.kinds.KINDS`. Each is handed a ``register`` callable, to
be called once for every component::

    from varkit import hookimpl

    @hookimpl
    def register_samplers(register):
        register("every_other", "my_plugin:EveryOther", summary="every second clip")

The target is a ``"module:Class"`` string, imported only when a recipe asks for it, or the class.
What each kind of component must do is said in :mod:`varkit.interfaces`. A plugin that is installed
may add verbs to the command line too; their target is a click command.
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
    """Return all hooks by name: one for each kind of component, and that of verbs."""
    of_kinds = {kind.hook: _hook(kind) for kind in KINDS.values()}
    return of_kinds | {"register_commands": register_commands}


def manager() -> pluggy.PluginManager:
    """Return a manager that knows all hooks and no plugin."""
    made = pluggy.PluginManager(GROUP)
    made.add_hookspecs(type("Hooks", (), {**hooks()}))
    return made


def _hook(kind: Kind) -> Callable[[Register], None]:
    def hook(register: Register) -> None: ...

    protocol = kind.protocol.replace(":", ".")
    hook.__name__ = kind.hook
    hook.__doc__ = f"Register {kind.plural} (``{protocol}``): {kind.summary}."
    return hookspec(hook)
