"""``varkit ls``: the recipes that ship with varkit."""

from __future__ import annotations

import re
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from varkit.cli.options import json_option
from varkit.cli.output import print_json

if TYPE_CHECKING:
    from varkit.cli.missing import Readiness

EXAMPLES = """\b
Examples:
  varkit ls
  varkit ls --json
"""


@click.command(epilog=EXAMPLES)
@json_option
def ls(as_json: bool) -> None:
    """List the shipped recipes: what each is, and what is missing here to run it.

    A search recipe trains nothing: varkit index uses it.
    """
    from varkit.cli.missing import causes, readiness, search_readiness
    from varkit.cli.output import echo
    from varkit.cli.terminal import print_table, print_text
    from varkit.runs.report.tables import Table

    trained, searches = readiness(), search_readiness()
    recipes = trained | searches
    about = {name: _summary(recipe.path) for name, recipe in recipes.items()}
    if as_json:
        print_json(
            [
                {**_describe(name, about[name], recipe), "search": name in searches}
                for name, recipe in recipes.items()
            ]
        )
        return
    for head, listed in (("recipe", trained), ("search recipe", searches)):
        rows = ((name, _state(recipe), about[name]) for name, recipe in listed.items())
        print_table(Table((head, "here", "what"), tuple(rows), words=3))
        echo()
    for cause in causes(recipes):
        print_text(f"missing: {cause.what}")
        for what, names in (("embedded", cause.embedded), ("cannot run", cause.stopped)):
            if names:
                print_text(f"  {what}: {', '.join(names)}", indent=4)
        echo()
    if any(recipe.embedded for recipe in recipes.values()):
        print_text(
            "embedded: the recipe's embedded: block stands in for what is missing. It is not the "
            "benchmark, and every result says so."
        )


def _state(recipe: Readiness) -> str:
    return "embedded" if recipe.embedded else "ready" if recipe.valid else "cannot run"


def _describe(name: str, summary: str, recipe: Readiness) -> dict[str, Any]:
    return {
        "name": name,
        "summary": summary,
        "path": str(recipe.path),
        "valid": recipe.valid,
        "embedded": recipe.embedded,
        "missing": recipe.missing,
    }


def _summary(path: Path) -> str:
    """Return the first sentence of the recipe's first comment, without its commands."""
    lines = path.read_text(encoding="utf-8").splitlines()
    comment = [line.lstrip("# ") for line in takewhile(lambda line: line.startswith("#"), lines)]
    text = " ".join(line for line in comment if not line.startswith("varkit ")).strip()
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]
