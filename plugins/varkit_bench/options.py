"""Parsers of a benchmark's options; sweep.py checks them against this machine."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path

import click

from varkit.errors import VarkitError


def parse_names(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> tuple[str, ...] | None:
    """Split words at commas, without repetitions.

    Raises:
        click.BadParameter: a word is empty.
    """
    if value is None:
        return None
    words = tuple(dict.fromkeys(word.strip() for word in value.split(",")))
    if not all(words):
        raise click.BadParameter(f"{value!r} lacks a word between its commas", ctx, param)
    return words


def parse_sizes(ctx: click.Context, param: click.Parameter, value: str) -> tuple[int, ...]:
    """Split whole numbers at commas, without repetitions.

    Raises:
        click.BadParameter: one is not a whole number of at least 1.
    """
    sizes = []
    for word in value.split(","):
        text = word.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) > 0):
            wanted = "a whole number of at least 1; several as in 64,256,1024"
            message = f"{text!r} is not a size: it must be {wanted}"
            raise click.BadParameter(message, ctx, param)
        sizes.append(int(text))
    return tuple(dict.fromkeys(sizes))


def check_number(ctx: click.Context, param: click.Parameter, value: float) -> float:
    """Refuse NaN, which click accepts in any range.

    Raises:
        click.BadParameter: it is NaN.
    """
    if math.isnan(value):
        raise click.BadParameter("it must be a number", ctx, param)
    return value


def check_picture(ctx: click.Context, param: click.Parameter, value: Path | None) -> Path | None:
    """Refuse a plot that cannot be drawn, before minutes of measuring.

    Raises:
        click.BadParameter: the file is not a .png.
        VarkitError: the extra ``report`` is not installed.
    """
    if value is not None and value.suffix.lower() != ".png":
        raise click.BadParameter(f"{str(value)!r} must end in .png", ctx, param)
    if value is not None and find_spec("matplotlib") is None:
        raise VarkitError("--plot needs matplotlib", hint="pip install 'varkit[report]'")
    return value
