"""``varkit plugins``: what is installed, what failed to load, and all about one component."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from varkit.cli import completion
from varkit.cli.options import json_option
from varkit.cli.output import echo, print_json

if TYPE_CHECKING:
    from varkit.plugins.loading import Plugins
    from varkit.plugins.registry import Entry

EXAMPLES = """\b
Examples:
  varkit plugins
  varkit plugins two_stream
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", required=False, shell_complete=completion.components)
@json_option
def plugins(name: str | None, as_json: bool) -> None:
    """List every component and verb of every plugin, and the plugins that failed to load.

    With NAME, show the options of the components of that name, and the parts of a representation
    that they give, or ask for.
    """
    from varkit.cli import installed_plugins

    loaded = installed_plugins(click.get_current_context())
    if name is not None:
        details = [_details(entry) for entry in loaded.components_named(name)]
        if as_json:
            print_json({"schema": 1, "components": details})
        else:
            for each in details:
                _show_details(each)
    elif as_json:
        print_json(_listing(loaded))
    else:
        _show(loaded)


def _listing(loaded: Plugins) -> dict[str, object]:
    return {
        "schema": 1,
        "components": [_facts(entry) for entry in loaded.registry],
        "commands": [asdict(command) for command in loaded.commands],
        "conflicts": list(_conflicts(loaded)),
        "failures": [asdict(failure) for failure in loaded.failures],
    }


def _facts(entry: Entry) -> dict[str, Any]:
    return {
        "kind": entry.kind,
        "name": entry.name,
        "plugin": entry.plugin,
        "version": entry.version,
        "summary": entry.summary,
        "target": entry.path,
    }


def _conflicts(loaded: Plugins) -> Iterator[str]:
    """Yield the conflicts of plugins' verbs with varkit's own."""
    from varkit.cli import VERBS
    from varkit.cli.data import data

    own = {*VERBS, *(f"data {verb}" for verb in data.commands)}
    for command in loaded.commands:
        if command.name in own:
            yield f"{command.origin}: verb {command.name!r} is varkit's own, and cannot be replaced"


def _show(loaded: Plugins) -> None:
    from varkit.cli.terminal import print_table
    from varkit.runs.report.tables import Table

    rows = tuple(
        (each.kind, each.name, f"{each.plugin} {each.version}", each.summary)
        for each in (*loaded.registry, *loaded.commands)
    )
    print_table(Table(("kind", "name", "plugin", "summary"), rows, words=4))
    for conflict in _conflicts(loaded):
        echo(conflict, fg="red", err=True)
    for failure in loaded.failures:
        echo(f"plugin {failure.plugin} failed to load: {failure.reason}", fg="red", err=True)


def _details(entry: Entry) -> dict[str, Any]:
    """Return all about a component; where it cannot be tried here, say why."""
    from varkit.errors import PluginError
    from varkit.plugins.kinds import KINDS
    from varkit.recipe.descriptions import describe, plain
    from varkit.recipe.options import options_of
    from varkit.testing.parts import parts_of

    details = _facts(entry) | {"sections": [slot.section for slot in KINDS[entry.kind].slots]}
    try:
        with entry.contained():
            cls = entry.load()
            details["options"] = [
                {
                    "name": option.name,
                    "allowed": describe(option.annotation),
                    "required": option.required,
                    "default": None if option.required else option.plain_default(),
                    "meaning": plain(option.doc),
                }
                for option in options_of(cls).values()
            ]
            details["parts"] = [asdict(part) for part in parts_of(entry.kind, cls)]
    except PluginError as error:
        details["fault"] = error.what
    return details


def _show_details(details: dict[str, Any]) -> None:
    import json

    from varkit.cli.terminal import print_table, print_text
    from varkit.runs.report.tables import Table

    echo(f"{details['kind']} {details['name']}", bold=True)
    print_text(details["summary"])
    echo(f"plugin {details['plugin']} {details['version']}, {details['target']}")
    if details["sections"]:
        echo(f"in a recipe: {', '.join(details['sections'])}")
    rows = tuple(
        (
            option["name"],
            "required" if option["required"] else json.dumps(option["default"]),
            option["allowed"],
            option["meaning"],
        )
        for option in details.get("options", ())
    )
    if rows:
        echo()
        print_table(Table(("option", "default", "value", "meaning"), rows, words=4))
    for side, title in (
        (None, "gives"),
        ("video", "asks videos for"),
        ("query", "asks queries for"),
    ):
        parts = [part for part in details.get("parts", ()) if part["side"] == side]
        if parts:
            echo()
            print_table(
                Table((title, "shape"), tuple((p["name"], p["shape"]) for p in parts), words=2)
            )
    if "fault" in details:
        echo(details["fault"], fg="red", err=True)
    echo()
