"""Finds the data set that a recipe or a name refers to, for ``varkit data``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from varkit.errors import RecipeError, did_you_mean
from varkit.interfaces import Dataset
from varkit.interfaces.settings import EvalOptions
from varkit.plugins.loading import Plugins, load_plugins
from varkit.recipe import yaml
from varkit.recipe.check import Component
from varkit.recipe.layers import Change, Layers, dotted, read_changes
from varkit.recipe.load import load_recipe, missing_here, origins_of, own_data, prepare
from varkit.recipe.options import check_options, construct, options_of
from varkit.recipe.problems import Problem, refuse
from varkit.recipe.shipped import shipped_recipes
from varkit.recipe.yaml import KeyPath


@dataclass(frozen=True)
class Target:
    """A data set, not yet opened.

    Attributes:
        use: its name in the registry.
        cls: its class.
        options: checked; complete unless some are lacking.
        lacking: messages for required options that were not given.
        origins: option -> source of its value.
        plugin_files: of the recipe.
        missing: what this machine lacks, the reason for using a recipe's embedded block.
        evaluation: the recipe's ``eval`` section; the defaults if a data set was named.
    """

    use: str
    cls: type[Any]
    options: Mapping[str, Any]
    lacking: tuple[str, ...]
    origins: Mapping[str, str]
    plugin_files: tuple[Path, ...] = ()
    missing: tuple[str, ...] = ()
    evaluation: EvalOptions = field(default_factory=EvalOptions)

    def build(self) -> Dataset:
        """Open the data set.

        Raises:
            DataError: it is missing or faulty.
        """
        dataset: Dataset = construct(self.cls, self.options, {})
        return dataset

    def prepare(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Make what the data set reads; see :func:`varkit.recipe.load.prepare`."""
        prepare(self.cls, self.options, self.plugin_files, progress)

    def absent(self) -> list[str]:
        """Return what this machine lacks to read it."""
        return [] if self.lacking else missing_here(self.cls, self.options, f"dataset {self.use!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return {
            "use": self.use,
            "options": to_jsonable_python(dict(self.options)),
            "origins": dict(self.origins),
            "missing": list(self.missing),
        }


def find_target(name: str, changes: Sequence[str | Change], *, strict: bool = False) -> Target:
    """Return the data set that would be read.

    Args:
        name: a recipe's file or name, or a registered data set.
        changes: ``key=value``: overrides of a recipe, or options of a data set.
        strict: use a recipe's own data, never those of its embedded block.

    Raises:
        RecipeError: the name is unknown, a change is wrong, or the data are missing.
    """
    if _is_recipe(name) and not strict:
        recipe, plugins = load_recipe(name, changes)
        target = _of_recipe(recipe.data, recipe.origins, plugins)
        return replace(target, missing=recipe.missing, evaluation=recipe.eval)
    target = named_target(name, changes)
    if target.lacking:
        raise RecipeError(target.lacking, hint=f"varkit data get {name}")
    absent = [f"{name}: missing here: {line}" for line in target.absent()]
    if absent:
        raise RecipeError(absent, hint=f"varkit data get {name}")
    return target


def _instead(name: str) -> str:
    """Return what to write for a folder given in place of a recipe or a data set."""
    folder = Path(name)
    if (folder / "recipe.yaml").is_file():
        return f"the run's recipe: {folder / 'recipe.yaml'}"
    if folder.is_dir():
        return f"your own data: folder root={name} 'streams={{STREAM: COLUMN}}'"
    return "varkit ls lists the recipes, varkit plugins the data sets"


def named_target(name: str, changes: Sequence[str | Change]) -> Target:
    """Return the data set that a recipe or a name refers to, even if this machine lacks it.

    Raises:
        RecipeError: the name is unknown, or a change is wrong.
    """
    if _is_recipe(name):
        return _of_recipe(*own_data(name, changes))
    plugins = load_plugins()
    names = plugins.registry.names("dataset")
    if name not in names and not plugins.failures:
        known = [*names, *shipped_recipes()]
        raise RecipeError(
            [
                f"{name!r} is neither a recipe nor a data set.{did_you_mean(name, known)} "
                f"Data sets: {', '.join(names)}."
            ],
            hint=_instead(name),
        )
    cls = plugins.get("dataset", name).load()
    empty = yaml.Document(name, {}, {(): (1, 1)})
    own = options_of(cls)

    def is_block(_: Mapping[str, Any], path: KeyPath) -> bool:
        return len(path) == 1 and path[0] in own and own[str(path[0])].is_block

    layers = Layers(empty, read_changes(changes), is_block=is_block)
    options, problems = check_options(cls, layers.value, layers.written)
    refuse(Problem(layers.place(at), at, t) for at, t in problems if at[0] in layers.value)
    required = tuple(f"{name}: {dotted(at)}: {text}" for at, text in problems)
    origins = origins_of(to_jsonable_python(options), layers)
    return Target(name, cls, options, required, origins)


def _is_recipe(name: str) -> bool:
    path = Path(name)
    return name in shipped_recipes() or path.suffix in (".yaml", ".yml") or path.is_file()


def _of_recipe(data: Component, origins: Mapping[str, str], plugins: Plugins) -> Target:
    below = {
        key.removeprefix("data."): origin
        for key, origin in origins.items()
        if key.startswith("data.") and key != "data.use"
    }
    cls = plugins.get("dataset", data.use).load()
    return Target(data.use, cls, data.options, (), below, tuple(plugins.files))
