"""Adds seeds to a run: those that it has stay as they are, and resuming it trains the new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from varkit.errors import RecipeError
from varkit.recipe.layers import Change, read_changes
from varkit.recipe.load import Recipe, changed_recipe
from varkit.runs.folder import RecipeFacts, Run, locked
from varkit.system.files import write_json, write_text

SEEDS = ("train", "seeds")


def with_more_seeds(run: Run, overrides: Sequence[str | Change]) -> Recipe:
    """Return the recipe of a run with more seeds; nothing is written.

    Args:
        run: the run.
        overrides: ``train.seeds=[...]``, with those that the run has.

    Raises:
        RecipeError: something else is changed, or a seed of the run is left out.
    """
    changes = read_changes(overrides)
    fixed = [
        change.problem("cannot change in a run; only train.seeds can, to add seeds")
        for change in changes
        if change.path != SEEDS
    ]
    if fixed:
        raise RecipeError(fixed, hint="varkit run trains under any change")
    recipe = changed_recipe(run.recipe, run.plugins, changes) if changes else run.recipe
    lost = [seed for seed in run.recipe.train.seeds if seed not in recipe.train.seeds]
    if lost:
        raise RecipeError(
            [changes[-1].problem(f"leaves out {lost}, which {run.folder} has trained")],
            hint="list the run's seeds too; seeds can only be added",
        )
    return recipe


def add_seeds(run: Run, recipe: Recipe) -> Run:
    """Record a recipe of :func:`with_more_seeds` in a run, which then is not finished.

    Raises:
        RunError: another process uses the run.
        WriteError: the disk is full or not writable.
    """
    seeds = list(recipe.train.seeds)
    with locked(run.folder):
        (run.folder / "results.json").unlink(missing_ok=True)
        facts: RecipeFacts = {**run.facts, "seeds": seeds, "digest": recipe.digest()}
        write_json(run.folder / "run.json", facts)  # from now on, whatever recipe.yaml says
        write_text(run.folder / "recipe.yaml", recipe.to_yaml())
    return replace(run, recipe=recipe, facts=facts)
