"""Options that several verbs have, each declared once; verbs of plugins take them from here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

Decorator = Callable[[Any], Any]


def options(*decorators: Decorator) -> Decorator:
    """Return the one decorator that adds all of these, in this order."""

    def decorate(command: Any) -> Any:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


def machine_options(
    *, device: str | None = "auto", threads: int | None = None, otherwise: str = "usable cores"
) -> Decorator:
    """Add ``--device`` and ``--threads``.

    Args:
        device: the default.
        threads: the default.
        otherwise: what help says of a default that is None.
    """
    unsaid = f"; default: {otherwise}."
    places = f"auto, cpu, cuda, cuda:1, ...{unsaid if device is None else ''}"
    count = f"CPU threads{unsaid if threads is None else '.'}"
    return options(
        click.option("--device", default=device, show_default=True, help=places),
        click.option(
            "--threads", type=click.IntRange(1), default=threads, show_default=True, help=count
        ),
    )


json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout.")
strict_option = click.option(
    "--strict", is_flag=True, help="Refuse to take a recipe's embedded: block."
)
checkpoint_option = click.option(
    "--checkpoint",
    type=click.Choice(["best", "last"]),
    help="The selected epoch, or the last; default: the selected one, where there is one.",
)
split_option = click.option(
    "--split", default="test", show_default=True, help="Part of the data set."
)
accept_code_option = click.option(
    "--accept-code",
    is_flag=True,
    help="Use a run also if the code that made it has changed since.",
)
run_argument = click.argument("run", type=click.Path(path_type=Path, file_okay=False))
