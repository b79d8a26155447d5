"""``varkit schema``: the JSON Schema with which an editor completes and checks recipes."""

from __future__ import annotations

import json
from pathlib import Path

import click

from varkit.cli.output import echo

EXAMPLES = """\b
Examples:
  varkit schema
  varkit schema --out recipe.schema.json
"""


@click.command(epilog=EXAMPLES)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Write to a file.")
def schema(out: Path | None) -> None:
    """Print the JSON Schema of recipes, made from the installed plugins.

    An editor with a YAML language server uses it if a recipe's first line is
    "# yaml-language-server: $schema=recipe.schema.json".
    """
    from varkit.plugins.loading import load_plugins
    from varkit.recipe.editor import json_schema
    from varkit.system.files import write_text

    text = json.dumps(json_schema(load_plugins()), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        echo(text, nl=False)
    else:
        write_text(out, text)
