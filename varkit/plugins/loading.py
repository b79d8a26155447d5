"""Loads plugins: installed ones by entry point, and files that a recipe names.

An installed plugin that fails does not stop the program, because the rest still works. ``varkit
plugins`` shows the failure, and so does the message for any component that is missing. The plugins
of varkit's own distribution are imported here; other people's are asked in processes of their own
(:mod:`varkit.plugins.probe`).
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from types import ModuleType

from varkit.errors import PluginError, did_you_mean
from varkit.plugins.hookspecs import GROUP
from varkit.plugins.isolation import raised_at
from varkit.plugins.registration import Registration, registration
from varkit.plugins.registry import Command, Entry, Registry, clash

PATIENCE = 10.0
"""Seconds that the import of an installed plugin may take."""


@dataclass(frozen=True)
class Failure:
    """A plugin that is left out, and why."""

    plugin: str
    reason: str


class Plugins:
    """The loaded plugins: a registry of components, verbs, and the failures.

    Attributes:
        registry: every component of every plugin that loaded.
        commands: every verb of every plugin that loaded.
        failures: the plugins that are left out.
        files: the plugin files among them.
    """

    def __init__(self) -> None:
        self.files: list[Path] = []
        self.registry = Registry()
        self.commands: list[Command] = []
        self.failures: list[Failure] = []

    def add(self, plugins: Sequence[tuple[str, Registration | PluginError]]) -> None:
        """Add plugins, each with what it registers or why it failed.

        A plugin with a name that is taken is left out. If two of ``plugins`` use a name, both are:
        which of them a recipe means cannot be known.
        """
        users: dict[tuple[str, str], list[Entry | Command]] = defaultdict(list)
        new = [given for _, made in plugins if isinstance(made, tuple) for given in made]
        for given in (*self.registry, *self.commands, *new):
            users[given.kind, given.name].append(given)
        for plugin, made in plugins:
            if isinstance(made, PluginError):
                self.failures.append(Failure(plugin, made.what))
                continue
            clashes = [same for g in made if len(same := users[g.kind, g.name]) > 1]
            if clashes:
                self.failures.append(Failure(plugin, clash(*clashes[0][:2])))
                continue
            for given in made:
                if isinstance(given, Entry):
                    self.registry.add(given)
                else:
                    self.commands.append(given)

    def get(self, kind: str, name: str) -> Entry:
        """Return a component's entry.

        Raises:
            PluginError: there is no such component; the message lists the plugins that failed.
        """
        try:
            return self.registry.get(kind, name)
        except PluginError as error:
            raise PluginError(f"{error.what}{self.failed()}") from None

    def components_named(self, name: str) -> list[Entry]:
        """Return the components of any kind with this name, at least one.

        Raises:
            PluginError: there is none; the message lists all names and the plugins that failed.
        """
        entries = [entry for entry in self.registry if entry.name == name]
        if not entries:
            names = sorted({entry.name for entry in self.registry})
            raise PluginError(
                f"no component is named {name!r}.{did_you_mean(name, names)} "
                f"Available: {', '.join(names) or 'none'}.{self.failed()}"
            )
        return entries

    def command(self, name: str) -> Command | None:
        """Return the verb of this name, or None."""
        return next((command for command in self.commands if command.name == name), None)

    def failed(self) -> str:
        """Return a sentence that lists the plugins that failed, for messages; empty if none did."""
        reasons = "; ".join(f"{f.plugin} ({f.reason})" for f in self.failures)
        return f" Plugins that failed to load: {reasons}." if reasons else ""


def load_plugins(
    files: Iterable[Path] = (),
    *,
    installed: Iterable[EntryPoint] | None = None,
    patience: float = PATIENCE,
) -> Plugins:
    """Load the installed plugins, then the given files.

    Args:
        files: plugin files named by a recipe; if one fails to load, that is an error.
        installed: the entry points to load; by default those of the group ``varkit``.
        patience: seconds that the import of an installed plugin may take.

    Raises:
        PluginError: one of ``files`` cannot be loaded, or uses a name that is taken.
    """
    plugins = Plugins()
    points = entry_points(GROUP) if installed is None else installed
    own: list[tuple[EntryPoint, str]] = []
    strange: list[tuple[EntryPoint, str]] = []
    for point in sorted(points, key=lambda p: p.name):
        distribution, version = _distribution(point)
        (own if distribution == "varkit" else strange).append((point, version))
    plugins.add([(p.name, _here(p.name, version, p.load, p.value)) for p, version in own])
    if strange:
        from varkit.plugins.probe import ask

        names = [point.name for point, _ in strange]
        plugins.add(list(zip(names, ask(strange, patience), strict=True)))
    for file in files:
        try:
            made = _here(str(file), "file", partial(load_file, file), file_module(file))
        except KeyboardInterrupt as error:  # the file's or the user's: both end the program
            made = PluginError(f"KeyboardInterrupt{raised_at(error, file_module(file))}")
        plugins.files.append(file)
        before = len(plugins.failures)
        plugins.add([(str(file), made)])
        if len(plugins.failures) > before:
            raise PluginError(
                f"plugin file {file} failed to load: {plugins.failures[-1].reason}",
                hint=_hint(made),
            ) from (made if isinstance(made, PluginError) else None)
    return plugins


def _hint(made: object) -> str:
    """Return what to do about a plugin file that failed to load."""
    cause = getattr(made, "__cause__", None)
    if isinstance(cause, ModuleNotFoundError) and str(cause.name).startswith("varkit."):
        return "import what a plugin needs of varkit from varkit.interfaces"
    return "varkit --debug ... shows the traceback"


def entry_points(group: str) -> list[EntryPoint]:
    """Return the entry points of a group; a distribution with damaged files has none."""
    points: dict[str, list[EntryPoint]] = {}
    for distribution in distributions():
        with suppress(Exception):
            own = [point for point in distribution.entry_points if point.group == group]
            if own:
                points.setdefault(distribution.name, own)  # the first on the path counts
    return [point for own in points.values() for point in own]


def _distribution(point: EntryPoint) -> tuple[str, str]:
    """Return name and version of the distribution that an entry point belongs to."""
    with suppress(Exception):  # its files may be damaged
        if point.dist is not None:
            return str(point.dist.name), str(point.dist.version)
    return "unknown", "unknown"


def _here(
    plugin: str, version: str, load: Callable[[], object], module: str
) -> Registration | PluginError:
    """Import a plugin in this process and return what it registers, or why it failed."""
    try:
        return registration(plugin, version, load, module)
    except PluginError as error:
        return error


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
