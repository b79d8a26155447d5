"""``varkit bench similarity``: the similarity of ALAN and its ranking loss, backend by backend."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click

from varkit.cli.options import json_option, machine_options
from varkit_bench.options import check_number, check_picture, parse_names, parse_sizes


@click.command()
@click.option(
    "--backends",
    callback=parse_names,
    metavar="NAME,...",
    help="Backends and baselines; default: all that can run here.",
)
@click.option(
    "--sizes",
    callback=parse_sizes,
    default="64,256,1024",
    show_default=True,
    metavar="B,...",
    help="Pairs in a batch.",
)
@click.option(
    "--dtype",
    default="float32",
    show_default=True,
    help="Of the products: float32, bfloat16, float16, float64.",
)
@machine_options()
@click.option(
    "--experts",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="E, in each of two alignments.",
)
@click.option(
    "--width", type=click.IntRange(1), default=768, show_default=True, help="d of a vector."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    callback=check_number,
    default=2.0,
    show_default=True,
    help="Measuring time of a figure, roughly; at least 3 repeats.",
)
@json_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=check_picture,
    metavar="FILE.png",
    help="Also draw time and speed by B.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder that gets similarity.json and similarity.md.",
)
def similarity(
    backends: tuple[str, ...] | None,
    sizes: tuple[int, ...],
    dtype: str,
    device: str,
    threads: int | None,
    experts: int,
    width: int,
    seconds: float,
    as_json: bool,
    plot: Path | None,
    out: Path | None,
) -> None:
    """Measure the similarity with its ranking loss, forward and backward.

    A backend's loss and gradients are checked against float64 first; one that is wrong is not
    timed, and the exit code is 1. Speed is how many times faster than eager, expert by expert.

    \b
    Examples:
      varkit bench similarity
      varkit bench similarity --sizes 64,1024,4096 --threads 1 --plot speed.png
      varkit bench similarity --device cuda --dtype bfloat16 --json > h200.json
    """
    import torch

    from varkit.system.files import write_json, write_text
    from varkit.system.machine import usable_cores
    from varkit_bench import display
    from varkit_bench.sweep import Sweep, measure

    chosen = Sweep.checked(sizes, backends, dtype, device, experts, width, seconds)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or usable_cores())
    try:
        found = measure(chosen, lambda line: click.echo(line, err=True))
        found["command"] = _command(found, torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    if as_json:
        click.echo(json.dumps(found, indent=2, allow_nan=False))
    else:
        display.show(found)
    written = []
    if out is not None:
        write_json(out / "similarity.json", found)
        write_text(out / "similarity.md", display.markdown(found))
        written += [out / "similarity.json", out / "similarity.md"]
    if plot is not None:
        from varkit_bench.plot import draw

        draw(found, plot)
        written.append(plot)
    for path in written:
        click.echo(f"wrote {path}", err=True)
    if any(row["correct"] is False for row in found["results"]):
        raise click.exceptions.Exit(1)


def _command(found: dict[str, Any], threads: int) -> str:
    """Return the command that measures the same again, with every option said."""
    settings = found["settings"]
    options = {
        "sizes": ",".join(map(str, settings["sizes"])),
        "backends": ",".join(settings["backends"]),
        "threads": threads,
        **{name: settings[name] for name in ("dtype", "device", "experts", "width", "seconds")},
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join(["varkit", "bench", "similarity", *words])
