"""``varkit doctor``: check this machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from varkit.cli.options import json_option
from varkit.cli.output import print_json

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog="Example: varkit doctor --json")
@json_option
def doctor(as_json: bool) -> None:
    """Check this machine: what varkit needs, what is missing, and how to get it.

    Nothing is changed or downloaded. The exit code is 1 if a check fails.
    """
    from varkit.cli.machine_checks import examine
    from varkit.cli.output import echo
    from varkit.cli.terminal import print_text

    checks = examine(Path("runs"))
    if as_json:
        print_json({"schema": 1, "checks": [asdict(check) for check in checks]})
    else:
        width = max(len(check.id) for check in checks)
        for check in checks:
            echo(f"{check.status:<4}  ", fg=COLOURS[check.status], nl=False)
            print_text(f"{check.id:<{width}}  {check.seen}", indent=width + 8, start=6)
            if check.fix is not None:
                print_text(f"{'':<{width + 8}}fix: {check.fix}", indent=width + 8)
    if any(check.status == "fail" for check in checks):
        raise click.exceptions.Exit(1)
