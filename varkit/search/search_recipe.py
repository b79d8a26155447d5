"""Search recipes: what is extracted from videos, and the space in which they are compared.

They train nothing, so they have neither a data set nor an objective. A search recipe is a flat YAML
file with these sections, of which ``extract`` and ``space`` are required::

    version: 1
    plugins: [./my_space.py]
    extract: {image: {fps: 2}, yamnet: {}}
    space: {use: labels}
    windows: {seconds: 10, hop: 5}
    engine: {use: exact}
    concepts: [people fighting, an explosion]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varkit.errors import PluginError, RecipeError, did_you_mean
from varkit.media.extractors import Wanted
from varkit.plugins.loading import Plugins, load_plugins
from varkit.recipe import yaml
from varkit.recipe.layers import Layers, read_changes
from varkit.recipe.load import missing_here
from varkit.recipe.options import options_of
from varkit.recipe.problems import Checker, refuse
from varkit.recipe.shipped import SEARCH, search_recipes
from varkit.search.facts import Chosen
from varkit.search.windows import WindowOptions

VERSION = 1
SECTIONS = ("version", "plugins", "extract", "space", "windows", "engine", "concepts")


@dataclass(frozen=True)
class SearchRecipe:
    """A checked search recipe.

    Attributes:
        name: the file's stem without ``search_``.
        plugins: the plugins that it can name.
        extract: the extractors.
        space: in which videos and queries are compared.
        windows: how videos are cut.
        engine: keeps the rows.
        concepts: the sentences that make a clip anomalous; None = varkit's own.
    """

    name: str
    plugins: Plugins
    extract: tuple[Wanted, ...]
    space: Chosen
    windows: WindowOptions
    engine: Chosen
    concepts: tuple[str, ...] | None


def is_search_recipe(name: str | Path) -> bool:
    """Return whether a name is that of a shipped search recipe, or of a file of one.

    Raises:
        RecipeError: the file is not YAML.
    """
    known = search_recipes()
    if str(name) in known or f"{SEARCH}{name}" in known:
        return True
    return Path(name).is_file() and "space" in yaml.load(Path(name)).value


def load_search_recipe(name: str | Path, changes: Sequence[str] = ()) -> SearchRecipe:
    """Load and check a search recipe.

    Args:
        name: a file, or the name of a shipped one, with or without ``search_``.
        changes: ``dotted.key=value``, as for every recipe.

    Raises:
        RecipeError: everything that is wrong with it, or missing here.
    """
    known = search_recipes()
    path = known.get(f"{SEARCH}{name}") or known.get(str(name)) or Path(name)
    if not path.is_file():
        names = [stem.removeprefix(SEARCH) for stem in known]
        near, listed = did_you_mean(str(name), names), ", ".join(names)
        raise RecipeError(
            [f"no search recipe {str(name)!r}.{near} Shipped: {listed}."],
            hint="name a shipped recipe, the file of your own, or the folder of a run",
        )
    document = yaml.load(path)
    files = [path.parent / file for file in document.value.get("plugins") or ()]
    plugins = load_plugins(files)
    checker = _Checker(Layers(document, read_changes(changes)), plugins)
    recipe = checker.check(path.stem.removeprefix(SEARCH))
    refuse(checker.problems)
    assert recipe is not None
    kinds = [("extractor", each.use, each.options) for each in recipe.extract]
    lacking = []
    for kind, use, options in (*kinds, ("space", recipe.space.use, recipe.space.options)):
        cls = plugins.get(kind, use).load()
        lacking += [f"{path.name}: missing here: {x}" for x in missing_here(cls, options, use)]
    if lacking:
        raise RecipeError(list(dict.fromkeys(lacking)))
    return recipe


class _Checker(Checker):
    def __init__(self, layers: Layers, plugins: Plugins) -> None:
        super().__init__(layers)
        self.plugins = plugins

    def check(self, name: str) -> SearchRecipe | None:
        value = self.layers.value
        for key in value:
            if key not in SECTIONS:
                known = f"Known: {', '.join(SECTIONS)}."
                self.problem((key,), f"no such section.{did_you_mean(key, SECTIONS)} {known}")
        if value.get("version") != VERSION:
            self.problem(("version",), f"must be {VERSION}; not {value.get('version')!r}")
        extract = self.extractors(value.get("extract"))
        space = self.component("space", value.get("space"))
        engine = self.component("engine", value.get("engine", {"use": "exact"}))
        windows = self.block(("windows",), WindowOptions, value.get("windows") or {})
        concepts = value.get("concepts")
        texts = isinstance(concepts, list) and all(isinstance(x, str) and x for x in concepts)
        if concepts is not None and not texts:
            self.problem(("concepts",), "must be a list of sentences")
        if self.problems or space is None or engine is None:
            return None
        listed = None if concepts is None else tuple(concepts)
        return SearchRecipe(name, self.plugins, extract, space, windows, engine, listed)

    def extractors(self, value: Any) -> tuple[Wanted, ...]:
        if not isinstance(value, dict) or not any(v is not None for v in value.values()):
            self.problem(("extract",), "must name extractors, as in {image: {}, yamnet: {}}")
            return ()
        wanted = []
        for name, options in value.items():
            if options is None:  # a change has removed it
                continue
            if not isinstance(options, dict):
                self.problem(("extract", name), f"must be a block of options; not {options!r}")
                continue
            use = str(options.get("use", name))
            own = {key: option for key, option in options.items() if key != "use"}
            chosen = self.options_of("extractor", use, ("extract", name), own)
            if chosen is not None:
                wanted.append(Wanted(name, use, chosen))
        return tuple(wanted)

    def component(self, kind: str, value: Any) -> Chosen | None:
        if not isinstance(value, dict) or not isinstance(value.get("use"), str):
            names = ", ".join(self.plugins.registry.names(kind)) or "none"
            self.problem((kind,), f"must be a block such as {{use: NAME}}; {kind}s: {names}")
            return None
        own = {key: option for key, option in value.items() if key != "use"}
        options = self.options_of(kind, value["use"], (kind,), own)
        return None if options is None else Chosen(value["use"], options)

    def options_of(
        self, kind: str, use: str, path: tuple[str, ...], values: Mapping[str, Any]
    ) -> dict[str, Any] | None:
        try:
            entry = self.plugins.get(kind, use)
            with entry.contained():
                cls = entry.load()
                options = self.options(path, cls, values)
                paths = {name for name, option in options_of(cls).items() if option.is_path}
        except PluginError as error:
            self.problem((*path, "use") if "use" in self.layers.value else path, error.line)
            return None
        if options is None:
            return None
        # An index may be searched from another folder.
        return {
            name: str(Path(value).absolute())
            if name in paths and value is not None and Path(value).exists()
            else value
            for name, value in options.items()
        }
