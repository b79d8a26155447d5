"""The rows of a study, resolved: what each trains, or under what it measures."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from varkit.errors import RecipeError, VarkitError, did_you_mean
from varkit.plugins.loading import Plugins
from varkit.recipe.load import Recipe, changed_recipe, find_recipe, load_recipe, shipped_recipes
from varkit.runs.measuring import needing_training
from varkit_studies.study import Row, Study


@dataclass(frozen=True)
class ResolvedRow:
    """A row with its recipe.

    Attributes:
        row: of the study.
        recipe: what it trains, or under what it measures.
        plugins: of the recipe.
        file: the recipe that ``varkit run`` is given; of a measuring row, its base's.
        overrides: what ``varkit run``, or ``varkit eval``, is given.
    """

    row: Row
    recipe: Recipe
    plugins: Plugins
    file: Path
    overrides: tuple[str, ...]


def resolve_rows(
    study: Study, overrides: Sequence[str] = (), *, strict: bool = False
) -> dict[str, ResolvedRow]:
    """Resolve every row through the ordinary recipe code.

    Args:
        study: checked.
        overrides: of all training rows, ``dotted.key=value``; they win over the file's.
        strict: refuse to take an embedded block.

    Raises:
        RecipeError: all that is wrong in any row.
    """
    found: dict[str, ResolvedRow] = {}
    problems: list[str] = []
    hints: list[str | None] = []
    for name in sorted(study.rows, key=lambda name: not study.rows[name].trains):  # bases first
        row = study.rows[name]
        try:
            if row.options.of is None:
                found[name] = _training(study, row, overrides, strict=strict)
            elif row.base in found:
                found[name] = _measuring(study, row, found[row.base])
        except VarkitError as error:
            said = error.problems if isinstance(error, RecipeError) else (error.what,)
            problems += [_named(study, row, problem) for problem in said]
            hints.append(error.hint)
    if problems:
        raise RecipeError(list(dict.fromkeys(problems)), hint=next(filter(None, hints), None))
    return {name: found[name] for name in study.rows}


def _training(study: Study, row: Row, overrides: Sequence[str], *, strict: bool) -> ResolvedRow:
    file = _recipe_file(study, row)
    given = (*_texts(study.options.overrides), *_texts(row.options.overrides))
    embedded = (*_texts(study.options.embedded), *_texts(row.options.embedded))

    def load(own: tuple[str, ...]) -> ResolvedRow:
        texts = (*own, *overrides)
        recipe, plugins = load_recipe(file, texts, strict=strict)
        return ResolvedRow(row, recipe, plugins, file, texts)

    return _with_embedded(load, given, embedded)


def _measuring(study: Study, row: Row, base: ResolvedRow) -> ResolvedRow:
    """Lay what is measured otherwise over the base's resolved recipe."""
    chain = [row]
    while (above := chain[-1].options.of) is not None and not study.rows[above].trains:
        chain.append(study.rows[above])
    given = tuple(text for one in reversed(chain) for text in _texts(one.options.measure))
    embedded = tuple(text for one in reversed(chain) for text in _texts(one.options.embedded))
    if problems := needing_training(text.partition("=")[0] for text in (*given, *embedded)):
        hint = "a row with 'overrides' instead of 'of' and 'measure' trains"
        raise RecipeError(problems, hint=hint)

    def load(texts: tuple[str, ...]) -> ResolvedRow:
        recipe = changed_recipe(base.recipe, base.plugins, texts)
        return ResolvedRow(row, recipe, base.plugins, base.file, texts)

    return _with_embedded(load, given, embedded)


def _with_embedded(
    load: Callable[[tuple[str, ...]], ResolvedRow],
    given: tuple[str, ...],
    embedded: tuple[str, ...],
) -> ResolvedRow:
    found = load(given)
    return load(given + embedded) if found.recipe.embedded and embedded else found


def _recipe_file(study: Study, row: Row) -> Path:
    name = row.options.recipe or study.options.recipe
    assert name is not None  # the study's check saw to it
    beside = study.folder / name
    if beside.is_file():
        return beside
    try:
        return find_recipe(name)
    except RecipeError as error:
        close = did_you_mean(name, shipped_recipes())
        raise RecipeError(
            [f"command line: recipe: there is no {name!r}, neither shipped nor {beside}.{close}"],
            hint=error.hint,
        ) from error


def _texts(changes: Mapping[str, Any]) -> tuple[str, ...]:
    """Write changes as the command line would."""
    return tuple(f"{key}={json.dumps(value)}" for key, value in changes.items())


def _named(study: Study, row: Row, problem: str) -> str:
    """Say which row a problem of the recipe code belongs to."""
    return f"{study.at('rows', row.name)}: {problem.removeprefix('command line: ')}"
