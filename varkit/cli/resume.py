"""``varkit resume``: continue a run that was stopped or killed."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import accept_code_option, json_option, machine_options, run_argument


@click.command()
@run_argument
@accept_code_option
@machine_options(device=None, otherwise="as when the run began")
@json_option
def resume(
    run: Path, accept_code: bool, device: str | None, threads: int | None, as_json: bool
) -> None:
    """Continue a run from its newest checkpoint.

    On the same machine, with the same threads and processes, the result equals that of an
    uninterrupted run to the last bit. A finished run is only measured and shown again.

    \b
    Example:
      varkit resume runs/alan_ucf/20260101-120000-1a2b3c
    """
    from varkit.cli.training_display import announce, finish
    from varkit.model.build import build_dataset
    from varkit.runs.folder import open_run
    from varkit.system import distributed
    from varkit.system.machine import prepare

    opened = open_run(run, accept_code=accept_code)
    opened.check_trainings()
    chosen, count = prepare(device or opened.facts["device"], threads or opened.facts["threads"])
    with distributed.process_group(chosen):
        announce(opened.recipe, chosen, count)
        finish(opened, build_dataset(opened.recipe, opened.plugins), chosen, as_json=as_json)
