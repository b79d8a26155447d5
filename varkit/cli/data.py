"""``varkit data``: inspect a data set before training on it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from varkit.cli import installed_plugins
from varkit.cli.options import json_option, options, strict_option, target_argument
from varkit.cli.output import echo, print_json

TARGET = """\b
TARGET is a recipe (a file, or a name listed by varkit ls), whose data section is used, or the name
of a data set listed by varkit plugins. KEY=VALUE changes the recipe, or sets an option of the data
set.
"""
FAULTY = 3
"""The exit code if something is wrong with the data."""


class Extended(click.Group):
    """A group with the verbs of its own, and those that plugins register as ``data NAME``."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return its own verbs, then those of plugins."""
        added = (command.name.split() for command in installed_plugins(ctx).commands)
        verbs = sorted(name[1] for name in added if name[0] == self.name and len(name) > 1)
        return list(dict.fromkeys([*super().list_commands(ctx), *verbs]))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a verb; its own come first."""
        own = super().get_command(ctx, cmd_name)
        added = None if own else installed_plugins(ctx).command(f"{self.name} {cmd_name}")
        return own if added is None else added.load()


@click.group(cls=Extended)
def data() -> None:
    """Import, verify, measure, show and get data sets."""


def _target(command: Callable[..., None]) -> Callable[..., None]:
    """Add the common options and the common help text to a sub-verb."""
    command.__doc__ = f"{inspect.cleandoc(command.__doc__ or '')}\n\n{TARGET}"
    decorated: Callable[..., None] = options(strict_option, json_option)(command)
    return decorated


changes = click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")


@data.command(epilog="Example: varkit data verify ucfcrime_ar root=/mnt/ucf")
@target_argument
@changes
@click.option("--quick", is_flag=True, help="Look at headers only; read no numbers.")
@click.option("--workers", type=click.IntRange(0), default=0, help="Processes that read.")
@_target
def verify(
    target: str, changes: tuple[str, ...], quick: bool, workers: int, strict: bool, as_json: bool
) -> None:
    """List everything that is wrong with a data set.

    Every video and every query is read. Faults are reported in the words of a training that meets
    them. The exit code is 0 without faults and 3 otherwise. TARGET may also be the folder of a
    store that varkit extract made.
    """
    from varkit.cli.data_display import announce, prepare_data, print_verification, progress
    from varkit.data.inspect.check import verify_and_keep
    from varkit.data.inspect.verify import survey, verify
    from varkit.media import catalogue
    from varkit.media.verify import verify_store
    from varkit.recipe.target import find_target

    about: dict[str, Any]
    if (Path(target) / catalogue.NAME).is_file():
        if changes:
            raise click.UsageError(f"{target} is a store: it has no options")
        about = {"store": target}
        with progress("reading") as tell:
            result = verify_store(Path(target), quick=quick, progress=tell)
    else:
        source = find_target(target, changes, strict=strict)
        announce(source)
        prepare_data(source.prepare)
        about = source.to_dict()
        with progress("reading") as tell:
            opened = survey(source.cls, source.options)
            if quick:
                result = verify(opened, quick=True, workers=workers, progress=tell)
            else:
                result = verify_and_keep(opened, workers=workers, progress=tell)
    if as_json:
        print_json(result.to_dict() | {"data": about})
    else:
        print_verification(result)
    if result.faults:
        raise click.exceptions.Exit(FAULTY)


@data.command(epilog="Example: varkit data stats alan_ucf --strict --out figures")
@target_argument
@changes
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder that gets stats.json, stats.csv and plots.",
)
@_target
def stats(
    target: str, changes: tuple[str, ...], out: Path | None, strict: bool, as_json: bool
) -> None:
    """Count and measure a data set.

    Videos, hours, captions, classes and anomalies, by split. Published figures of the
    data set stand beside them. Without any features, captions and classes are counted.
    """
    from varkit.cli.data_display import (
        announce,
        build_or_captions,
        pointing_to_verify,
        prepare_data,
        print_statistics,
        progress,
        write_statistics,
    )
    from varkit.data.inspect.stats import statistics
    from varkit.recipe.target import find_target

    source = find_target(target, changes, strict=strict)
    announce(source)
    prepare_data(source.prepare)
    with pointing_to_verify(target, *changes, *["--strict"] * strict), progress("counting") as tell:
        result = statistics(build_or_captions(source), tell)
    published = getattr(source.cls, "published", {})
    if as_json:
        print_json(result.to_dict(published) | {"data": source.to_dict()})
    else:
        print_statistics(result, published)
    if out is not None:
        for path in write_statistics(result, published, out):
            echo(f"wrote {path}", err=True)


@data.command(epilog="Example: varkit data leak alan_ucf --strict")
@target_argument
@changes
@_target
def leak(target: str, changes: tuple[str, ...], strict: bool, as_json: bool) -> None:
    """Print how much captions reveal without any video.

    Each test caption is paired with its nearest training caption by TF-IDF. How often do their
    videos agree in class, and in being normal or anomalous?
    """
    from varkit.cli.data_display import (
        announce,
        build_or_captions,
        pointing_to_verify,
        prepare_data,
        print_leak,
    )
    from varkit.data.inspect.leak import caption_leak
    from varkit.recipe.target import find_target

    source = find_target(target, changes, strict=strict)
    announce(source)
    prepare_data(source.prepare)
    with pointing_to_verify(target, *changes, *["--strict"] * strict):
        result = caption_leak(build_or_captions(source))
    if as_json:
        print_json(result.to_dict() | {"data": source.to_dict()})
    else:
        print_leak(result)


@data.command(epilog="Example: varkit data show simulated Abuse0004")
@target_argument
@click.argument("video")
@changes
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Also draw a picture, .png."
)
@_target
def show(
    target: str,
    video: str,
    changes: tuple[str, ...],
    out: Path | None,
    strict: bool,
    as_json: bool,
) -> None:
    """Show one VIDEO of a data set.

    Its queries, label and streams, and where it is anomalous.
    """
    from varkit.cli.data_display import announce, pointing_to_verify, prepare_data, print_video
    from varkit.data.inspect.show import video_details
    from varkit.recipe.target import find_target

    source = find_target(target, changes, strict=strict)
    announce(source)
    prepare_data(source.prepare)
    with pointing_to_verify(target, *changes, *["--strict"] * strict):
        dataset = source.build()
    details = video_details(dataset, video)
    if as_json:
        print_json(details.to_dict() | {"data": source.to_dict()})
    else:
        print_video(details)
    if out is not None:
        from varkit.runs.report.data_figures import write_video

        write_video(details, out)
        echo(f"wrote {out}", err=True)


@data.command(epilog="Example: varkit data export features plain")
@click.argument("store", type=click.Path(path_type=Path, file_okay=False, exists=True))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
def export(store: Path, out: Path) -> None:
    """Write a STORE of varkit extract as plain .npy files with a manifest.

    OUT gets STREAM/VIDEO.npy, manifest.csv and extractors.json.
    """
    from varkit.cli.data_display import progress
    from varkit.media.export import export_store

    with progress("writing") as tell:
        left_out = export_store(store, out, progress=tell)
    echo(f"wrote {out}")
    for name in left_out:
        echo(f"  without streams, left out: {name}", err=True)


@data.command(epilog="Example: varkit data get ucfcrime_ar")
@target_argument
@changes
def get(target: str, changes: tuple[str, ...]) -> None:
    """Print how to get a data set, and what is missing here.

    Nothing is downloaded.
    """
    from varkit.cli.data_display import print_guide
    from varkit.recipe.target import named_target

    print_guide(named_target(target, changes))
