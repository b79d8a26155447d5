"""``varkit embeddings``: measure, fuse and re-rank embeddings or similarities of any model."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from varkit.cli.options import (
    accept_code_option,
    checkpoint_option,
    json_option,
    machine_options,
    options,
    split_option,
    target_argument,
)
from varkit.cli.output import echo

if TYPE_CHECKING:
    from varkit.search.scores import Scores
    from varkit.search.sources import Ground, ScoreSource

PLACE = click.Path(path_type=Path)


@click.group()
def embeddings() -> None:
    """Measure embeddings or a similarity of any model; export, fuse and re-rank runs."""


_model = options(
    checkpoint_option,
    click.option("--seed", type=int, help="Training of a run; default: its first."),
    accept_code_option,
    machine_options(),
)
_measured = options(
    split_option,
    click.option(
        "--positives",
        type=click.Choice(["own", "duplicates", "unique"]),
        help="Which answers are right (eval.positives); default: the recipe's.",
    ),
    click.option(
        "--ties",
        type=click.Choice(["average", "optimistic", "pessimistic"]),
        help="How equal scores count (eval.ties); default: the recipe's.",
    ),
    click.option(
        "--qrels",
        type=click.Path(dir_okay=False),
        help="TREC file of relevance judgements that decides instead (eval.qrels).",
    ),
    click.option("--name", help="Name of the result in tables."),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("runs"),
        show_default=True,
        help="Folder that gets <name>/<time>-<id>/.",
    ),
    json_option,
)
_on = click.option(
    "--on",
    metavar="TARGET",
    help="The data, needed if no run is given: a recipe or a data set, as in 'folder root=mine'.",
)


@embeddings.command("eval", epilog="Example: varkit embeddings eval clip.npz alan_ucf")
@click.argument("file", type=PLACE)
@target_argument
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@_measured
def measure(file: Path, target: str, changes: tuple[str, ...], **rest: Any) -> None:
    """Measure FILE on the data of TARGET.

    FILE is an .npz of embeddings or of a similarity, or a TREC .run. TARGET is a recipe or a data
    set, and KEY=VALUE changes it, as in varkit data. The result is a run folder that varkit
    compare reads.
    """
    from varkit.search.sources import read_source

    ground = _ruled(_ground([target, *changes], rest["split"]), rest)
    source = read_source(file, ground)
    _finish(source.scores, ground, [source], {"verb": "eval"}, rest, default=file.stem)


@embeddings.command(epilog="Example: varkit embeddings export runs/alan_ucf/20260101-1a2b3c a.npz")
@click.argument("run", type=PLACE)
@click.argument("out", type=PLACE)
@split_option
@_model
@click.option("--force", is_flag=True, help="Overwrite OUT.")
def export(run: Path, out: Path, split: str, force: bool, **rest: Any) -> None:
    """Encode a split with a trained model of RUN, and write its scores to OUT, an .npz file.

    These are embeddings or, if its similarity is not an inner product, the similarity.
    """
    from varkit.errors import VarkitError
    from varkit.search.score_files import ScoreFile, write_scores
    from varkit.search.sources import encode_run

    if out.suffix != ".npz":
        raise click.UsageError(f"{out}: name a file that ends in .npz")
    if out.exists() and not force:  # checked before encoding
        raise VarkitError(f"{out} exists", hint="choose another name, or add --force")
    source, ground = encode_run(run, split, **_chosen(rest))
    videos, queries = map(tuple, ground.names())
    write_scores(out, ScoreFile(videos, queries, source.scores, source.marks))
    factors = source.scores.factors
    kind = "a similarity" if factors is None else f"embeddings {factors[0].shape[1]} wide"
    simulated = " (simulated data)" if source.marks.simulated else ""
    echo(f"wrote {out}: {len(videos)} videos, {len(queries)} queries, {kind}{simulated}")


@embeddings.command(epilog="Example: varkit embeddings fuse runs/a/1 b.npz --weights 0.7,0.3")
@click.argument("sources", type=PLACE, nargs=-1, required=True, metavar="RUN|FILE...")
@click.option("--weights", help="One per source, separated by commas; default: equal weights.")
@click.option(
    "--scaling",
    type=click.Choice(["z", "raw"]),
    default="z",
    show_default=True,
    help="z: first scale each similarity to mean 0 and standard deviation 1; raw: do not scale.",
)
@_on
@_measured
@_model
def fuse(
    sources: tuple[Path, ...],
    weights: str | None,
    scaling: Literal["z", "raw"],
    on: str | None,
    **rest: Any,
) -> None:
    """Measure the weighted sum of the similarities of trained runs and files."""
    from varkit.search import scores

    if len(sources) < 2:
        raise click.UsageError("name at least two runs or files to fuse")
    shares = _weights(weights, len(sources))
    loaded, ground = _load(sources, on, rest)
    total = scores.fuse([source.scores.dense() for source in loaded], shares, scaling)
    how = {"verb": "fuse", "weights": list(shares), "scaling": scaling}
    _finish(scores.Scores(matrix=total), ground, loaded, how, rest, default="fuse")


@embeddings.command(epilog="Example: varkit embeddings rerank runs/fast/1 runs/slow/2 --depth 50")
@click.argument("first", type=PLACE)
@click.argument("second", type=PLACE)
@click.option(
    "--depth", type=click.IntRange(1), required=True, help="How many candidates to re-rank."
)
@_on
@_measured
@_model
def rerank(first: Path, second: Path, depth: int, on: str | None, **rest: Any) -> None:
    """Measure FIRST's ranking with its DEPTH best candidates re-ranked by SECOND.

    FIRST and SECOND are trained runs or files. Both directions are re-ranked: a query's best
    videos, and a video's best queries. Ties with the last candidate are candidates too.
    """
    from varkit.search import scores

    loaded, ground = _load((first, second), on, rest)
    fast, slow = (source.scores.dense() for source in loaded)
    forth = scores.Scores(matrix=scores.rerank(fast, slow, depth))
    back = scores.Scores(matrix=scores.rerank(fast.T, slow.T, depth).T)
    how = {"verb": "rerank", "depth": depth}
    _finish(forth, ground, loaded, how, rest, default="rerank", backward=back)


def _weights(text: str | None, count: int) -> tuple[float, ...]:
    if text is None:
        return (1 / count,) * count
    try:
        weights = tuple(float(part) for part in text.split(","))
    except ValueError:
        raise click.UsageError(f"--weights {text}: give numbers separated by commas") from None
    if len(weights) != count or not all(0 < weight < float("inf") for weight in weights):
        raise click.UsageError(f"--weights {text}: give {count} numbers above 0, one per source")
    return weights


def _ground(words: Sequence[str], split: str) -> Ground:
    from varkit.cli.data_display import announce
    from varkit.recipe.target import find_target
    from varkit.search.sources import Ground

    target = find_target(words[0], words[1:])
    # Only the data matter here. Anything else that is missing counts only if the embedded block,
    # which is used because of it, also changed the data.
    lacking = tuple(line for line in target.missing if line.startswith("data "))
    moved = any(origin.startswith("embedded") for origin in target.origins.values())
    missing = lacking or (target.missing if moved else ())
    announce(replace(target, missing=missing), strict=False)
    return Ground(target.build(), split, target.evaluation)


def _load(
    places: Sequence[Path], on: str | None, rest: Mapping[str, Any]
) -> tuple[list[ScoreSource], Ground]:
    from varkit.search.sources import load_sources

    words = shlex.split(on or "")
    ground = _ground(words, rest["split"]) if words else None
    loaded, ground = load_sources(places, rest["split"], ground=ground, **_chosen(rest))
    return loaded, _ruled(ground, rest)


def _ruled(ground: Ground, rest: Mapping[str, Any]) -> Ground:
    """Return the ground with the ranking rules of the command line."""
    keys = ("positives", "qrels", "ties")
    rules = {key: rest[key] for key in keys if rest[key] is not None}
    if {"positives", "qrels"} <= rules.keys():
        raise click.UsageError("give either --positives or --qrels: each says what is right")
    if "positives" in rules:
        rules["qrels"] = None  # instead of the recipe's
    return replace(ground, options=replace(ground.options, **rules))


def _chosen(rest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments that choose models and their device."""
    from varkit.system.machine import prepare

    device, _ = prepare(rest["device"], rest["threads"])
    chosen = {key: rest[key] for key in ("seed", "accept_code")}
    return {"which": rest["checkpoint"], "device": device, **chosen}


def _finish(
    scores: Scores,
    ground: Ground,
    sources: Sequence[ScoreSource],
    how: Mapping[str, Any],
    rest: Mapping[str, Any],
    *,
    default: str,
    backward: Scores | None = None,
) -> None:
    """Measure, save and print."""
    from varkit.cli.training_display import report, show_results
    from varkit.search.measured import write_measured

    name = rest["name"] or default
    if Path(name).name != name or name == "..":
        raise click.UsageError(f"--name {name}: must be a folder's name, not a path")
    folder, results = write_measured(
        scores,
        ground,
        sources,
        how,
        backward=backward,
        name=name,
        out=rest["out"],
        command=["varkit", *sys.argv[1:]],
        started=datetime.now(UTC),
    )
    show_results(results, as_json=rest["as_json"])
    echo(f"run: {folder}", err=True)
    report(folder)
