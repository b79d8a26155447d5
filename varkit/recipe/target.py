"""What ``varkit data`` is about: the data set of a recipe, or a registered one by its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from pydantic_core import to_jsonable_python

from varkit.errors import RecipeError, did_you_mean
from varkit.interfaces import Dataset
from varkit.interfaces.settings import EvalOptions
from varkit.plugins.loading import load_plugins
from varkit.recipe import yaml
from varkit.recipe.layers import COMMAND_LINE, Layers, dotted, parse_overrides
from varkit.recipe.load import load_recipe, origins_of, own_data, shipped_recipes
from varkit.recipe.options import check_options, construct
from varkit.recipe.yaml import KeyPath


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
        if self.lacking or not hasattr(self.cls, "missing"):
            return []
        lines: list[str] = self.cls.missing(**self.options)
        return lines

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            "use": self.use,
            "options": to_jsonable_python(dict(self.options)),
            "origins": dict(self.origins),
            "missing": list(self.missing),
        }

    def announce(self, *, strict: bool = True) -> None:
        """Say on stderr what is looked at, and where each option came from.

        Args:
            strict: whether the command has ``--strict``, which is then recalled.
        """
        if self.missing:
            click.secho("EMBEDDED VARIANT: not the recipe's own data", fg="yellow", err=True)
            click.echo("A run would take the embedded: block, since this is missing:", err=True)
            for line in self.missing:
                click.echo(f"  - {line}", err=True)
            if strict:
                click.secho("--strict looks at the recipe's own data.", fg="yellow", err=True)
            click.echo(err=True)
        plain = to_jsonable_python(dict(self.options))
        comments: dict[KeyPath, str] = {
            tuple(key.split(".")): origin for key, origin in self.origins.items()
        }
        click.echo(f"data set {self.use}", err=True)
        for line in yaml.dump(plain, comments).splitlines():
            click.echo(f"  {line}", err=True)


def find_target(name: str, changes: Sequence[str], *, strict: bool = False) -> Target:
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
        data = recipe.data
        cls = plugins.get("dataset", data.use).load()
        origins = _below_data(recipe.origins)
        return Target(data.use, cls, data.options, (), origins, recipe.missing, recipe.eval)
    target = named_target(name, changes)
    if target.lacking:
        raise RecipeError(target.lacking, hint=f"varkit data get {name}")
    absent = [f"{name}: missing here: {line}" for line in target.absent()]
    if absent:
        raise RecipeError(absent, hint=f"varkit data get {name}")
    return target


def named_target(name: str, changes: Sequence[str]) -> Target:
    """Return the data set that a recipe or a name means, whether or not this machine has it.

    Raises:
        RecipeError: there is no such thing, or what was given is wrong.
    """
    if _is_recipe(name):
        data, origins, plugins = own_data(name, changes)
        cls = plugins.get("dataset", data.use).load()
        return Target(data.use, cls, data.options, (), _below_data(origins))
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
    layers = Layers(empty, parse_overrides(changes), embedded=False)
    options, problems = check_options(cls, layers.value)
    wrong = [f"{COMMAND_LINE}: {dotted(at)}: {t}" for at, t in problems if at[0] in layers.value]
    if wrong:
        raise RecipeError(wrong)
    lacking = tuple(f"{name}: {dotted(at)}: {text}" for at, text in problems)
    origins = origins_of(to_jsonable_python(options), layers)
    return Target(name, cls, options, lacking, origins)


def _is_recipe(name: str) -> bool:
    path = Path(name)
    return name in shipped_recipes() or path.suffix in (".yaml", ".yml") or path.is_file()


def _below_data(origins: Mapping[str, str]) -> dict[str, str]:
    return {
        key.removeprefix("data."): origin
        for key, origin in origins.items()
        if key.startswith("data.") and key != "data.use"
    }
