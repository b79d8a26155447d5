"""Recipes: one flat YAML file becomes a checked, complete description of a model and its training.

A recipe names plugins' components and their options. Nothing is inherited; what a run used is
the file, its ``embedded:`` block where something is missing on this machine, and what the command
line said, in this order. :attr:`Recipe.origins` tells where every value came from.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

import varkit
from varkit.errors import PluginError, RecipeError, did_you_mean
from varkit.interfaces.settings import EvalOptions, ModelOptions, TrainOptions
from varkit.plugins.loading import Plugins, load_plugins
from varkit.recipe import yaml
from varkit.recipe.check import SECTIONS, VERSION, Checked, Component, Problem, check
from varkit.recipe.layers import Layers, dotted, parse_overrides
from varkit.recipe.yaml import KeyPath


@dataclass(frozen=True)
class Recipe:
    """A checked recipe, with every default filled in. Two are equal if they say the same.

    Attributes:
        name: the file's stem.
        path: the file.
        plugin_files: the plugin files that it names, absolute.
        data: the data set.
        model: what all components agree on.
        samplers: by name; may be empty.
        detector: None where the model has none.
        video: the encoder of videos.
        query: the encoder of queries.
        alignments: by name, at least one.
        pretexts: by name; may be empty.
        objective: the ranking loss.
        train: how it is trained.
        eval: how it is measured.
        embedded: whether the embedded block was taken.
        missing: what this machine lacks, for which it was taken.
        origins: dotted key -> where the value came from: ``recipes/x.yaml:12``,
            ``embedded, recipes/x.yaml:40``, ``command line`` or ``default``.
    """

    name: str = field(compare=False)
    path: Path = field(compare=False)
    plugin_files: tuple[Path, ...]
    data: Component
    model: ModelOptions
    samplers: dict[str, Component]
    detector: Component | None
    video: Component
    query: Component
    alignments: dict[str, Component]
    pretexts: dict[str, Component]
    objective: Component
    train: TrainOptions
    eval: EvalOptions
    embedded: bool = field(compare=False)
    missing: tuple[str, ...] = field(compare=False)
    origins: dict[str, str] = field(compare=False)

    def to_dict(self) -> dict[str, Any]:
        """Return the resolved recipe as plain values, complete; sections that are empty left out.

        Loading it again gives an equal recipe.
        """
        whole: dict[str, Any] = {"version": VERSION}
        if self.plugin_files:
            whole["plugins"] = [str(file) for file in self.plugin_files]
        for name in SECTIONS:
            plain = _plain(getattr(self, name))
            if plain:
                whole[name] = plain
        return whole

    def to_yaml(self, *, origins: bool = False) -> str:
        """Return the resolved recipe as YAML, on request with each value's origin behind it."""
        whole = self.to_dict()
        comments = {path: self.origins[dotted(path)] for path in _leaves(whole)}
        return yaml.dump(whole, comments if origins else None)

    def digest(self) -> str:
        """Return the SHA-256 of the resolved content; of plugin files only the names count."""
        content = self.to_dict() | {"plugins": [file.name for file in self.plugin_files]}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_recipe(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    strict: bool = False,
    plugins: Plugins | None = None,
) -> tuple[Recipe, Plugins]:
    """Load, check and complete a recipe.

    Args:
        path: a file, or the name of a recipe that ships with varkit.
        overrides: ``dotted.key=value``; the value is YAML. A block merges unless it names
            ``use``; null removes a named component.
        strict: refuse to take the embedded block.
        plugins: what to look names up in, the recipe's plugin files included; by default the
            installed plugins and those files.

    Raises:
        RecipeError: all that is wrong with the recipe and the overrides, or all that this
            machine lacks where the embedded block cannot stand in.
        PluginError: a plugin file cannot be loaded, or two components share a name.
    """
    path = find_recipe(path)
    document = _document(path)
    files = _plugin_files(path, document)
    changes = parse_overrides(overrides)
    plugins = load_plugins(files) if plugins is None else plugins
    layers, parts, missing = _resolve(document, changes, plugins, strict=strict)
    recipe = Recipe(
        name=path.stem,
        path=path,
        plugin_files=files,
        **({"samplers": {}, "detector": None, "pretexts": {}} | parts),
        embedded=bool(missing),
        missing=tuple(missing),
        origins={},
    )
    recipe.origins.update(origins_of(recipe.to_dict(), layers))
    return recipe, plugins


def changed_recipe(recipe: Recipe, plugins: Plugins, changes: Sequence[str]) -> Recipe:
    """Return a resolved recipe with changes, itself complete.

    Raises:
        RecipeError: what is wrong with the changes.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "recipe.yaml"
        file.write_text(recipe.to_yaml(), encoding="utf-8")
        changed, _ = load_recipe(file, changes, plugins=plugins)
    return replace(
        changed,
        name=recipe.name,
        path=recipe.path,
        embedded=recipe.embedded,
        missing=recipe.missing,
    )


def own_data(
    path: str | Path, overrides: Sequence[str] = ()
) -> tuple[Component, dict[str, str], Plugins]:
    """Return the data set that a recipe names itself, whether or not this machine has it.

    Args:
        path: as in :func:`load_recipe`.
        overrides: as in :func:`load_recipe`.

    Returns:
        The data set; dotted key -> where its value came from; the plugins.

    Raises:
        RecipeError: what is wrong with the section ``data`` and the overrides.
        PluginError: as in :func:`load_recipe`.
    """
    path = find_recipe(path)
    document = _document(path)
    plugins = load_plugins(_plugin_files(path, document))
    layers = Layers(document, parse_overrides(overrides), embedded=False)
    checked = check(layers, plugins)
    said = [p for p in checked.problems if p.path[0] == "data" or p.place.layer == "command line"]
    _refuse(document.file, said, [], "")
    data: Component = checked.parts["data"]
    return data, origins_of({"data": _plain(data)}, layers), plugins


def _resolve(
    document: yaml.Document, changes: Sequence[tuple[str, Any]], plugins: Plugins, *, strict: bool
) -> tuple[Layers, dict[str, Any], list[str]]:
    """Check a recipe and decide on its embedded block.

    Returns:
        The values, the parts made of them, and what is missing here where the embedded block was
        taken for it.
    """
    plain = Layers(document, changes, embedded=False)
    checked = check(plain, plugins)
    missing = _missing(checked, plugins)
    if not _has_embedded(document):
        hint = "it has no embedded block that could stand in"
        _refuse(document.file, checked.problems, missing, hint)
        return plain, checked.parts, []
    alone = check(Layers(document, embedded=True), plugins)
    block = [problem for problem in alone.problems if problem.place.layer == "embedded"]
    if strict or not missing:
        hint = "leave out --strict to take its embedded block"
        _refuse(document.file, checked.problems + block, missing, hint)
        return plain, checked.parts, []
    taken = Layers(document, changes, embedded=True)
    again = check(taken, plugins)
    # An override may fit the embedded block alone; the file must be right in any case.
    in_file = [problem for problem in checked.problems if problem.place.layer == "file"]
    lacking = _missing(again, plugins)
    _refuse(document.file, in_file + block + again.problems, lacking, "its embedded block needs it")
    return taken, again.parts, missing


def _refuse(
    file: str, problems: Sequence[Problem], missing: Sequence[str], hint_for_missing: str
) -> None:
    """Raise what is wrong, in the file's order; if nothing is, what is missing."""
    if problems:
        ordered = sorted(problems, key=lambda p: (not p.place.file, p.place.line, p.place.column))
        raise RecipeError(list(dict.fromkeys(str(problem) for problem in ordered)))
    if missing:
        lines = [f"{file}: missing here: {line}" for line in missing]
        raise RecipeError(lines, hint=hint_for_missing)


def shipped_recipes() -> dict[str, Path]:
    """Return the recipes that ship with varkit, by name."""
    package = Path(varkit.__file__).parent
    installed = package / "_recipes"
    folder = installed if installed.is_dir() else package.parent / "recipes"
    return {file.stem: file for file in sorted(folder.glob("*.yaml"))}


def find_recipe(path: str | Path) -> Path:
    """Return a recipe's file, given the file or the name of a shipped recipe.

    Raises:
        RecipeError: there is neither.
    """
    shipped = shipped_recipes()
    file = Path(path)
    if file.is_file() or (file.exists() and str(path) not in shipped):
        return file
    if str(path) not in shipped:
        raise RecipeError(
            [
                f"no recipe {str(path)!r}.{did_you_mean(file.stem, shipped)} "
                f"Shipped: {', '.join(shipped) or 'none'}."
            ],
            hint="varkit ls shows the shipped recipes; anything else is a file's path",
        )
    found = shipped[str(path)]
    here = Path.cwd()
    return found.relative_to(here) if found.is_relative_to(here) else found


def _document(path: Path) -> yaml.Document:
    document = yaml.load(path)
    if not isinstance(document.value, dict):
        raise RecipeError([f"{document.file}:1:1: must be a block of keys such as 'version: 1'"])
    return document


def _plugin_files(path: Path, document: yaml.Document) -> tuple[Path, ...]:
    named = document.value.get("plugins")
    named = [] if named is None else named
    line, column = document.places.get(("plugins",), (1, 1))
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        problem = "plugins: must be a list of files such as [./my_sampler.py]"
        raise RecipeError([f"{document.file}:{line}:{column}: {problem}"])
    files = tuple((path.parent / name).resolve() for name in named)
    problems = []
    for index, file in enumerate(files):
        if not file.is_file():
            line, column = document.places["plugins", index]
            problem = f"no plugin file {named[index]!r} (looked for {file})"
            problems.append(f"{document.file}:{line}:{column}: plugins.{index}: {problem}")
    if problems:
        raise RecipeError(problems, hint="a plugin file's path is relative to the recipe's folder")
    return files


def _has_embedded(document: yaml.Document) -> bool:
    block = document.value.get("embedded")
    if block is None:
        return False
    line, column = document.places["embedded",]
    where = f"{document.file}:{line}:{column}: embedded"
    if not isinstance(block, dict):
        raise RecipeError([f"{where}: must be a block of sections"])
    for key in ("version", "plugins", "embedded"):
        if key in block:
            raise RecipeError([f"{where}.{key}: stands only at the top of a recipe"])
    return bool(block)


def _missing(checked: Checked, plugins: Plugins) -> list[str]:
    """Ask every component what this machine lacks to run it."""
    lines = []
    for path, component in checked.components().items():
        cls = plugins.get(component.kind, component.use).load()
        if not hasattr(cls, "missing"):
            continue
        try:
            lacking = cls.missing(**component.options)
        except Exception as error:
            raise PluginError(
                f"{component.kind} {component.use!r}: missing() failed: "
                f"{type(error).__name__}: {error}"
            ) from error
        lines += [f"{dotted(path)} ({component.use}): {line}" for line in lacking]
    return lines


def _plain(part: Any) -> Any:
    if isinstance(part, Component):
        return {"use": part.use} | to_jsonable_python(asdict(part.settings) | dict(part.options))
    if isinstance(part, dict):
        return {name: _plain(component) for name, component in part.items()}
    return None if part is None else to_jsonable_python(asdict(part))


def origins_of(value: Mapping[str, Any], layers: Layers) -> dict[str, str]:
    """Return where each of nested values came from, by its dotted key."""
    places = {leaf: layers.places.get(leaf) for leaf in _leaves(value)}
    return {dotted(leaf): at.origin if at else "default" for leaf, at in places.items()}


def _leaves(value: Mapping[str, Any], path: KeyPath = ()) -> list[KeyPath]:
    """Return where the values of nested mappings stand; an empty mapping is a value."""
    found: list[KeyPath] = []
    for key, item in value.items():
        here = (*path, key)
        found += _leaves(item, here) if isinstance(item, Mapping) and item else [here]
    return found
