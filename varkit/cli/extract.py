"""``varkit extract``: make streams of features from video and sound files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from varkit.cli.options import json_option, machine_options
from varkit.cli.output import print_json

PARTIAL = 3
"""The exit code if a file was skipped, damaged, or could not be extracted."""
CORES_A_WORKER = 4
"""Convolutions of small batches gain little from more threads."""


@click.command()
@click.argument("videos", type=click.Path(path_type=Path))
@click.argument("changes", nargs=-1, metavar="[NAME.OPTION=VALUE]...")
@click.option(
    "--use",
    multiple=True,
    required=True,
    metavar="NAMES",
    help="Extractors, as in image,yamnet. NAME=EXTRACTOR gives one a name of its own.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    metavar="STORE",
    help="Folder of the store. What it has is not made again.",
)
@click.option(
    "--workers",
    type=click.IntRange(1),
    help="Processes that extract; default: one for every four cores.",
)
@click.option(
    "--executor",
    type=click.Choice(["local", "ray"]),
    default="local",
    show_default=True,
    help="Where workers run. ray: on the cluster that RAY_ADDRESS names, else on this machine.",
)
@click.option("--plan", "only_plan", is_flag=True, help="Print what it will take, and stop.")
@click.option("--retry", is_flag=True, help="Try files again that failed before.")
@click.option(
    "--cameras",
    metavar="PATTERN",
    help="Regular expression with a group (?P<camera>...) that finds the camera in a file's "
    "name; default: the first folder.",
)
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="File of a plugin with extractors of your own.",
)
@machine_options()
@json_option
def extract(
    videos: Path,
    changes: tuple[str, ...],
    use: tuple[str, ...],
    out: Path,
    workers: int | None,
    executor: str,
    only_plan: bool,
    retry: bool,
    cameras: str | None,
    plugins: tuple[Path, ...],
    device: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Make streams of features from the video and sound files in VIDEOS, a folder or a file.

    Each file is decoded once for all extractors. It may be stopped at any time: the same command
    continues with the file that was interrupted. More files and more extractors are added the
    same way. The exit code is 3 if a file was skipped, damaged or could not be extracted.

    \b
    Examples:
      varkit extract footage --use image,yamnet --out features
      varkit extract footage --use image --out features image.fps=2
      varkit extract footage --use i3d --out features --plan
    """
    from varkit.cli.extract_display import Display, print_plan, print_summary, summary_dict
    from varkit.media.extract_folder import Request, extract_folder
    from varkit.media.extractors import read_wanted
    from varkit.media.plan import plan
    from varkit.media.pool import InProcesses, in_this_process
    from varkit.system.machine import usable_cores
    from varkit.system.signals import stop_request

    wanted = read_wanted(use, changes)
    request = Request(videos, out, wanted, plugins, device, threads, cameras=cameras, retry=retry)
    if only_plan:
        planned = plan(request)
        if as_json:
            print_json(planned.to_dict())
        else:
            print_plan(planned)
        return
    count = workers or max(1, usable_cores() // CORES_A_WORKER)
    run: Any = in_this_process if count == 1 else InProcesses(count)
    if executor == "ray":
        from varkit.media.ray_pool import OnRay

        run = OnRay(count)
    with stop_request() as stop, Display(stop) as display:
        summary = extract_folder(request, run, workers=count, watcher=display)
    if as_json:
        print_json(summary_dict(request, summary))
    else:
        print_summary(request, summary)
    if not summary.whole:
        raise click.exceptions.Exit(PARTIAL)
