"""``varkit remeasure``: measure a trained run under changed options, as a run of its own."""

from __future__ import annotations

import sys
from pathlib import Path

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.argument("changes", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder that gets the measured run; varkit compare reads it.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: usable cores.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON on stdout.")
def remeasure(
    run: Path,
    changes: tuple[str, ...],
    out: Path,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure the trained models of RUN with other samplers, weights of alignments, rules or data.

    Nothing is trained, and no file of RUN changes. The result says what it was measured from.

    \b
    Examples:
      varkit remeasure runs/alan_ucf/20260101-120000-1a2b3c alignments.cls.weight=1 \\
        alignments.avg.weight=0 --out runs/cls_alone
    """
    import json

    from varkit.cli.training_display import print_results
    from varkit.runs.remeasure import remeasure as measure_again
    from varkit.system.machine import prepare

    chosen, count = prepare(device, threads)
    results = measure_again(
        run,
        changes,
        out=out,
        device=chosen,
        threads=count,
        command=["varkit", *sys.argv[1:]],
    )
    if as_json:
        click.echo(json.dumps(results))
    else:
        print_results(results)
