"""The table of components: kind and name -> where the component comes from.

pluggy only carries the calls. Names that clash, listings and nearest-match errors are handled
here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from varkit.errors import PluginError, did_you_mean
from varkit.plugins.isolation import contained
from varkit.plugins.kinds import KINDS, kind_named

if TYPE_CHECKING:
    import click


@dataclass(frozen=True)
class Entry:
    """One registered component.

    Attributes:
        kind: the name of one of :data:`~varkit.plugins.kinds.KINDS`.
        name: its name in recipes; unique within its kind.
        target: a ``"module:Class"`` string, or the class itself.
        plugin: which plugin registered it.
        version: the version of that plugin's distribution, or ``"file"``.
        summary: one line for ``varkit plugins``.
        path: where its class is, ``"module:Class"``.

    Raises:
        PluginError: the kind is unknown, the name is not snake_case, or anything else has the
            wrong type or form.
    """

    kind: str
    name: str
    target: str | type
    plugin: str
    version: str
    summary: str
    path: str = field(init=False, compare=False)

    def __post_init__(self) -> None:
        """Check what a plugin gave, before anything reads it."""
        kind_named(self.kind)
        _check(self, r"[^\W\d]\w*", "snake_case, as in 'anomaly_led'")
        target = self.target
        if not isinstance(target, str):
            target = f"{target.__module__}:{target.__qualname__}"
        object.__setattr__(self, "path", target)  # once, because a metaclass may compute it

    @property
    def origin(self) -> str:
        """Plugin and version, for messages and for the record of a run."""
        return f"plugin {self.plugin} {self.version}"

    @property
    def check_command(self) -> str:
        """The command that checks the component against its interface, for hints."""
        target = self.plugin if self.version == "file" else f"{self.name} --kind {self.kind}"
        return f"varkit plugin test {target}"

    def contained(self) -> AbstractContextManager[None]:
        """Run a block that touches the component, so that what it raises names the component."""
        where = f"{self.kind} {self.name!r} of {self.origin}: "
        return contained(where, self.path.partition(":")[0])

    def load(self) -> type[Any]:
        """Import and return the component's class.

        Raises:
            PluginError: the import failed, or it is not a class.
        """
        if isinstance(self.target, type):
            return self.target
        where = f"{self.kind} {self.name!r} of {self.origin}"
        component = import_target(self.target, where)
        if not issubclass(type(component), type):  # isinstance() would ask the object itself
            raise PluginError(
                f"{where}: {self.target!r} is not a class: {type(component).__name__}"
            )
        return component  # type: ignore[no-any-return]  # the line above made sure of it


def import_target(target: str, where: str) -> Any:
    """Import what a ``"module:attribute"`` string names.

    Args:
        target: the string.
        where: whose target it is, for the message.

    Raises:
        PluginError: the import failed, or the module has no such attribute.
    """
    with contained(f"{where}: cannot import {target!r}: ", target.partition(":")[0]):
        return resolve_name(target)


def _check(given: Entry | Command, name: str, form: str) -> None:
    """Check the types of what a plugin registers, and the form of its name.

    Subclasses of ``str`` are refused too: they may do anything when they are compared or printed.
    """
    whose = given.kind
    fits = type(given.name) is str and given.name == given.name.lower()
    if not fits or not re.fullmatch(name, given.name):
        raise PluginError(f"{whose} name {given.name!r} must be {form}")
    whose += f" {given.name!r}"
    target, summary = given.target, given.summary
    if type(target) is str:
        fits = bool(re.fullmatch(r"\w+(\.\w+)*(:\w+(\.\w+)*)?", target))
    else:
        fits = isinstance(given, Entry) and issubclass(type(target), type)
    if not fits:
        classes = "a class or " if isinstance(given, Entry) else ""
        raise PluginError(f"{whose}: its target must be {classes}'module:name'; it is {target!r}")
    if type(summary) is not str or not summary.isprintable():
        raise PluginError(f"{whose}: its summary must be one line of text; it is {summary!r}")


class Register(Protocol):
    """The argument of a plugin's hooks."""

    def __call__(self, name: str, target: str | type, *, summary: str) -> None:
        """Add one component."""


@dataclass(frozen=True)
class Command:
    """A verb that a plugin adds to the command line.

    Attributes:
        name: the verb; ``varkit NAME`` runs it. ``data NAME`` is a verb beside ``data verify``.
        target: a ``"module:click_command"`` string, imported when the verb is called.
        plugin: which plugin registered it.
        version: the version of that plugin's distribution, or ``"file"``.
        summary: one line for ``varkit --help``.

    Raises:
        PluginError: the name has other characters than small letters, digits and hyphens, or
            anything else has the wrong type or form.
    """

    kind: ClassVar[str] = "verb"
    name: str
    target: str
    plugin: str
    version: str
    summary: str

    def __post_init__(self) -> None:
        """Check what a plugin gave, before anything reads it."""
        form = "lower-case letters, digits and hyphens, as in 'bench' or 'data import'"
        _check(self, "(data )?[a-z][a-z0-9-]*", form)

    @property
    def origin(self) -> str:
        """Plugin and version, for messages."""
        return f"plugin {self.plugin} {self.version}"

    @property
    def path(self) -> str:
        """Where its click command is: ``"module:command"``."""
        return self.target

    def load(self) -> click.Command:
        """Import and return the click command.

        Raises:
            PluginError: it cannot be imported, or is not a click command.
        """
        import click

        where = f"verb {self.name!r} of {self.origin}"
        command = import_target(self.target, where)
        if not isinstance(command, click.Command):
            kind = type(command).__name__
            raise PluginError(f"{where}: {self.target!r} is not a click command: {kind}")
        return command


class RegisterCommand(Protocol):
    """The argument of the hook ``register_commands``."""

    def __call__(self, name: str, target: str, *, summary: str) -> None:
        """Add one verb."""


def clash(first: Entry | Command, second: Entry | Command) -> str:
    """Return a message that two things of one kind have the same name, with their origins."""
    plural = "verbs" if isinstance(first, Command) else KINDS[first.kind].plural
    sides = (f"{each.path} ({each.origin})" for each in (first, second))
    return f"two {plural} are named {first.name!r}: {' and '.join(sides)}"


class Registry:
    """All components of the loaded plugins."""

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}

    def add(self, entry: Entry) -> None:
        """Add an entry.

        Raises:
            PluginError: the name is taken; the message names both origins.
        """
        taken = self._entries.get((entry.kind, entry.name))
        if taken is not None:
            raise PluginError(
                clash(taken, entry),
                hint="rename one, or uninstall the plugin you do not need",
            )
        self._entries[entry.kind, entry.name] = entry

    def names(self, kind: str) -> list[str]:
        """Return the sorted names of one kind."""
        return sorted(name for k, name in self._entries if k == kind)

    def get(self, kind: str, name: str) -> Entry:
        """Return a component's entry.

        Raises:
            PluginError: there is none; the message lists all names and the nearest match.
        """
        entry = self._entries.get((kind, name))
        if entry is None:
            names = self.names(kind)
            raise PluginError(
                f"no {kind} is named {name!r}.{did_you_mean(name, names)} "
                f"Available: {', '.join(names) or 'none'}."
            )
        return entry

    def __iter__(self) -> Iterator[Entry]:
        """Iterate over all entries, by kind (in the order of ``KINDS``) and name."""
        order = {kind: position for position, kind in enumerate(KINDS)}
        return iter(sorted(self._entries.values(), key=lambda e: (order[e.kind], e.name)))
