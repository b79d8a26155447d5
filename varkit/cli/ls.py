"""``varkit ls``: the recipes and studies that ship with varkit."""

from __future__ import annotations

import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import click

EXAMPLES = """\b
Examples:
  varkit ls
  varkit ls --json
  varkit ls --studies --json
"""


@click.command(epilog=EXAMPLES)
@click.option("--studies", is_flag=True, help="List the studies alone.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
def ls(studies: bool, as_json: bool) -> None:
    """List the shipped recipes: what each is, and what this machine lacks to run it.

    Studies, which run several variants of a recipe, follow.
    """
    from varkit.recipe import shipped_recipes
    from varkit.study.study import load_study, shipped_studies

    recipes = {} if studies else shipped_recipes()
    found = [_describe(name, path) for name, path in recipes.items()]
    tables = []
    for name, path in shipped_studies().items():
        options = load_study(path).options
        tables.append(
            {"name": name, "title": options.title, "table": options.table, "path": str(path)}
        )
    if as_json:
        click.echo(json.dumps(tables if studies else found, indent=2))
        return
    for recipe in found:
        click.secho(recipe["name"], bold=True, nl=False)
        click.echo(f"  {recipe['summary']}")
        state = "with its embedded block, since missing here:" if recipe["embedded"] else "ready"
        click.echo(f"  {state if recipe['valid'] else 'cannot run here:'}")
        for line in recipe["missing"]:
            click.echo(f"    {line}")
    click.echo("\nStudies, for varkit study:" if found else "Studies, for varkit study:")
    for table in tables:
        click.secho(table["name"], bold=True, nl=False)
        click.echo(f"  {', '.join(filter(None, (table['title'], table['table'])))}")


def _describe(name: str, path: Path) -> dict[str, Any]:
    from varkit.errors import VarkitError
    from varkit.recipe import load_recipe

    described: dict[str, Any] = {"name": name, "summary": _summary(path), "path": str(path)}
    try:
        recipe, _ = load_recipe(path)
    except VarkitError as error:
        return described | {"valid": False, "embedded": False, "missing": error.what.splitlines()}
    return described | {"valid": True, "embedded": recipe.embedded, "missing": recipe.missing}


def _summary(path: Path) -> str:
    """Return the first sentence of the comment on top, behind the commands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    text = " ".join(line for line in comment if not line.startswith("varkit ")).strip()
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
