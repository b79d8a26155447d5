"""Completion by the shell: recipes, data sets, components and runs by name, besides files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from click import Context, Parameter
from click.shell_completion import CompletionItem


def recipes(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a shipped recipe, or a file."""
    from varkit.recipe.shipped import shipped_recipes

    return [*_starting(shipped_recipes(), start), CompletionItem(start, type="file")]


def data(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a recipe or of a data set, or a file."""
    sets = (entry.name for entry in _registry(context) if entry.kind == "dataset")
    return [*recipes(context, parameter, start), *_starting(sets, start)]


def components(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Complete the name of a component, or a plugin's file."""
    names = sorted({entry.name for entry in _registry(context)})
    return [*_starting(names, start), CompletionItem(start, type="file")]


def runs(context: Context, parameter: Parameter, start: str) -> list[CompletionItem]:
    """Complete a run below ``runs/``, or a folder."""
    folders = (str(facts.parent) for facts in sorted(Path("runs").glob("*/*/run.json")))
    return [*_starting(folders, start), CompletionItem(start, type="dir")]


def _starting(names: Iterable[str], start: str) -> Iterator[CompletionItem]:
    return (CompletionItem(name) for name in names if name.startswith(start))


def _registry(context: Context) -> Any:
    from varkit.cli import installed_plugins

    return installed_plugins(context).registry
