"""Which code made a run: a hash of each module that decides what a training learns.

These count:

- the modules that a recipe's components come from, and its plugin files;
- what they import of their own packages and of packages named ``varkit_...``, such as kernels;
- of the core, what stands between data and weights: :data:`ROOTS`, and what these and the
  components import of :data:`ROOMS`.

Measuring does not count, since ``varkit eval`` measures again without training. Neither does what
reads recipes and files: its outcome is in the recipe's digest and the data's fingerprint. Versions
of other packages are recorded beside the code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from varkit.errors import RunError
from varkit.plugins.loading import Plugins, file_module
from varkit.plugins.source import source_hashes
from varkit.recipe.check import SECTIONS, Component
from varkit.recipe.load import Recipe

ROOMS = ("blocks", "data", "model", "training")
ROOTS = ("varkit.interfaces.draws", "varkit.model.build", "varkit.training.loop")
"""Modules of the core that every training uses."""
MOST_NAMED = 4
NOT_RECORDED = "not recorded"
THEN = ", then "


def code_of(recipe: Recipe, plugins: Plugins) -> dict[str, str]:
    """Return the code behind a recipe as it is now.

    Returns:
        Module -> hash, or ``version ...`` of the plugin where it has no Python source; plugin
        files go by their names. Component -> class, since another class is other code.
    """
    files = {file_module(file): file.name for file in recipe.plugin_files}
    code: dict[str, str] = {}
    versions: dict[str, str] = {}
    roots = [*ROOTS, *files]
    for part in _components(recipe):
        entry = plugins.get(part.kind, part.use)
        target = entry.target
        if isinstance(target, type):
            target = f"{target.__module__}:{target.__qualname__}"
        module, _, name = target.partition(":")
        code[f"{entry.kind} {entry.name}"] = f"{files.get(module, module)}:{name}"
        versions[_top(module)] = entry.version
        roots.append(module)

    def counts(module: str) -> bool:
        top, *inner = module.split(".")
        if top == "varkit":
            return bool(inner) and inner[0] in ROOMS and "inspect" not in inner  # which only shows
        return top in versions or top.startswith("varkit_")

    for module, known in source_hashes(roots, counts).items():
        name = files.get(module, module)
        known = known or f"version {versions.get(_top(module), 'unknown')}"
        code[name] = code.get(name, "") + known  # two files may have one name
    return code


def differing(before: Mapping[str, str] | None, now: Mapping[str, str]) -> tuple[str, ...]:
    """Return what is not the same in two states of code, also what only one of them has.

    Args:
        before: of a run; None = it was not recorded, so all may differ.
        now: the code of now.
    """
    if before is None:
        return (NOT_RECORDED,)
    names = sorted(before.keys() | now.keys())
    return tuple(name for name in names if before.get(name) != now.get(name))


def named(differing: Sequence[str]) -> str:
    """Return the first of what differs, and how many more there are."""
    more = len(differing) - MOST_NAMED
    return ", ".join(differing[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def refusal(folder: Path, differing: Sequence[str]) -> RunError:
    """Return the error that says in what a run's code differs from that of now."""
    return RunError(
        f"{folder} was made by other code: {named(differing)}",
        hint="start a new run with varkit run, or give --accept-code to use this one as it is",
    )


def both(before: Mapping[str, str] | None, now: Mapping[str, str]) -> dict[str, str]:
    """Return the code of what one state of code began and another went on with.

    Where they differ it names both, so that neither takes the run for its own.
    """
    old = dict.fromkeys(now, NOT_RECORDED) if before is None else dict(before)
    for name, known in now.items():
        if name in old and old[name].rpartition(THEN)[2] != known:
            old[name] += f"{THEN}{known}"
    return {**now, **old}


def _top(module: str) -> str:
    return module.partition(".")[0]


def _components(recipe: Recipe) -> Iterator[Component]:
    for name in SECTIONS:
        part = getattr(recipe, name)
        for component in part.values() if isinstance(part, dict) else [part]:
            if isinstance(component, Component):
                yield component
