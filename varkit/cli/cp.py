"""``varkit cp``: copy a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import recipe_argument
from varkit.cli.output import echo

EXAMPLES = """\b
Examples:
  varkit cp alan_ucf mine.yaml
  varkit cp alan_ucf recipes/ --force
  varkit cp search_labels mine.yaml
"""


@click.command(epilog=EXAMPLES)
@recipe_argument
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Overwrite the destination.")
def cp(recipe: str, destination: Path, force: bool) -> None:
    """Copy a recipe to a file of your own, comments included."""
    from varkit.errors import VarkitError
    from varkit.recipe.shipped import find_recipe, search_recipes
    from varkit.system.files import write_bytes
    from varkit.system.inputs import read_user_file

    search = search_recipes().get(recipe)
    source = search or find_recipe(recipe)
    target = destination / source.name if destination.is_dir() else destination
    if target.exists() and not force:
        raise VarkitError(f"{target} exists", hint="choose another name, or add --force")
    write_bytes(target, read_user_file(source))
    following = f"varkit index VIDEOS --with {target}" if search else f"varkit run {target}"
    echo(f"copied {source} to {target}; next: {following}")
