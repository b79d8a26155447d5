"""``varkit run``: train and measure a recipe."""

from __future__ import annotations

import sys
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli.options import (
    check_option,
    json_option,
    machine_options,
    recipe_argument,
    strict_option,
)

if TYPE_CHECKING:
    from varkit.data.inspect.check import Depth


@click.command()
@recipe_argument
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@strict_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs"),
    show_default=True,
    help="Folder that gets <recipe>/<time>-<id>/.",
)
@check_option
@machine_options()
@json_option
def run(
    recipe: str,
    overrides: tuple[str, ...],
    strict: bool,
    out: Path,
    check: Depth,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Train a recipe, select a checkpoint, measure it and write the page.

    Faults of the data that varkit data verify would list are refused before the first step.

    RECIPE is a file, or the name of a recipe that ships with varkit (see varkit ls). KEY=VALUE
    overrides any line of it. Start with torchrun for several processes.

    \b
    Examples:
      varkit run recipes/alan_ucf.yaml
      varkit run recipes/alan_ucf.yaml samplers.anomaly.temperature=0.1
      varkit run alan_ucf 'train.seeds=[0, 1, 2]' --out results
      torchrun --nproc-per-node=2 -m varkit run recipes/alan_ucf.yaml
    """
    from datetime import datetime
    from functools import partial

    from varkit.cli.data_display import check_dataset, pointing_to_verify, prepare_data
    from varkit.cli.training_display import announce, finish
    from varkit.model.build import build_dataset, prepare_dataset
    from varkit.recipe.load import load_recipe
    from varkit.runs.folder import create_run, open_run
    from varkit.runs.rehearsal import check_training
    from varkit.system import distributed
    from varkit.system.machine import prepare

    resolved, plugins = load_recipe(recipe, overrides, strict=strict)
    chosen, count = prepare(device, threads)
    verify = [recipe, *overrides, *["--strict"] * strict]
    with distributed.process_group(chosen, resolved.train.timeout), pointing_to_verify(*verify):
        announce(resolved, chosen, count)
        prepare_data(partial(prepare_dataset, resolved, plugins))
        dataset = build_dataset(resolved, plugins)
        check_training(resolved, plugins, dataset)
        folder, checked = "", None
        if distributed.rank() == 0:
            checked = check_dataset(dataset, check, workers=resolved.train.workers)
            made = create_run(
                resolved,
                plugins,
                dataset,
                checked,
                out=out,
                command=["varkit", *sys.argv[1:]],
                started=datetime.now(UTC),
                device=str(chosen),
                threads=count,
            )
            folder = str(made.folder)
        opened = open_run(Path(distributed.from_first_rank(folder, chosen)))
        finish(opened, dataset, checked, chosen, as_json=as_json)
