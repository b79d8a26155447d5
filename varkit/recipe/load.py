"""Recipes: one flat YAML file becomes a checked, complete description of a model and its training.

A recipe names plugins' components and their options. Recipes do not inherit. A run uses the file,
then its ``embedded:`` block if something is missing on this machine, then the changes of a study or
the command line. :attr:`Recipe.origins` holds the source of every value.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pydantic_core import to_jsonable_python

from varkit.errors import RecipeError
from varkit.interfaces.settings import EvalOptions, ModelOptions, TrainOptions
from varkit.plugins.isolation import contained
from varkit.plugins.loading import Plugins, load_plugins
from varkit.recipe import yaml
from varkit.recipe.check import SECTIONS, VERSION, Checked, Component, check, components, in_layers
from varkit.recipe.layers import Change, Layers, dotted, read_changes
from varkit.recipe.options import options_of
from varkit.recipe.problems import Problem, refuse
from varkit.recipe.shipped import find_recipe, search_recipe_error
from varkit.recipe.yaml import KeyPath


@dataclass(frozen=True)
class Recipe:
    """A checked recipe with every default filled in. Recipes are equal if their content is.

    Attributes:
        name: the file's stem.
        path: the file.
        plugin_files: its plugin files, absolute.
        data: the data set.
        model: the options that all components share.
        samplers: by name; may be empty.
        detector: None if the model has none.
        video: the encoder of videos.
        query: the encoder of queries.
        alignments: by name, at least one.
        pretexts: by name; may be empty.
        objective: the ranking loss.
        train: how it is trained.
        eval: how it is measured.
        embedded: whether the embedded block was used.
        missing: what this machine lacks, the reason for using it.
        origins: dotted key -> where the value came from: ``recipes/x.yaml:12``,
            ``embedded, recipes/x.yaml:40``, ``studies/y.yaml:9``, ``command line`` or ``default``.
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

    def components(self) -> dict[KeyPath, Component]:
        """Return its components, by their path in the recipe."""
        return components(self._parts)

    def located(self, plugins: Plugins, folders: Sequence[Path]) -> Recipe:
        """Return the recipe with its paths found from other folders than the working directory.

        Args:
            plugins: of the recipe.
            folders: where to look, in this order; a path that is in none of them stays as it is.
        """

        def places(_: KeyPath, component: Component) -> dict[str, str]:
            options = options_of(plugins.get(component.kind, component.use).load())
            paths = {n: component.options[n] for n, option in options.items() if option.is_path}
            return {
                name: str(place)
                for name, path in paths.items()
                if path is not None
                and (place := next(filter(Path.exists, (f / path for f in folders)), None))
            }

        return replace(self, **_placed(self._parts, places))

    @property
    def _parts(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in SECTIONS}

    def to_dict(self) -> dict[str, Any]:
        """Return the complete resolved recipe as plain values, without empty sections.

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
        """Return the resolved recipe as YAML, optionally with each value's origin as a comment."""
        whole = self.to_dict()
        comments = {path: self.origins[dotted(path)] for path in _leaves(whole)}
        return yaml.dump(whole, comments if origins else None)

    def digest(self, *, seeds: bool = True) -> str:
        """Return the SHA-256 of the resolved content, with only the names of plugin files.

        Args:
            seeds: whether ``train.seeds`` count; a training does not depend on other seeds.
        """
        content = self.to_dict() | {"plugins": [file.name for file in self.plugin_files]}
        if not seeds:
            del content["train"]["seeds"]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def load_recipe(
    path: str | Path,
    overrides: Sequence[str | Change] = (),
    *,
    strict: bool = False,
    plugins: Plugins | None = None,
    incomplete: bool = False,
) -> tuple[Recipe, Plugins]:
    """Load, check and complete a recipe.

    Args:
        path: a file, or the name of a recipe that ships with varkit.
        overrides: applied to the file in this order: text, ``dotted.key=value`` with a value in
            YAML, or changes with a source. A block merges unless it has the key ``use``; null
            removes a named component.
        strict: refuse to use the embedded block.
        plugins: where to look up names, including the recipe's plugin files; default: the installed
            plugins and those files.
        incomplete: load it without asking what this machine lacks to run it.

    Raises:
        RecipeError: everything that is wrong with the recipe and the overrides, or everything that
            this machine lacks if the embedded block does not help.
        PluginError: a plugin file cannot be loaded, or two components share a name.
    """
    path, document, files = _open(path)
    changes = read_changes(overrides)
    plugins = load_plugins(files) if plugins is None else plugins
    checked, missing = _resolve(document, changes, plugins, strict=strict, incomplete=incomplete)
    recipe = Recipe(
        name=path.stem,
        path=path,
        plugin_files=files,
        **checked.parts,
        embedded=bool(missing),
        missing=tuple(missing),
        origins={},
    )
    recipe.origins.update(origins_of(recipe.to_dict(), checked.layers))
    return recipe, plugins


def changed_recipe(recipe: Recipe, plugins: Plugins, overrides: Sequence[str | Change]) -> Recipe:
    """Return a complete recipe: a resolved one with changes.

    Args:
        recipe: is not modified.
        plugins: of the recipe.
        overrides: as in :func:`load_recipe`.

    Raises:
        RecipeError: everything that is wrong with the changes, or missing here for them.
    """
    changes = read_changes(overrides)
    document = yaml.Document(str(recipe.path), recipe.to_dict(), {(): (1, 1)})
    checked = check(in_layers(document, changes, plugins, embedded=recipe.embedded), plugins)
    before = recipe.components()

    def places(path: KeyPath, _: Component) -> dict[str, str]:
        known = before[path].places if path in before else {}
        place = checked.layers.place
        return {n: known[n] for n in known if place((*path, n)).layer == "file"}

    checked = replace(checked, parts=_placed(checked.parts, places))
    _refuse(checked.problems, _missing(checked, plugins), "the changed recipe needs it")
    changed = replace(recipe, **checked.parts, origins={})
    changed.origins.update(origins_of(changed.to_dict(), checked.layers, before=recipe.origins))
    return changed


def own_data(
    path: str | Path, overrides: Sequence[str | Change] = ()
) -> tuple[Component, dict[str, str], Plugins]:
    """Return the data set that a recipe names itself, whether or not this machine has it.

    Args:
        path: as in :func:`load_recipe`.
        overrides: as in :func:`load_recipe`.

    Returns:
        The data set; dotted key -> source of its value; the plugins.

    Raises:
        RecipeError: everything that is wrong with the section ``data`` and the overrides.
        PluginError: as in :func:`load_recipe`.
    """
    _, document, files = _open(path)
    plugins = load_plugins(files)
    checked = check(in_layers(document, read_changes(overrides), plugins), plugins)
    refuse(p for p in checked.problems if p.path[0] == "data" or p.place.layer == "change")
    data: Component = checked.parts["data"]
    return data, origins_of({"data": _plain(data)}, checked.layers), plugins


def _resolve(
    document: yaml.Document,
    changes: Sequence[Change],
    plugins: Plugins,
    *,
    strict: bool,
    incomplete: bool,
) -> tuple[Checked, dict[str, str]]:
    """Check a recipe and decide whether to use its embedded block.

    Returns:
        The recipe, and, if the embedded block is used, what is missing here.
    """
    plain = check(in_layers(document, changes, plugins), plugins)
    missing = {} if incomplete else _missing(plain, plugins)
    if not _has_embedded(document):
        _refuse(plain.problems, missing, "it has no embedded block that could stand in")
        return plain, {}
    alone = check(Layers(document, embedded=True), plugins)
    block = [problem for problem in alone.problems if problem.place.layer == "embedded"]
    if strict or not missing:
        hint = "leave out --strict to take its embedded block"
        _refuse(plain.problems + block, missing, hint)
        return plain, {}
    taken = check(in_layers(document, changes, plugins, embedded=True), plugins)
    # An override may fit only with the embedded block; the file must be valid without it.
    in_file = [problem for problem in plain.problems if problem.place.layer == "file"]
    lacking = _missing(taken, plugins)
    _refuse(in_file + block + taken.problems, lacking, "its embedded block needs it")
    return taken, missing


def _refuse(problems: Sequence[Problem], missing: Mapping[str, str], hint_for_missing: str) -> None:
    """Raise an error with all problems; if there are none, with everything missing."""
    refuse(problems)
    if missing:
        lines = [f"{at}: missing here: {line}" for line, at in missing.items()]
        raise RecipeError(lines, hint=hint_for_missing)


def _open(path: str | Path) -> tuple[Path, yaml.Document, tuple[Path, ...]]:
    """Find and read a recipe; return its path, its content, and its plugin files."""
    path = find_recipe(path)
    document = yaml.load(path)
    if "space" in document.value and "data" not in document.value:
        raise search_recipe_error(path, path)
    return path, document, _plugin_files(path, document)


def _plugin_files(path: Path, document: yaml.Document) -> tuple[Path, ...]:
    named = document.value.get("plugins")
    named = [] if named is None else named
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        at = document.place(("plugins",))
        raise RecipeError([f"{at}: plugins: must be a list of files such as [./my_sampler.py]"])
    files = tuple(_plugin_file(path.parent, index, name) for index, name in enumerate(named))
    problems = [
        f"{document.place(('plugins', index))}: plugins.{index}: no plugin file "
        f"{named[index]!r} (looked for {file})"
        for index, file in enumerate(files)
        if not file.is_file()
    ]
    if problems:
        raise RecipeError(problems, hint="a plugin file's path is relative to the recipe's folder")
    return files


def _plugin_file(folder: Path, index: int, name: str) -> Path:
    """Return a plugin file, or the copy that a run keeps of it, if the file is gone."""
    file = (folder / name).resolve()
    copy = kept_plugin(folder, index, file)
    return copy if copy.is_file() and not file.is_file() else file


def kept_plugin(folder: Path, index: int, file: Path) -> Path:
    """Return where a run keeps its copy of a recipe's plugin file."""
    return folder.resolve() / "plugins" / str(index) / file.name


def _has_embedded(document: yaml.Document) -> bool:
    block = document.value.get("embedded")
    if block is None:
        return False
    where = f"{document.place(('embedded',))}: embedded"
    if not isinstance(block, dict):
        raise RecipeError([f"{where}: must be a block of sections"])
    for key in ("version", "plugins", "embedded"):
        if key in block:
            raise RecipeError([f"{where}.{key}: is allowed only at the top of a recipe"])
    return bool(block)


def _missing(checked: Checked, plugins: Plugins) -> dict[str, str]:
    """Ask every component what this machine lacks to run it.

    Returns:
        What is missing -> the source of the need: the component's last change, or the file.
    """
    missing: dict[str, str] = {}
    for path, component in components(checked.parts).items():
        cls = plugins.get(component.kind, component.use).load()
        at = str(checked.layers.last_change(path) or checked.layers.document.file)
        for line in missing_here(cls, component.arguments, f"{component.kind} {component.use!r}"):
            missing[f"{dotted(path)} ({component.use}): {line}"] = at
    return missing


def missing_here(cls: type[Any], options: Mapping[str, Any], name: str) -> list[str]:
    """Ask a component's class what this machine lacks to run it with its options.

    Raises:
        PluginError: its ``missing()`` fails; with the component's name.
    """
    if not hasattr(cls, "missing"):
        return []
    with contained(f"{name}: missing() failed: ", cls.__module__):
        return [str(line) for line in cls.missing(**options)]


def prepare(
    cls: type[Any],
    options: Mapping[str, Any],
    files: Sequence[Path],
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Let a data set's class make what its constructor reads, if it has ``prepare``.

    Args:
        cls: its class; see :class:`varkit.interfaces.Dataset`.
        options: complete and checked.
        files: the recipe's plugin files.
        progress: takes the number of videos done, and of all.
    """
    if hasattr(cls, "prepare"):
        cls.prepare(files, progress, **options)


def _placed(
    parts: Mapping[str, Any], places: Callable[[KeyPath, Component], Mapping[str, str]]
) -> dict[str, Any]:
    """Return sections with the places of every component's paths."""

    def placed(path: KeyPath, part: Any) -> Any:
        if isinstance(part, Component):
            return replace(part, places=places(path, part))
        if isinstance(part, dict):
            return {name: placed((*path, name), inner) for name, inner in part.items()}
        return part

    return {name: placed((name,), part) for name, part in parts.items()}


def _plain(part: Any) -> Any:
    if isinstance(part, Component):
        return {"use": part.use} | to_jsonable_python(asdict(part.settings) | dict(part.options))
    if isinstance(part, dict):
        return {name: _plain(component) for name, component in part.items()}
    return None if part is None else to_jsonable_python(asdict(part))


def origins_of(
    value: Mapping[str, Any], layers: Layers, *, before: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the source of each nested value, by its dotted key.

    Args:
        value: the complete values.
        layers: the layers behind them.
        before: sources of the values in the layers' file; default: that file.
    """
    origins = {}
    for leaf in _leaves(value):
        at, key = layers.places.get(leaf), dotted(leaf)
        origins[key] = "default" if at is None else at.origin
        if before and at is not None and at.layer == "file":
            origins[key] = before.get(key, at.origin)
    return origins


def _leaves(value: Mapping[str, Any], path: KeyPath = ()) -> list[KeyPath]:
    """Return the paths of the values in nested mappings; an empty mapping is a value."""
    paths: list[KeyPath] = []
    for key, item in value.items():
        here = (*path, key)
        paths += _leaves(item, here) if isinstance(item, Mapping) and item else [here]
    return paths
