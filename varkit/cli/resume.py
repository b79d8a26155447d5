"""``varkit resume``: continue a run that was stopped or killed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli.options import (
    accept_code_option,
    check_option,
    json_option,
    machine_options,
    run_argument,
)

if TYPE_CHECKING:
    from varkit.data.inspect.check import Depth


@click.command()
@run_argument
@click.argument("changes", nargs=-1, metavar="[train.seeds=[...]]")
@accept_code_option
@check_option
@machine_options(device=None, otherwise="as when the run began")
@json_option
def resume(
    run: Path,
    changes: tuple[str, ...],
    accept_code: bool,
    check: Depth,
    device: str | None,
    threads: int | None,
    as_json: bool,
) -> None:
    """Continue a run from its newest checkpoint.

    On the same machine, with the same threads and processes, the result equals that of an
    uninterrupted run to the last bit. A finished run is only shown again, unless train.seeds adds
    seeds to it: those that it has stay as they are.

    \b
    Examples:
      varkit resume runs/alan_ucf/20260101-120000-1a2b3c
      varkit resume alan_ucf/latest 'train.seeds=[0, 1, 2]'
    """
    from functools import partial

    from varkit.cli.data_display import check_dataset, pointing_to_verify, prepare_data
    from varkit.cli.training_display import announce, finish, show_finished
    from varkit.model.build import build_dataset, prepare_dataset
    from varkit.runs.experiment import finished_results
    from varkit.runs.folder import open_run
    from varkit.runs.seeds import add_seeds, with_more_seeds
    from varkit.system import distributed
    from varkit.system.machine import prepare

    opened = open_run(run, accept_code=accept_code)
    opened.check_trainings()
    recipe = with_more_seeds(opened, changes)
    if recipe == opened.recipe and (results := finished_results(opened)) is not None:
        show_finished(opened, results, as_json=as_json)
        return
    chosen, count = prepare(device or opened.facts["device"], threads or opened.facts["threads"])
    with (
        distributed.process_group(chosen, recipe.train.timeout),
        pointing_to_verify(str(opened.folder / "recipe.yaml")),
    ):
        announce(recipe, chosen, count)
        prepare_data(partial(prepare_dataset, recipe, opened.plugins))
        dataset = build_dataset(recipe, opened.plugins)
        checked = None
        if distributed.rank() == 0:
            checked = check_dataset(dataset, check, workers=recipe.train.workers)
        opened.check_same_data(dataset)
        if distributed.rank() == 0 and recipe != opened.recipe:
            add_seeds(opened, recipe)
        distributed.barrier("rank 0, which records the seeds")
        opened = open_run(opened.folder, accept_code=accept_code)
        finish(opened, dataset, checked, chosen, as_json=as_json)
