"""Asks other people's installed plugins what they register, each in a process of its own.

The import of a plugin may hang, crash, or end its process. So a child process imports it, and
answers with names, targets and summaries as JSON. This process imports a plugin's modules only
when something of it is used.

Answers are kept in the user's cache folder, so that the next command need not ask again, until a
file of the plugin or a folder of the import path changes. Failures are asked again.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from varkit.errors import PluginError, VarkitError, WriteError, named
from varkit.plugins.hookspecs import GROUP
from varkit.plugins.isolation import raised_at
from varkit.plugins.registration import Registration, registration
from varkit.plugins.registry import Command, Entry, import_target
from varkit.system.files import write_text
from varkit.system.inputs import read_user_file

CHILD = """\
import json, sys
sys.path[:] = json.loads(sys.argv[1])["path"]
from varkit.plugins.probe import answer
answer(sys.argv[1])
"""


def ask(
    plugins: Iterable[tuple[EntryPoint, str]], patience: float
) -> list[Registration | PluginError]:
    """Ask plugins, all at the same time, what they register.

    Args:
        plugins: entry points, and the versions of their distributions.
        patience: seconds after which a plugin is given up.

    Returns:
        For each plugin what it registers, or why it cannot be loaded.
    """
    requests = [
        json.dumps({"name": p.name, "value": p.value, "version": version, "path": sys.path})
        for p, version in plugins
    ]
    with ThreadPoolExecutor(max(1, len(requests))) as pool:
        return list(pool.map(lambda request: _asked(request, patience), requests))


@cache  # like Python, which does not import a module a second time either
def _asked(request: str, patience: float) -> Registration | PluginError:
    kept = _cache_file(request)
    try:
        said = json.loads(read_user_file(kept))
        if said["request"] == request and said["stamps"] == _stamps(said["stamps"]):
            return _registration(said)
    except (OSError, ValueError, LookupError, TypeError, VarkitError):
        pass  # there is no answer yet, or it is out of date
    try:
        text = _child(request, patience)
        made = _registration(json.loads(text))
    except PluginError as error:
        return error
    except (ValueError, LookupError, TypeError):
        return PluginError("its answer to what it registers cannot be read")
    with suppress(WriteError):
        write_text(kept, text)
    return made


def _child(request: str, patience: float) -> str:
    """Return the answer of a child process.

    Raises:
        PluginError: the child was ended by the plugin, or takes too long.
    """
    command = [sys.executable, "-P", "-c", CHILD, request]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            start_new_session=True,  # with a group of its own, which can be ended as a whole
        )
    except OSError as error:
        raise PluginError(named(error)) from error
    try:
        text, _ = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        raise PluginError(f"its import takes longer than {patience:g} seconds") from None
    finally:
        with suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)
        if process.stdout is not None:
            process.stdout.close()
        code = process.wait()
    if code < 0:
        raise PluginError(f"its import ends the process by {signal.Signals(-code).name}")
    if code or not text:
        raise PluginError(f"its import ends the process with exit code {code}")
    return text.decode()


def answer(request: str) -> None:
    """Import a plugin and print as JSON what it registers, or why it fails; for the child."""
    given = json.loads(request)
    point = EntryPoint(given["name"], given["value"], GROUP)
    said: dict[str, Any] = {"request": request}
    with os.fdopen(os.dup(1), "w") as stdout:
        os.dup2(2, 1)
        try:
            module = point.value.partition(":")[0].strip()
            if not point.pattern.match(point.value):
                raise PluginError(f"its entry point {point.value!r} is not a module")
            made = registration(point.name, given["version"], point.load, module)
            said["registers"] = [[g.kind, g.name, _importable(g), g.summary] for g in made]
            said["stamps"] = _stamps(_sources(module))
        except PluginError as error:
            said["reason"] = error.what
        except BaseException as error:
            said["reason"] = named(error) + raised_at(error, module)
        stdout.write(json.dumps(said))


def _importable(given: Entry | Command) -> str:
    """Return where another process finds what was registered."""
    target, path = given.target, given.path
    if not isinstance(target, str):
        where = f"{given.kind} {given.name!r}"
        if import_target(path, where) is not target:
            raise PluginError(f"{where}: {path!r} is another class")
    return path


def _registration(said: dict[str, Any]) -> Registration:
    if "reason" in said:
        raise PluginError(said["reason"])
    given = json.loads(said["request"])
    whose = given["name"], given["version"]
    return tuple(
        Command(name, target, *whose, summary)
        if kind == Command.kind
        else Entry(kind, name, target, *whose, summary)
        for kind, name, target, summary in said["registers"]
    )


def _cache_file(request: str) -> Path:
    given = json.loads(request)
    key = json.dumps([sys.executable, given["name"], given["value"]]).encode()
    home = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return Path(home, "varkit", "plugins", f"{hashlib.sha256(key).hexdigest()[:32]}.json")


def _sources(module: str) -> set[str]:
    """Return the files of a plugin that have been imported, and the folders of the import path.

    As in the code of a run, helper packages named ``varkit_...`` count as the plugin's own.
    """
    top = module.partition(".")[0]
    sources = {os.path.abspath(folder) for folder in sys.path} - {os.getcwd()}
    for name, loaded in list(sys.modules.items()):
        if name.partition(".")[0] == top or name.startswith("varkit_"):
            file = getattr(loaded, "__file__", None)
            if isinstance(file, str):
                sources.add(file)
    return sources


def _stamps(paths: Iterable[str]) -> dict[str, list[int]]:
    """Return the time and size of files and folders; what is absent has none."""
    stamps = {}
    for path in sorted(paths):
        with suppress(OSError):
            status = os.stat(path)
            stamps[path] = [status.st_mtime_ns, status.st_size]
    return stamps
