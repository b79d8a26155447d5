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
    "--ties",
    type=click.Choice(["average", "optimistic", "pessimistic"]),
    default="average",
    show_default=True,
    help="How equal scores count.",
)
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1, ...")
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: usable cores.")
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON on stdout.")
def evaluate(
    run: Path,
    seed: int | None,
    checkpoint: Literal["best", "last"] | None,
    split: str,
    ties: Literal["average", "optimistic", "pessimistic"],
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Measure a trained model of RUN again; no file of the run changes.

    \b
    Examples:
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c
      varkit eval runs/alan_ucf/20260101-120000-1a2b3c --checkpoint last --json
    """
    import json

    from varkit import evaluation
    from varkit.cli.training_display import prepare, print_results
    from varkit.metrics import chance
    from varkit.results import summarize_seeds
    from varkit.runs import load_model, open_run

    chosen, _ = prepare(device, threads)
    opened = open_run(run)
    training = opened.recipe.train
    seed = training.seeds[0] if seed is None else seed
    selected = opened.seed_folder(seed) / "models" / "best.safetensors"
    which = checkpoint or ("best" if selected.is_file() else "last")
    model, dataset, recipe = load_model(run, seed, which)
    items = dataset.split(split)
    found = evaluation.evaluate(
        model.to(chosen), dataset, items, options=recipe.eval, device=chosen, ties=ties
    )
    result = {
        "schema": 1,
        "simulated": dataset.simulated,
        "dataset": dataset.name,
        "selection": training.select,
        "best": None,
        "last": None,
        which: found.report,
    }
    results = summarize_seeds({seed: result}, chance=chance(len(items), found.owner), split=split)
    if as_json:
        click.echo(json.dumps(results))
    else:
        print_results(results)
