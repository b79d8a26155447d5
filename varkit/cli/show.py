"""``varkit show``: a recipe as it would run."""

from __future__ import annotations

import click

from varkit.cli.options import json_option, recipe_argument, strict_option
from varkit.cli.output import print_json

EXAMPLES = """\b
Examples:
  varkit show alan_ucf
  varkit show mine.yaml train.epochs=3 --json
"""


@click.command(epilog=EXAMPLES)
@recipe_argument
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@strict_option
@json_option
def show(recipe: str, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Print a recipe resolved and complete, with the origin of each value.

    The output is itself a recipe.
    """
    from varkit.recipe.load import load_recipe

    resolved, _ = load_recipe(recipe, overrides, strict=strict)
    if not as_json:
        click.echo(resolved.to_yaml(origins=True), nl=False)
        return
    shown = {
        "name": resolved.name,
        "digest": resolved.digest(),
        "embedded": resolved.embedded,
        "missing": resolved.missing,
        "recipe": resolved.to_dict(),
        "origins": resolved.origins,
    }
    print_json(shown)
