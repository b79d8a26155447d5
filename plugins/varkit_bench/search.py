"""``varkit bench search``: exact search over simulated vectors, beside FAISS."""

from __future__ import annotations

from pathlib import Path

import click

from varkit.cli.options import json_option
from varkit.cli.output import echo, print_json
from varkit_bench.options import check_number, parse_names, parse_sizes


@click.command()
@click.option(
    "--rows",
    callback=parse_sizes,
    default="1000,100000",
    show_default=True,
    metavar="N,...",
    help="Windows of the gallery.",
)
@click.option(
    "--widths",
    callback=parse_sizes,
    default="384,1521,3072",
    show_default=True,
    metavar="K,...",
    help="Numbers of a row.",
)
@click.option(
    "--precisions",
    callback=parse_names,
    default="fp16,fp32",
    show_default=True,
    metavar="NAME,...",
    help="Of the stored numbers.",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: usable cores.")
@click.option(
    "--seconds",
    type=click.FloatRange(0, 3600),
    callback=check_number,
    default=2.0,
    show_default=True,
    help="Approximate measuring time per figure; at least 5 repeats.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Where the galleries are written and removed; default: the system's for temporary files.",
)
@json_option
def search(
    rows: tuple[int, ...],
    widths: tuple[int, ...],
    precisions: tuple[str, ...],
    threads: int | None,
    seconds: float,
    folder: Path | None,
    as_json: bool,
) -> None:
    """Measure the engine exact on simulated vectors, and a flat FAISS index of the same ones.

    Both compute with the same number of threads, in turns. A ratio above 1 means that exact is
    faster. FAISS is an option: pip install faiss-cpu.

    \b
    Examples:
      varkit bench search
      varkit bench search --rows 1000000 --widths 384 --precisions fp16
    """
    from varkit.search.threads import usable_threads
    from varkit_bench.galleries import KINDS, Gallery, check_room, measure

    for precision in precisions:
        if precision not in KINDS:
            raise click.BadParameter(
                f"{precision!r} is not one of {', '.join(KINDS)}", param_hint="'--precisions'"
            )
    results, skipped = [], []
    count = threads or usable_threads()
    for number in rows:
        for width in widths:
            for precision in precisions:
                gallery = Gallery(number, width, precision)
                if (why := check_room(gallery, folder)) is not None:
                    skipped.append(f"{gallery}: {why}")
                    continue
                echo(f"{gallery} ...", err=True)
                results += measure(gallery, folder, threads=count, seconds=seconds)
    if as_json:
        print_json({"simulated": True, "threads": count, "results": results, "skipped": skipped})
        return
    from varkit.cli.terminal import print_table, print_text
    from varkit_bench.galleries import table

    print_table(table(results, count))
    for line in skipped:
        print_text(f"skipped: {line}")
