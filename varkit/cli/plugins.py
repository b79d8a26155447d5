"""``varkit plugins``: what is installed, and what failed to load."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from varkit.cli.options import json_option
from varkit.cli.output import print_json

if TYPE_CHECKING:
    from varkit.plugins.loading import Plugins


@click.command(epilog="Example: varkit plugins --json")
@json_option
def plugins(as_json: bool) -> None:
    """List every component and verb of every plugin, and the plugins that failed to load."""
    from varkit.cli import installed_plugins

    loaded = installed_plugins(click.get_current_context())
    if as_json:
        print_json(_listing(loaded))
    else:
        _show(loaded)


def _listing(loaded: Plugins) -> dict[str, object]:
    components = [
        {
            "kind": entry.kind,
            "name": entry.name,
            "plugin": entry.plugin,
            "version": entry.version,
            "summary": entry.summary,
            "target": entry.path,
        }
        for entry in loaded.registry
    ]
    return {
        "schema": 1,
        "components": components,
        "commands": [asdict(command) for command in loaded.commands],
        "conflicts": list(_conflicts(loaded)),
        "failures": [{"plugin": f.plugin, "reason": f.reason} for f in loaded.failures],
    }


def _conflicts(loaded: Plugins) -> Iterator[str]:
    """Yield the conflicts of verb names: with varkit's own, or between plugins."""
    from varkit.cli import VERBS
    from varkit.errors import PluginError

    for name in sorted({command.name for command in loaded.commands}):
        try:
            command = loaded.command(name)
        except PluginError as error:
            yield error.what
        else:
            if command is not None and name in VERBS:
                yield f"{command.origin}: verb {name!r} is varkit's own, and cannot be replaced"


def _show(loaded: Plugins) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "plugin"):
        table.add_column(column, no_wrap=True)
    table.add_column("summary and class", overflow="fold")
    for entry in loaded.registry:
        # Text, so that rich does not read a plugin's words as markup.
        words = Text(f"{entry.summary}\n").append(entry.path, style="dim")
        plugin = f"{entry.plugin} {entry.version}"
        table.add_row(*map(Text, (entry.kind, entry.name, plugin)), words)
    for command in loaded.commands:
        words = Text(f"{command.summary}\n").append(command.target, style="dim")
        plugin = f"{command.plugin} {command.version}"
        table.add_row("verb", Text(command.name), Text(plugin), words)
    Console().print(table)
    for conflict in _conflicts(loaded):
        click.secho(conflict, fg="red", err=True)
    for failure in loaded.failures:
        click.secho(f"plugin {failure.plugin} failed to load: {failure.reason}", fg="red", err=True)
