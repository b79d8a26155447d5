"""``varkit eval``: measure a trained run again."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click


@click.command("eval")
@click.argument("run", type=click.Path(path_type=Path, file_okay=False))
@click.option("--seed", type=int, help="Of the training; default: the run's first.")
@click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    help="The selected epoch, or the last; default: the selected one, where there is one.",
)
@click.option("--split", default="test", show_default=True, help="Part of the data set.")
@click.option(
    "--positives",
    type=click.Choice(["own", "duplicates", "unique"]),
    help="Which answers are right: a query's own video, every video with literally the same "
    "caption, or the same with equal captions as one query; default: the recipe's.",
)
@click.option(
    "--ties",
    type=click.Choice(["average", "optimistic", "pessimistic"]),
    help="How equal scores count; default: the recipe's.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets ranks/ and trec/: the rank of every query, and TREC files.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: usable cores.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON on stdout.")
def evaluate(
    run: Path,
    seed: int | None,
    checkpoint: Literal["best", "last"] | None,
    split: str,
    positives: Literal["own", "duplicates", "unique"] | None,
    ties: Literal["average", "optimistic", "pessimistic"] | None,
    out: Path | None,
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure a trained model of RUN again; no file of the run changes.

    \b
    Examples:
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c --checkpoint last --json
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c --positives unique --out ranks
    """
    import json
    from dataclasses import replace

    from varkit.cli.training_display import print_results
    from varkit.evaluate.figures import chance
    from varkit.evaluate.measurement import measure
    from varkit.evaluate.results import summarize_seeds
    from varkit.runs.folder import load_model, open_run
    from varkit.system.machine import prepare

    chosen, _ = prepare(device, threads)
    opened = open_run(run)
    training = opened.recipe.train
    seed = training.seeds[0] if seed is None else seed
    which = checkpoint or opened.reported(seed)
    model, dataset, recipe = load_model(run, seed, which)
    found, report = measure(
        model.to(chosen),
        dataset,
        dataset.split(split),
        options=replace(
            recipe.eval,
            positives=positives or recipe.eval.positives,
            ties=ties or recipe.eval.ties,
        ),
        device=chosen,
        folder=out,
        which=which,
    )
    result = {
        "schema": 1,
        "simulated": dataset.simulated,
        "dataset": dataset.name,
        "selection": training.select,
        "best": None,
        "last": None,
        which: report,
    }
    results = summarize_seeds({seed: result}, chance=chance(found.positives), split=split)
    if as_json:
        click.echo(json.dumps(results))
    else:
        print_results(results)
