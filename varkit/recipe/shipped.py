"""The recipes that ship with varkit, by name; no heavy import, so that completion is fast."""

from __future__ import annotations

from pathlib import Path

import varkit
from varkit.errors import RecipeError, did_you_mean

SEARCH = "search_"
"""The names of search recipes begin so."""


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that ship with varkit, by name, without search recipes."""
    return {n: file for n, file in _every().items() if not n.startswith(SEARCH)}


def search_recipes() -> dict[str, Path]:
    """Return the search recipes that ship with varkit, by name."""
    return {n: file for n, file in _every().items() if n.startswith(SEARCH)}


def _every() -> dict[str, Path]:
    package = Path(varkit.__file__).parent
    installed = package / "_recipes"
    folder = installed if installed.is_dir() else package.parent / "recipes"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def search_recipe_error(recipe: str | Path, name: str | Path) -> RecipeError:
    """Return the error for a search recipe where another is needed; ``name`` is for the hint."""
    return RecipeError(
        [f"{recipe} is a search recipe, which trains nothing"],
        hint=f"varkit index VIDEOS --with {name}",
    )


def find_recipe(path: str | Path) -> Path:
    """Return the path of a recipe, given a file or the name of a shipped recipe.

    Raises:
        RecipeError: neither exists.
    """
    shipped = shipped_recipes()
    file = Path(path)
    if file.is_file() or (file.exists() and str(path) not in shipped):
        return file
    if str(path) in search_recipes():
        raise search_recipe_error(path, str(path).removeprefix(SEARCH))
    if str(path) not in shipped:
        raise RecipeError(
            [
                f"no recipe {str(path)!r}.{did_you_mean(file.stem, shipped)} "
                f"Shipped: {', '.join(shipped) or 'none'}."
            ],
            hint="varkit ls lists the shipped recipes; for your own, give the path of a file",
        )
    file = shipped[str(path)]
    here = Path.cwd()
    return file.relative_to(here) if file.is_relative_to(here) else file
