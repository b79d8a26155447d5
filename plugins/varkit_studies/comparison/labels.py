"""Names runs by what differs between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from varkit.errors import VarkitError
from varkit.recipe import yaml
from varkit.recipe.layers import dotted
from varkit.recipe.yaml import KeyPath
from varkit.runs.folder import Facts
from varkit.runs.report.tables import plain
from varkit.system.records import read_json

MOST = 3
"""Most options in a label; where more differ, it ends in three dots."""

Options = Mapping[KeyPath, Sequence[str]]
"""Path of an option -> its value in each run, as text."""


def labels(folders: Sequence[Path]) -> list[str]:
    """Return a name for each run, in a few words.

    That is its recipe, if there are several; the options that differ between runs of one recipe;
    and a letter, where these are equal.

    Raises:
        RunError: a folder is not a run.
    """
    recipes = [plain(read_json(folder / "run.json", Facts)["recipe"]) for folder in folders]
    several = len(set(recipes)) > 1
    names = [""] * len(folders)
    for recipe in set(recipes):
        rows = [row for row, name in enumerate(recipes) if name == recipe]
        described = _described([_recipe(folders[row]) for row in rows])
        for row, options in zip(rows, described, strict=True):
            alone = several or len(folders) == 1
            names[row] = " ".join(filter(None, (recipe if alone else "", options)))
    return [
        name if names.count(name) == 1 else f"{name} ({letter})" if name else letter
        for name, letter in zip(names, ascii_uppercase, strict=False)
    ]


def _recipe(folder: Path) -> Any:
    """Return a run's recipe as plain values; empty if it has none, as a fusion of runs."""
    try:
        return yaml.load(folder / "recipe.yaml").value
    except VarkitError:
        return {}


def _described(recipes: Sequence[Any]) -> list[str]:
    """Return for each recipe the options in which they differ."""
    every: set[KeyPath] = set()
    options = _differing(recipes, (), every)
    options.pop(("plugins",), None)
    chosen = list(options)[:MOST]
    if len(options) > MOST:  # take those that tell the most runs apart
        chosen = sorted(options, key=lambda path: -len(set(options[path])))[:MOST]
    end = ", ..." if len(options) > MOST else ""
    return [
        ", ".join(f"{_short(path, every)}={plain(options[path][row])}" for path in chosen) + end
        for row in range(len(recipes))
    ]


def _differing(
    values: Sequence[Any], path: KeyPath, every: set[KeyPath]
) -> dict[KeyPath, list[str]]:
    """Return the options that differ; ``every`` collects the paths of all options.

    A component of another kind is one option, whatever options it has itself.
    """
    every.add(path)
    blocks = [{} if value is None else value for value in values]
    kinds = {block.get("use") if isinstance(block, dict) else ... for block in blocks}
    if ... not in kinds and len(kinds) == 1:
        keys = dict.fromkeys(key for block in blocks for key in block)
        options: dict[KeyPath, list[str]] = {}
        for key in keys:
            options |= _differing([block.get(key) for block in blocks], (*path, key), every)
        return options
    if all(value == values[0] for value in values):
        return {}
    return {path: [_shown(value) for value in values]}


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value["use"]) if isinstance(value, dict) and "use" in value else yaml.flow(value)


def _short(path: KeyPath, every: set[KeyPath]) -> str:
    """Return the shortest end of a path that is the end of no other option's path."""
    for start in range(len(path) - 1, 0, -1):
        end = path[start:]
        if sum(other[-len(end) :] == end for other in every) == 1:
            return dotted(end)
    return dotted(path)
