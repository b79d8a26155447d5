"""Runs a plugin's code so that it cannot take the program down, and is named if it fails.

Everything that a plugin hands over is touched only inside :func:`contained`: its import, its hooks,
its classes' options, ``missing()`` and constructors. :mod:`varkit.plugins.probe` does so in another
process where even a crash must be survived.
"""

from __future__ import annotations

import locale
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from varkit.errors import PluginError, VarkitError, named
from varkit.system.output import stdout_to_stderr


@contextmanager
def contained(what: str = "", module: str = "") -> Iterator[None]:
    """Run a plugin's code in a block.

    Whatever it raises becomes a PluginError, SystemExit and errors that cannot be printed included.
    What it prints goes to standard error. What it changes of the program's state is put back:
    working directory, arguments, import path, signal handlers, warnings, locale, logging and
    torch's defaults.

    Args:
        what: the beginning of the message, for example ``"missing() failed: "``.
        module: whose code it is; the message says which line of it raised the error.

    Raises:
        PluginError: the block raised something; a VarkitError passes as it is, for it says what a
            user can do, and so does a KeyboardInterrupt, which may be the user's.
    """
    with stdout_to_stderr(), _state_restored():
        try:
            yield
        except (VarkitError, KeyboardInterrupt):
            raise
        except BaseException as error:
            raise PluginError(f"{what}{named(error)}{raised_at(error, module)}") from error


def raised_at(error: BaseException, *modules: str) -> str:
    """Return ``" at FILE:LINE"``: the last line of some packages that an error passed.

    Args:
        error: as it was caught.
        modules: one of each package; without one, or if no line of theirs was passed, the result
            is empty.
    """
    tops = {module.partition(".")[0] for module in modules}
    if isinstance(error, SyntaxError):  # a syntax error says itself where it is
        return ""
    lines = [
        (frame.f_code.co_filename, line)
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in tops
    ]
    if not lines:
        return ""
    file, line = Path(lines[-1][0]), lines[-1][1]
    with suppress(OSError, ValueError):  # a shorter path, if the file is below this folder
        file = file.relative_to(Path.cwd())
    return f" at {file}:{line}"


@contextmanager
def _state_restored() -> Iterator[None]:
    """Put back what a block changes of the state that the whole program shares."""
    before, end, here = list(_state()), os._exit, os.getpid()

    def refuse(status: int) -> NoReturn:
        if os.getpid() != here:  # a process that the plugin forked may end as it likes
            end(status)
        raise SystemExit(f"os._exit({status}) would end the program")

    os._exit = refuse
    try:
        with warnings.catch_warnings():
            yield
    finally:
        os._exit = end
        for restore, *values in before:
            with suppress(Exception):  # the rest is put back even if one thing cannot be
                restore(*values)


def _state() -> Iterator[tuple[Any, ...]]:
    """Yield functions, each with its arguments, that set one thing each to what it is now."""
    with suppress(OSError):  # the working directory may have been deleted
        yield os.chdir, os.getcwd()
    yield _replace, sys.argv, list(sys.argv)
    yield _show_again, list(sys.path)
    yield sys.setrecursionlimit, sys.getrecursionlimit()
    yield locale.setlocale, locale.LC_ALL, locale.setlocale(locale.LC_ALL)
    root = logging.getLogger()
    yield root.setLevel, root.level
    yield _replace, root.handlers, list(root.handlers)
    yield logging.disable, logging.root.manager.disable
    if threading.current_thread() is threading.main_thread():  # no other thread may set them
        for number in signal.valid_signals():
            yield _handle_again, number, signal.getsignal(number)
    torch = sys.modules.get("torch")
    if torch is None:
        yield _set_torch, "float32", True
    else:
        yield _set_torch, str(torch.get_default_dtype())[len("torch.") :], torch.is_grad_enabled()


def _replace(items: list[Any], before: list[Any]) -> None:
    items[:] = before


def _show_again(path: list[str]) -> None:
    """Put what was on the import path first; what a plugin added, it may import from later."""
    sys.path, added = path, sys.path
    sys.path += [folder for folder in added if isinstance(folder, str) and folder not in path]


def _handle_again(number: int, handler: Any) -> None:
    if handler is not None and signal.getsignal(number) is not handler:
        signal.signal(number, handler)


def _set_torch(kind: str, gradients: bool) -> None:
    torch: Any = sys.modules.get("torch")
    if torch is not None:
        torch.set_default_dtype(getattr(torch, kind))
        torch.set_grad_enabled(gradients)
        if torch.get_default_device().type != "cpu":
            torch.set_default_device(None)
