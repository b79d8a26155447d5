"""``varkit bench similarity``: ALAN's similarity and ranking loss, backend by backend."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import click

from varkit.cli.options import json_option, machine_options
from varkit.cli.output import echo, print_json
from varkit_bench.options import check_number, check_picture, parse_names, parse_sizes


@click.command()
@click.option(
    "--backends",
    callback=parse_names,
    metavar="NAME,...",
    help="Backends and baselines; default: all that run here.",
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
    help="Type of the products: float32, bfloat16, float16, float64.",
)
@machine_options()
@click.option(
    "--experts",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Experts E in each of two alignments.",
)
@click.option(
    "--width", type=click.IntRange(1), default=768, show_default=True, help="Width d of a vector."
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    callback=check_number,
    default=2.0,
    show_default=True,
    help="Approximate measuring time per figure; at least 3 repeats.",
)
@json_option
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    callback=check_picture,
    metavar="FILE.png",
    help="Also plot time and speed by B.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Folder for similarity.json and similarity.md.",
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

    A backend's loss and gradients are checked against float64 first. A wrong backend is not timed,
    and the exit code is 1. Speed is relative to eager, which computes expert by expert.

    \b
    Examples:
      varkit bench similarity
      varkit bench similarity --sizes 64,1024,4096 --threads 1 --plot speed.png
      varkit bench similarity --device cuda --dtype bfloat16 --json > h200.json
    """
    import torch

    from varkit.system.files import write_json, write_text
    from varkit.system.machine import usable_threads
    from varkit_bench import display
    from varkit_bench.sweep import Sweep, measure

    chosen = Sweep.checked(sizes, backends, dtype, device, experts, width, seconds)
    before = torch.get_num_threads()
    torch.set_num_threads(threads or usable_threads())
    try:
        report = measure(chosen, lambda line: echo(line, err=True))
        report["command"] = _command(report, torch.get_num_threads())
    finally:
        torch.set_num_threads(before)
    if as_json:
        print_json(report)
    else:
        display.show(report)
    written = []
    if out is not None:
        write_json(out / "similarity.json", report)
        write_text(out / "similarity.md", display.markdown(report))
        written += [out / "similarity.json", out / "similarity.md"]
    if plot is not None:
        from varkit_bench.plot import draw

        draw(report, plot)
        written.append(plot)
    for path in written:
        echo(f"wrote {path}", err=True)
    if any(row["correct"] is False for row in report["results"]):
        raise click.exceptions.Exit(1)


def _command(report: dict[str, Any], threads: int) -> str:
    """Return the command that repeats the measurement, with every option."""
    settings = report["settings"]
    options = {
        "sizes": ",".join(map(str, settings["sizes"])),
        "backends": ",".join(settings["backends"]),
        "threads": threads,
        **{name: settings[name] for name in ("dtype", "device", "experts", "width", "seconds")},
    }
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    return shlex.join(["varkit", "bench", "similarity", *words])
