"""``varkit ls``: the recipes that ship with varkit."""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

from varkit.cli.options import json_option

EXAMPLES = """\b
Examples:
  varkit ls
  varkit ls --json
"""


@click.command(epilog=EXAMPLES)
@json_option
def ls(as_json: bool) -> None:
    """List the shipped recipes: what each is, and what is missing here to run it."""
    from varkit.recipe.load import shipped_recipes

    recipes = [_describe(name, path) for name, path in shipped_recipes().items()]
    if as_json:
        click.echo(json.dumps(recipes, indent=2))
        return
    for recipe in recipes:
        click.secho(recipe["name"], bold=True, nl=False)
        click.echo(f"  {recipe['summary']}")
        state = "with its embedded block, since missing here:" if recipe["embedded"] else "ready"
        click.echo(f"  {state if recipe['valid'] else 'cannot run here:'}")
        for line in recipe["missing"]:
            click.echo(f"    {line}")


def _describe(name: str, path: Path) -> dict[str, Any]:
    from varkit.errors import VarkitError
    from varkit.recipe.load import load_recipe

    described: dict[str, Any] = {"name": name, "summary": _summary(path), "path": str(path)}
    try:
        recipe, _ = load_recipe(path)
    except VarkitError as error:
        return described | {"valid": False, "embedded": False, "missing": error.what.splitlines()}
    return described | {"valid": True, "embedded": recipe.embedded, "missing": recipe.missing}


def _summary(path: Path) -> str:
    """Return the first sentence of the recipe's first comment, without its commands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    text = " ".join(line for line in comment if not line.startswith("varkit ")).strip()
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
