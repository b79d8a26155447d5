"""``varkit eval``: measure a trained run again, with or without changed options."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli.options import (
    accept_code_option,
    checkpoint_option,
    json_option,
    machine_options,
    run_argument,
    split_option,
)

if TYPE_CHECKING:
    from varkit.interfaces.settings import Which


@click.command("eval")
@run_argument
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--seed", type=int, help="Of the training; default: the run's first; all with --out.")
@checkpoint_option
@split_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets the measurement as a run of its own, of all trainings and checkpoints "
    "unless you name one; varkit compare reads it.",
)
@accept_code_option
@machine_options()
@json_option
def evaluate(
    run: Path,
    changes: tuple[str, ...],
    seed: int | None,
    checkpoint: Which | None,
    split: str,
    out: Path | None,
    accept_code: bool,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure trained models of RUN again; nothing in RUN changes.

    KEY=VALUE changes what needs no training: the sections data, samplers, alignments and eval of
    the run's recipe. The weights must still fit.

    \b
    Examples:
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c --checkpoint last --json
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c eval.positives=unique eval.ties=optimistic
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c alignments.cls.weight=1 \\
        alignments.avg.weight=0 --out runs/cls_alone
    """
    from varkit.cli.training_display import show_results
    from varkit.runs.folder import open_run
    from varkit.runs.measuring import measure_again
    from varkit.system.machine import prepare

    place, _ = prepare(device, threads)
    results = measure_again(
        open_run(run, accept_code=accept_code),
        changes,
        seed=seed,
        which=checkpoint,
        split=split,
        device=place,
        out=out,
        command=["varkit", *sys.argv[1:]],
    )
    show_results(results, as_json=as_json)
