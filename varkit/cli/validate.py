"""``varkit validate``: check a recipe without running it."""

from __future__ import annotations

import json

import click

EXAMPLES = """\b
Examples:
  varkit validate mine.yaml
  varkit validate alan_ucf train.epochs=3 --strict
"""


@click.command(epilog=EXAMPLES)
@click.argument("recipe")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--strict", is_flag=True, help="Refuse to take the embedded: block.")
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON on stdout.")
def validate(recipe: str, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Check a recipe: every name, key and value, and what this machine lacks to run it."""
    from varkit.errors import RecipeError
    from varkit.recipe import load_recipe

    try:
        found, _ = load_recipe(recipe, overrides, strict=strict)
    except RecipeError as error:
        if as_json:
            click.echo(json.dumps({"valid": False, "problems": error.problems}, indent=2))
        raise
    if as_json:
        outcome = {"valid": True, "embedded": found.embedded, "missing": found.missing}
        click.echo(json.dumps(outcome, indent=2))
        return
    click.echo(f"{found.path}: valid")
    if found.embedded:
        click.echo("takes its embedded block, since this is missing here:")
        for line in found.missing:
            click.echo(f"  {line}")
