"""Imports one plugin and collects what it registers, validated."""

from __future__ import annotations

from collections.abc import Callable

from varkit.plugins import hookspecs
from varkit.plugins.isolation import contained
from varkit.plugins.kinds import KINDS
from varkit.plugins.registry import Command, Entry, Register

Registration = tuple[Entry | Command, ...]
"""All that one plugin registers."""


def registration(
    plugin: str, version: str, load: Callable[[], object], module: str
) -> Registration:
    """Import a plugin and call its hooks.

    Args:
        plugin: its name.
        version: of its distribution, or ``"file"``.
        load: imports it.
        module: which module that is, for messages.

    Raises:
        PluginError: the plugin raised something, or registers something that cannot be right.
    """
    made: list[Entry | Command] = []

    def collector(kind: str) -> Register:
        def register(name: str, target: str | type, *, summary: str) -> None:
            made.append(Entry(kind, name, target, plugin, version, summary))

        return register

    def register_command(name: str, target: str, *, summary: str) -> None:
        made.append(Command(name, target, plugin, version, summary))

    with contained(module=module):
        manager = hookspecs.manager()
        manager.register(load(), name=plugin)
        manager.check_pending()
        for kind in KINDS.values():
            getattr(manager.hook, kind.hook)(register=collector(kind.name))
        manager.hook.register_commands(register=register_command)
    return tuple(made)
