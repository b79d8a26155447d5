"""Loads plugins: installed ones by entry point, and files that a recipe names.

An installed plugin that fails to import does not stop the program, because the rest still works.
``varkit plugins`` shows the failure, and so does the message for any component that is missing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType

from varkit.errors import PluginError
from varkit.plugins import hookspecs
from varkit.plugins.kinds import KINDS
from varkit.plugins.registry import Command, Entry, Register, RegisterCommand, Registry


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded, and why."""

    plugin: str
    reason: str
    error: BaseException


class Plugins:
    """The loaded plugins: a registry of components, verbs, and the failures.

    Attributes:
        registry: every component of every plugin that loaded.
        commands: every verb of every plugin that loaded, in the order of loading. Two verbs of
            the same name are an error only if that verb is called.
        failures: the plugins that failed to load.
    """

    def __init__(self) -> None:
        self.registry = Registry()
        self.commands: list[Command] = []
        self.failures: list[Failure] = []

    def add(self, name: str, version: str, load: Callable[[], object]) -> None:
        """Load one plugin and register its components; a failure is recorded, not raised.

        Raises:
            PluginError: a component's name is taken or malformed.
        """
        manager = hookspecs.manager()
        try:
            manager.register(load(), name=name)
            manager.check_pending()
            entries: list[Entry] = []
            for kind in KINDS.values():
                hook = getattr(manager.hook, kind.hook)
                hook(register=_collector(entries, kind.name, name, version))
            commands: list[Command] = []
            manager.hook.register_commands(register=_command_collector(commands, name, version))
        except (Exception, SystemExit) as error:
            # SystemExit too: a module that calls sys.exit at import must not end the program.
            self.failures.append(Failure(name, f"{type(error).__name__}: {error}", error))
            return
        for entry in entries:
            self.registry.add(entry)
        self.commands += commands

    def get(self, kind: str, name: str) -> Entry:
        """Return a component's entry.

        Raises:
            PluginError: there is no such component; the message lists the plugins that failed.
        """
        try:
            return self.registry.get(kind, name)
        except PluginError as error:
            raise PluginError(f"{error.what}{self.failed()}") from None

    def command(self, name: str) -> Command | None:
        """Return the verb of this name, or None.

        Raises:
            PluginError: several plugins have a verb of this name.
        """
        matches = [command for command in self.commands if command.name == name]
        if len(matches) > 1:
            raise PluginError(
                f"{len(matches)} verbs are named {name!r}: "
                + " and ".join(f"{c.target} ({c.origin})" for c in matches),
                hint="uninstall the plugin you do not need",
            )
        return matches[0] if matches else None

    def failed(self) -> str:
        """Return a sentence that lists the plugins that failed, for messages; empty if none did."""
        reasons = "; ".join(f"{f.plugin} ({f.reason})" for f in self.failures)
        return f" Plugins that failed to load: {reasons}." if reasons else ""


def load_plugins(
    files: Iterable[Path] = (), *, installed: Iterable[EntryPoint] | None = None
) -> Plugins:
    """Load the installed plugins, then the given files.

    Args:
        files: plugin files named by a recipe; if one fails to load, that is an error.
        installed: the entry points to load; by default those of the group ``varkit``.

    Raises:
        PluginError: two components share a name, or one of ``files`` cannot be loaded.
    """
    plugins = Plugins()
    points = entry_points(group=hookspecs.GROUP) if installed is None else installed
    for point in sorted(points, key=lambda p: p.name):
        version = point.dist.version if point.dist is not None else "unknown"
        plugins.add(point.name, version, point.load)
    for file in files:
        before = len(plugins.failures)
        plugins.add(str(file), "file", partial(load_file, file))
        if len(plugins.failures) > before:
            failure = plugins.failures[-1]
            raise PluginError(
                f"plugin file {file} failed to load: {failure.reason}{_line(failure.error, file)}",
                hint="varkit --debug ... shows the traceback",
            ) from failure.error
    return plugins


def load_file(file: Path) -> ModuleType:
    """Import a plugin from a file, under a module name that no package has.

    Raises:
        PluginError: there is no such file.
    """
    if not file.is_file():
        raise PluginError(f"no plugin file {file}")
    name = file_module(file)
    spec = importlib.util.spec_from_file_location(name, file.resolve())
    if spec is None or spec.loader is None:
        raise PluginError(f"{file} is not a Python file", hint="name it something.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look up a class's module here
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def file_module(file: Path) -> str:
    """Return the name under which :func:`load_file` imports a file."""
    path = file.resolve()
    return f"varkit_file_{hashlib.sha256(bytes(path)).hexdigest()[:12]}_{path.stem}"


def _line(error: BaseException, file: Path) -> str:
    """Return which line of a plugin file raised an error; a syntax error says so itself."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(file)]
    return f" (line {lines[-1]})" if lines and not isinstance(error, SyntaxError) else ""


def _collector(entries: list[Entry], kind: str, plugin: str, version: str) -> Register:
    def register(name: str, target: str | type, *, summary: str) -> None:
        entries.append(Entry(kind, name, target, plugin, version, summary))

    return register


def _command_collector(commands: list[Command], plugin: str, version: str) -> RegisterCommand:
    def register(name: str, target: str, *, summary: str) -> None:
        if not re.fullmatch("[a-z][a-z0-9-]*", name):
            raise PluginError(
                f"verb {name!r} must be lower-case letters, digits and hyphens, as in 'bench'"
            )
        commands.append(Command(name, target, plugin, version, summary))

    return register
