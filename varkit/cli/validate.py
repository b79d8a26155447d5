"""``varkit validate``: check a recipe without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from varkit.cli.options import json_option, recipe_argument, strict_option
from varkit.cli.output import print_json

if TYPE_CHECKING:
    from varkit.plugins.loading import Plugins
    from varkit.recipe.load import Recipe

EXAMPLES = """\b
Examples:
  varkit validate mine.yaml
  varkit validate alan_ucf train.epochs=3 --strict
  varkit validate mine.yaml --build
"""


@click.command(epilog=EXAMPLES)
@recipe_argument
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@strict_option
@click.option("--build", is_flag=True, help="Also open its data and build its model.")
@json_option
def validate(
    recipe: str, overrides: tuple[str, ...], strict: bool, build: bool, as_json: bool
) -> None:
    """Check a recipe: every name, key and value, and what is missing here to run it.

    --build also finds parts that do not fit together, such as heads that do not divide a width.
    """
    from varkit.errors import RecipeError
    from varkit.recipe.load import load_recipe

    try:
        resolved, plugins = load_recipe(recipe, overrides, strict=strict)
        if build:
            _build(resolved, plugins)
    except RecipeError as error:
        if as_json:
            print_json({"valid": False, "problems": error.problems})
        raise
    if as_json:
        outcome = {"valid": True, "embedded": resolved.embedded, "missing": resolved.missing}
        print_json(outcome)
        return
    click.echo(f"{resolved.path}: valid" + ", and its model can be built" * build)
    if resolved.embedded:
        click.echo("uses its embedded block, since this is missing here:")
        for line in resolved.missing:
            click.echo(f"  {line}")


def _build(recipe: Recipe, plugins: Plugins) -> None:
    from varkit.model.build import build_dataset, build_model
    from varkit.runs.captions import read_captions

    dataset = build_dataset(recipe, plugins)
    read_captions(build_model(recipe, plugins, dataset).query, dataset)
