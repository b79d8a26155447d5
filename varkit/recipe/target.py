"""What ``varkit data`` is about: the data set of a recipe, or a registered one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from varkit.recipe.load import load_recipe, missing_here, origins_of, own_data, shipped_recipes
from varkit.recipe.options import check_options, construct
from varkit.recipe.problems import Problem, refuse


@dataclass(frozen=True)
class Target:
    """A data set that was asked for, not yet opened.

    Attributes:
        use: its name in the registry.
        cls: its class.
        options: checked; complete, unless some are lacking.
        lacking: what is said of options that must be given and were not.
        origins: option -> where its value came from.
        missing: what this machine lacks, for which a recipe's embedded block was taken.
        evaluation: how a recipe measures; the defaults where only a data set was named.
    """

    use: str
    cls: type[Any]
    options: Mapping[str, Any]
    lacking: tuple[str, ...]
    origins: Mapping[str, str]
    missing: tuple[str, ...] = ()
    evaluation: EvalOptions = field(default_factory=EvalOptions)

    def build(self) -> Dataset:
        """Open the data set.

        Raises:
            DataError: it is missing or faulty.
        """
        dataset: Dataset = construct(self.cls, self.options, {})
        return dataset

    def absent(self) -> list[str]:
        """Return what this machine lacks to read it."""
        return [] if self.lacking else missing_here(self.cls, self.options, f"dataset {self.use!r}")

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
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
        changes: ``key=value``: of a recipe any override, of a data set its options.
        strict: take a recipe's own data, never those of its embedded block.

    Raises:
        RecipeError: there is no such thing, what was given is wrong, or the data are not here.
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


def named_target(name: str, changes: Sequence[str | Change]) -> Target:
    """Return the data set that a recipe or a name means, whether or not this machine has it.

    Raises:
        RecipeError: there is no such thing, or what was given is wrong.
    """
    if _is_recipe(name):
        return _of_recipe(*own_data(name, changes))
    plugins = load_plugins()
    names = plugins.registry.names("dataset")
    if name not in names and not plugins.failures:
        known = [*names, *shipped_recipes()]
        raise RecipeError(
            [
                f"{name!r} is no recipe and no data set.{did_you_mean(name, known)} "
                f"Data sets: {', '.join(names)}."
            ],
            hint="varkit ls shows the recipes, varkit plugins the data sets",
        )
    cls = plugins.get("dataset", name).load()
    empty = yaml.Document(name, {}, {(): (1, 1)})
    layers = Layers(empty, read_changes(changes))
    options, problems = check_options(cls, layers.value)
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
    return Target(data.use, plugins.get("dataset", data.use).load(), data.options, (), below)
