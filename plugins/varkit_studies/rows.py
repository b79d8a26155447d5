"""Resolves the rows of a study: the recipe that each trains, or measures under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from varkit.errors import RecipeError, VarkitError, did_you_mean
from varkit.plugins.loading import Plugins
from varkit.recipe.layers import Change, read_changes
from varkit.recipe.load import Recipe, load_recipe
from varkit.recipe.shipped import find_recipe, shipped_recipes
from varkit.runs.measuring import measured_recipe
from varkit_studies.study_file import Row, Study


@dataclass(frozen=True)
class ResolvedRow:
    """A row with its recipe.

    Attributes:
        row: of the study.
        recipe: the recipe that it trains, or measures under.
        plugins: of the recipe.
        file: the recipe file for ``varkit run``; for a measuring row, the file of its base.
        changes: applied to that recipe, or to the base's.
    """

    row: Row
    recipe: Recipe
    plugins: Plugins
    file: Path
    changes: tuple[Change, ...]

    @property
    def overrides(self) -> tuple[str, ...]:
        """The overrides with which ``varkit run`` or ``varkit eval`` gives the same recipe."""
        return tuple(
            change.text
            for change in self.changes
            if self.recipe.embedded or change.layer != "embedded"
        )


def resolve_rows(
    study: Study, overrides: Sequence[str] = (), *, strict: bool = False
) -> dict[str, ResolvedRow]:
    """Resolve every row through the ordinary recipe code.

    Args:
        study: checked.
        overrides: for all training rows, ``dotted.key=value``; they win over those of the file.
        strict: refuse to use an embedded block.

    Raises:
        RecipeError: everything that is wrong in any row.
    """
    last = read_changes(overrides)
    resolved: dict[str, ResolvedRow] = {}
    problems: list[str] = []
    hints: list[str | None] = []
    for name in sorted(study.rows, key=lambda name: not study.rows[name].trains):  # bases first
        row = study.rows[name]
        try:
            if row.options.of is None:
                resolved[name] = _training(study, row, last, strict=strict)
            elif row.base in resolved:
                resolved[name] = _measuring(study, row, resolved[row.base])
        except VarkitError as error:
            problems += error.problems if isinstance(error, RecipeError) else [error.what]
            hints.append(error.hint)
    if problems:
        raise RecipeError(list(dict.fromkeys(problems)), hint=next(filter(None, hints), None))
    return {name: resolved[name] for name in study.rows}


def _training(study: Study, row: Row, last: Sequence[Change], *, strict: bool) -> ResolvedRow:
    file = _recipe_file(study, row)
    changes = (*study.changes("overrides", (), ("rows", row.name)), *last)
    recipe, plugins = load_recipe(file, changes, strict=strict)
    return ResolvedRow(row, recipe, plugins, file, changes)


def _measuring(study: Study, row: Row, base: ResolvedRow) -> ResolvedRow:
    """Apply a row's measuring changes, and those of rows that it measures, to the base's recipe."""
    chain = [row.name]
    while (parent := study.rows[chain[0]].options.of) is not None and not study.rows[parent].trains:
        chain.insert(0, parent)
    changes = study.changes("measure", *(("rows", name) for name in chain))
    recipe = measured_recipe(base.recipe, base.plugins, changes)
    return ResolvedRow(row, recipe, base.plugins, base.file, changes)


def _recipe_file(study: Study, row: Row) -> Path:
    name = row.options.recipe or study.options.recipe
    assert name is not None  # load_study has checked it
    beside = study.folder / name
    if beside.is_file():
        return beside
    try:
        return find_recipe(name)
    except RecipeError as error:
        at = ("recipe",) if row.options.recipe is None else ("rows", row.name, "recipe")
        close = did_you_mean(name, shipped_recipes())
        raise RecipeError(
            [f"{study.at(*at)}: there is no {name!r}, neither shipped nor {beside}.{close}"],
            hint=error.hint,
        ) from error
