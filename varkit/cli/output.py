"""Everything that varkit prints goes through here.

Names, captions and paths come from strangers' files. A control character in them could move the
cursor, set the window's title or hide text, so it is printed as its escape, such as ``\\x1b``.
"""

from __future__ import annotations

import io
import json
import sys
import unicodedata
from contextlib import ExitStack
from typing import Any

import click

from varkit.system.output import stdout_to_stderr

STDOUT = "varkit.stdout"
"""Under this key a click context holds what gives stdout back."""

PLAIN = str.maketrans(
    {"→": "->", "−": "-", "–": "-", "±": "+-", "×": "x", "…": "...", "·": ".", "█": "#"}
    | dict.fromkeys("▁▂▃", ",")
    | dict.fromkeys("▄▅▆▇", "=")
)
"""What is printed instead of varkit's own signs where the output cannot hold them."""


def echo(text: object = "", *, err: bool = False, nl: bool = True, **style: Any) -> None:
    """Print text on stdout, with control characters escaped.

    Args:
        text: may have several lines.
        err: print it on stderr.
        nl: end with a line break.
        style: colour and weight, as in :func:`click.style`.
    """
    click.secho(printable(text, sys.stderr if err else sys.stdout), err=err, nl=nl, **style)


def keep_stdout(context: click.Context, _: click.Parameter, as_json: bool) -> bool:
    """Keep stdout for the JSON: what libraries and plugins print goes to stderr meanwhile."""
    if as_json:
        kept = context.meta[STDOUT] = ExitStack()
        kept.enter_context(stdout_to_stderr())
        context.call_on_close(kept.close)
    return as_json


def print_json(value: Any, *, indent: int | None = 2) -> None:
    """Print a value on stdout as JSON in ASCII."""
    text = json.dumps(value, indent=indent).replace("\x7f", "\\u007f")
    context = click.get_current_context(silent=True)
    kept: ExitStack = context.meta.get(STDOUT, ExitStack()) if context else ExitStack()
    kept.close()
    click.echo(text)


def printable(text: object, stream: Any = None) -> str:
    """Return text that cannot control a terminal and that a stream can hold.

    Control and format characters become escapes; line breaks and the joiners of scripts and emoji
    stay. Spaces of all widths become plain ones.

    Args:
        text: any object, by its ``str``.
        stream: what its encoding cannot hold becomes a similar ASCII sign, or an escape.
    """
    shown = "".join(map(_shown, str(text)))
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        shown.encode(encoding)
    except UnicodeError:
        shown = shown.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return shown


def _shown(letter: str) -> str:
    if letter.isprintable() or letter in "\n\u200c\u200d":
        return letter
    if unicodedata.category(letter) == "Zs" or letter == "\t":
        return " "
    return letter.encode("unicode_escape", "surrogatepass").decode()


def survive_any_output() -> None:
    """Let stdout and stderr escape what they cannot encode, instead of raising.

    A file name may hold bytes that are not text, and the locale may know ASCII alone. A training
    must not fail at its end because its table cannot be printed.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
