"""``varkit doctor``: check this machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from varkit.cli.options import json_option

COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


@click.command(epilog="Example: varkit doctor --json")
@json_option
def doctor(as_json: bool) -> None:
    """Check this machine: what varkit needs, what is missing, and how to get it.

    Nothing is changed or downloaded. The exit code is 1 if a check fails.
    """
    from varkit.cli.machine_checks import examine

    checks = examine(Path("runs"))
    if as_json:
        click.echo(json.dumps({"schema": 1, "checks": [asdict(c) for c in checks]}, indent=2))
    else:
        width = max(len(check.id) for check in checks)
        for check in checks:
            status = click.style(f"{check.status:<4}", fg=COLOURS[check.status])
            click.echo(f"{status}  {check.id:<{width}}  {check.seen}")
            if check.fix is not None:
                click.echo(f"{'':<{width + 6}}  fix: {check.fix}")
    if any(check.status == "fail" for check in checks):
        raise click.exceptions.Exit(1)
