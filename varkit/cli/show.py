"""``varkit show``: a recipe as it would run, or as a run ran it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli.options import json_option, recipe_argument, strict_option
from varkit.cli.output import echo, print_json

if TYPE_CHECKING:
    from varkit.recipe.load import Recipe

EXAMPLES = """\b
Examples:
  varkit show alan_ucf
  varkit show mine.yaml train.epochs=3 --json
  varkit show runs/alan_ucf/latest
"""


@click.command(epilog=EXAMPLES)
@recipe_argument
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@strict_option
@json_option
def show(recipe: str, overrides: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Print a recipe resolved and complete, with the origin of each value.

    RECIPE is a file, a shipped recipe's name, or a run, whose recipe is printed as it ran. The
    output is itself a recipe.
    """
    resolved = _resolved(recipe, overrides, strict=strict)
    if not as_json:
        echo(resolved.to_yaml(origins=True), nl=False)
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


def _resolved(name: str, overrides: tuple[str, ...], *, strict: bool) -> Recipe:
    from varkit.recipe.load import load_recipe
    from varkit.runs.find import LATEST
    from varkit.runs.folder import open_run

    place = Path(name)
    several = len(place.parts) > 1 and place.suffix not in (".yaml", ".yml")
    if place.is_file() or not (place.is_dir() or several or name == LATEST):
        return load_recipe(name, overrides, strict=strict)[0]
    if overrides:
        raise click.UsageError(f"{name} is a run: its recipe is printed as it ran, unchanged")
    return open_run(name, accept_code=True).recipe
