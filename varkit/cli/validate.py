"""``varkit validate``: check a recipe without running it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from varkit.cli.options import json_option, recipe_argument, strict_option
from varkit.cli.output import echo, print_json

if TYPE_CHECKING:
    from varkit.plugins.loading import Plugins
    from varkit.recipe.load import Recipe

PAIRS = 4
"""How many pairs a batch has that is only tried."""

EXAMPLES = """\b
Examples:
  varkit validate mine.yaml
  varkit validate alan_ucf train.epochs=3 --strict
  varkit validate mine.yaml --build
"""


@click.command(epilog=EXAMPLES)
@recipe_argument
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@strict_option
@click.option("--build", is_flag=True, help="Also build its model, and train it on one batch.")
@json_option
def validate(
    recipe: str, overrides: tuple[str, ...], strict: bool, build: bool, as_json: bool
) -> None:
    """Check a recipe: every name, key and value, and what is missing here to run it.

    --build also finds what does not fit together, such as heads that do not divide a width, or an
    alignment that asks for a part that the encoders do not give. Nothing is written.
    """
    from varkit.errors import RecipeError
    from varkit.recipe.load import load_recipe
    from varkit.search.search_recipe import is_search_recipe, load_search_recipe

    try:
        if is_search_recipe(recipe) and not build:
            load_search_recipe(recipe, overrides)
            if as_json:
                print_json({"valid": True, "embedded": False, "missing": []})
            else:
                echo(f"{recipe}: valid")
            return
        resolved, plugins = load_recipe(recipe, overrides, strict=strict)
        losses = _train_one_batch(resolved, plugins) if build else {}
    except RecipeError as error:
        if as_json:
            print_json({"valid": False, "problems": error.problems})
        raise
    if as_json:
        outcome = {"valid": True, "embedded": resolved.embedded, "missing": resolved.missing}
        print_json(outcome | ({"losses": losses} if build else {}))
        return
    echo(f"{resolved.path}: valid" + ", and its model can be built" * build)
    if build:
        shown = ", ".join(f"{name} {loss:.4g}" for name, loss in losses.items())
        echo(f"losses of one batch: {shown}")
    if resolved.embedded:
        echo("uses its embedded block, since this is missing here:")
        for line in resolved.missing:
            echo(f"  {line}")


def _train_one_batch(recipe: Recipe, plugins: Plugins) -> dict[str, float]:
    """Return the losses of the first few training pairs, after a backward pass.

    Raises:
        PluginError: a component raised an error, or a loss is not finite.
    """
    import math

    import torch

    from varkit.data.batches import training_batches
    from varkit.errors import PluginError, VarkitError, named
    from varkit.model.build import build_dataset
    from varkit.plugins.isolation import raised_at
    from varkit.runs.captions import read_captions
    from varkit.runs.rehearsal import check_training
    from varkit.system.output import stdout_to_stderr

    dataset, seed = build_dataset(recipe, plugins), recipe.train.seeds[0]
    torch.manual_seed(seed)
    model = check_training(recipe, plugins, dataset).train()
    read_captions(model.query, dataset)
    batches = training_batches(
        dataset,
        dataset.split("train")[:PAIRS],
        tokenize=getattr(model.query, "tokenize", None),
        batch_size=PAIRS,
        max_clips=recipe.train.max_clips,
        seed=seed,
        epoch=0,
    )
    first = recipe.detector.settings.pretrain_epochs if recipe.detector is not None else 0
    try:
        with stdout_to_stderr():  # what plugins print is not a result
            losses = model(next(batches), epoch=first)  # the first epoch that has every loss
            torch.autograd.backward(losses["total"])
    except VarkitError:
        raise
    except Exception as error:
        at = raised_at(error, *(entry.path.partition(":")[0] for entry in plugins.registry))
        raise PluginError(f"one batch does not go through the model: {named(error)}{at}") from error
    figures = {name: float(loss.detach()) for name, loss in losses.items()}
    for name, figure in figures.items():
        if not math.isfinite(figure):
            raise PluginError(f"one batch of {PAIRS} pairs has the loss {name} = {figure}")
    return figures
