"""What this machine lacks for the shipped recipes, grouped by cause."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from varkit.errors import VarkitError
from varkit.recipe.load import load_recipe
from varkit.recipe.shipped import search_recipes, shipped_recipes
from varkit.search.search_recipe import is_search_recipe, load_search_recipe

_COMPONENT = r"\w[\w.]* \(\w+\): "
WHERE = re.compile(rf"^(?:.*?: missing here: (?:{_COMPONENT})?|{_COMPONENT})")
"""The start of a line about something missing: the recipe's line and the component."""


@dataclass(frozen=True)
class Readiness:
    """Whether a recipe can run here.

    Attributes:
        path: the recipe.
        missing: what this machine lacks, as sentences.
        embedded: whether the embedded block stands in.
        broken: whether something is wrong with the recipe or a plugin, not with the machine.
        hint: what to do about a recipe that cannot run.
    """

    path: Path
    missing: tuple[str, ...] = ()
    embedded: bool = False
    broken: bool = False
    hint: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it runs, possibly with its embedded block."""
        return self.embedded or not self.missing


@dataclass
class Cause:
    """Something that is missing here.

    Attributes:
        what: a sentence.
        embedded: the recipes that use their embedded block until it is there.
        stopped: the recipes that cannot run until then.
    """

    what: str
    embedded: list[str] = field(default_factory=list)
    stopped: list[str] = field(default_factory=list)


def readiness() -> dict[str, Readiness]:
    """Check every shipped recipe, by name."""
    return {name: _ready(path) for name, path in shipped_recipes().items()}


def search_readiness() -> dict[str, Readiness]:
    """Check every shipped search recipe, by name."""
    return {name: _ready(path) for name, path in search_recipes().items()}


def causes(recipes: Mapping[str, Readiness]) -> list[Cause]:
    """Return what is missing for these recipes, the most wanted first."""
    by_text: dict[str, Cause] = {}
    for name, recipe in recipes.items():
        for line in recipe.missing:
            what = line if recipe.broken else WHERE.sub("", line)
            cause = by_text.setdefault(what, Cause(what))
            (cause.embedded if recipe.embedded else cause.stopped).append(name)
    return sorted(by_text.values(), key=lambda c: -len(c.embedded + c.stopped))


def _ready(path: Path) -> Readiness:
    missing: tuple[str, ...] = ()
    embedded = False
    try:
        if is_search_recipe(path):
            load_search_recipe(path)
        else:
            recipe, _ = load_recipe(path)
            missing, embedded = recipe.missing, recipe.embedded
    except VarkitError as error:
        lines = tuple(error.what.splitlines())
        broken = not all(WHERE.match(line) for line in lines)
        return Readiness(path, lines, broken=broken, hint=error.hint)
    return Readiness(path, missing, embedded)
