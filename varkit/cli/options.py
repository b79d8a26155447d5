"""Command-line options that several verbs share, also verbs of plugins."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from varkit.cli import completion
from varkit.cli.output import keep_stdout

THREADS = "OMP_NUM_THREADS, or usable cores"

Decorator = Callable[[Any], Any]


def options(*decorators: Decorator) -> Decorator:
    """Return a decorator that applies all of these, in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def machine_options(
    *,
    device: str | None = "auto",
    threads: int | None = None,
    otherwise: str = THREADS,
) -> Decorator:
    """Add ``--device`` and ``--threads``.

    Args:
        device: the default.
        threads: the default.
        otherwise: how help describes a default of None.
    """
    described = f"; default: {otherwise}."
    places = f"auto, cpu, cuda, cuda:1, ...{described if device is None else ''}"
    count = f"CPU threads{described if threads is None else '.'}"
    return options(
        click.option("--device", default=device, show_default=True, help=places),
        click.option(
            "--threads", type=click.IntRange(1), default=threads, show_default=True, help=count
        ),
    )


json_option = click.option(
    "--json", "as_json", is_flag=True, callback=keep_stdout, help="Print JSON on stdout."
)
strict_option = click.option(
    "--strict", is_flag=True, help="Refuse to use a recipe's embedded: block."
)
checkpoint_option = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    help="The selected epoch, or the last; default: the selected one, if there is one.",
)
split_option = click.option(
    "--split", default="test", show_default=True, help="Part of the data set."
)
accept_code_option = click.option(
    "--accept-code",
    is_flag=True,
    help="Use a run even if the code that made it has changed since.",
)
check_option = click.option(
    "--check",
    type=click.Choice(["full", "quick"]),
    default="full",
    show_default=True,
    help="Of the data before training. full: every number is read, once for the same files; "
    "quick: only headers.",
)
recipe_argument = click.argument("recipe", shell_complete=completion.recipes)
target_argument = click.argument("target", shell_complete=completion.data)
run_argument = click.argument(
    "run", type=click.Path(path_type=Path, file_okay=False), shell_complete=completion.runs
)
