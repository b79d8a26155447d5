"""``varkit plugins``: what is installed, and what failed to load."""

from __future__ import annotations

import json
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from varkit.plugins import Plugins


@click.command(epilog="Example: varkit plugins --json")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
def plugins(as_json: bool) -> None:
    """List every component of every plugin, and the plugins that failed to load."""
    from varkit.plugins import load_plugins

    with redirect_stdout(sys.stderr):  # a plugin that prints at import must not spoil the JSON
        loaded = load_plugins()
    if as_json:
        click.echo(json.dumps(_listing(loaded), indent=2))
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
            "target": _target(entry.target),
        }
        for entry in loaded.registry
    ]
    failures = [{"plugin": f.plugin, "reason": f.reason} for f in loaded.failures]
    return {"schema": 1, "components": components, "failures": failures}


def _show(loaded: Plugins) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "plugin"):
        table.add_column(column, no_wrap=True)
    table.add_column("summary and class", overflow="fold")
    for entry in loaded.registry:
        # Text, since a plugin's words are no markup.
        words = Text(f"{entry.summary}\n").append(_target(entry.target), style="dim")
        plugin = f"{entry.plugin} {entry.version}"
        table.add_row(*map(Text, (entry.kind, entry.name, plugin)), words)
    Console().print(table)
    for failure in loaded.failures:
        click.secho(f"plugin {failure.plugin} failed to load: {failure.reason}", fg="red", err=True)


def _target(target: str | type) -> str:
    return target if isinstance(target, str) else f"{target.__module__}:{target.__qualname__}"
