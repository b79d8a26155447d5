"""The code that made a run: a hash of each module that affects what a training learns.

These modules count:

- those of a recipe's components, and its plugin files;
- those that they import from their own packages and from packages named ``varkit_...``, such as
  kernels;
- in the core, :data:`ROOTS`, and what these and the components import from :data:`ROOMS`.

Measuring does not count, since ``varkit eval`` measures again without training. Reading recipes and
files does not count either: their content is in the recipe's digest and the data's fingerprint.
Versions of other packages are recorded beside the code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from varkit.errors import RunError
from varkit.plugins.loading import Plugins, file_module
from varkit.plugins.source import source_hashes
from varkit.recipe.load import Recipe

ROOMS = ("blocks", "data", "model", "training")
ROOTS = ("varkit.interfaces.draws", "varkit.model.build", "varkit.training.loop")
"""Modules of the core that every training uses."""
MOST_NAMED = 4
NOT_RECORDED = "not recorded"
THEN = ", then "


def code_of(recipe: Recipe, plugins: Plugins) -> dict[str, str]:
    """Return the present code of a recipe.

    Returns:
        Module -> hash, or ``version ...`` of the plugin if it has no Python source; plugin files
        are named by their file names. Component -> class, since a different class is other code.
    """
    files = {file_module(file): file.name for file in recipe.plugin_files}
    code: dict[str, str] = {}
    versions: dict[str, str] = {}
    roots = [*ROOTS, *files]
    for part in recipe.components().values():
        entry = plugins.get(part.kind, part.use)
        module, _, name = entry.path.partition(":")
        code[f"{entry.kind} {entry.name}"] = f"{files.get(module, module)}:{name}"
        versions[_top(module)] = entry.version
        roots.append(module)

    def counts(module: str) -> bool:
        top, *inner = module.split(".")
        if top == "varkit":
            return bool(inner) and inner[0] in ROOMS and "inspect" not in inner  # only for display
        return top in versions or top.startswith("varkit_")

    for module, known in source_hashes(roots, counts).items():
        name = files.get(module, module)
        known = known or f"version {versions.get(_top(module), 'unknown')}"
        code[name] = code.get(name, "") + known  # two files may share a name
    return code


def differing(before: Mapping[str, str] | None, now: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names whose code differs, including names that only one side has.

    Args:
        before: the code of a run; None = not recorded, so everything may differ.
        now: the present code.
    """
    if before is None:
        return (NOT_RECORDED,)
    names = sorted(before.keys() | now.keys())
    return tuple(name for name in names if before.get(name) != now.get(name))


def named(differing: Sequence[str]) -> str:
    """Return the first few names, and how many more there are."""
    more = len(differing) - MOST_NAMED
    return ", ".join(differing[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def refusal(folder: Path, differing: Sequence[str]) -> RunError:
    """Return the error for a run whose code differs from the present code."""
    return RunError(
        f"{folder} was made by other code: {named(differing)}",
        hint="start a new run with varkit run, or add --accept-code to use this one as it is",
    )


def both(before: Mapping[str, str] | None, now: Mapping[str, str]) -> dict[str, str]:
    """Return the code of a run that one state of the code began and another continued.

    Where they differ, both hashes are listed, so that the run matches neither state.
    """
    old = dict.fromkeys(now, NOT_RECORDED) if before is None else dict(before)
    for name, known in now.items():
        if name in old and old[name].rpartition(THEN)[2] != known:
            old[name] += f"{THEN}{known}"
    return {**now, **old}


def _top(module: str) -> str:
    return module.partition(".")[0]
