"""``varkit plugin new`` and ``varkit plugin test``: start and test a plugin."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from varkit.cli import completion
from varkit.cli.output import echo
from varkit.plugins.kinds import KINDS

if TYPE_CHECKING:
    from varkit.plugins.registry import Entry


@click.group()
def plugin() -> None:
    """Start and test plugins of your own."""


@plugin.command(epilog="Example: varkit plugin new sampler every_other")
@click.argument("kind", type=click.Choice(KINDS))
@click.argument("name")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    help="Where the package's folder goes.  [default: here]",
)
def new(kind: str, name: str, folder: Path) -> None:
    """Write a package varkit-NAME with a working component of the given KIND, and its test."""
    from varkit.errors import PluginError
    from varkit.plugins.loading import load_plugins
    from varkit.testing.scaffold import scaffold

    registry = load_plugins().registry
    if name in registry.names(kind):
        origin = registry.get(kind, name).origin
        raise PluginError(
            f"{origin} has {kind} {name!r} already; two cannot be installed together",
            hint="choose another name",
        )
    written = scaffold(kind, name, folder)
    for path in written:
        echo(path)
    module, root = written[0], written[1].parent
    echo(f"\ntry it:  varkit plugin test {module}")
    echo(f"use it:  pip install -e {root}")


@plugin.command(epilog="Example: varkit plugin test anomaly_led")
@click.argument("target", metavar="NAME|FILE", shell_complete=completion.components)
@click.option("--kind", type=click.Choice(KINDS), help="The kind, if several share the name.")
def test(target: str, kind: str | None) -> None:
    """Check the component NAME, or all components of a plugin FILE, with the conformance kit.

    The exit code is 1 if a promise is broken or a component cannot be checked here.
    """
    entries = _find(target, kind)
    taken = _taken(entries)
    passed = [_checked(entry, taken.get(entry)) for entry in entries]
    if not all(passed):
        raise click.exceptions.Exit(1)


def _find(target: str, kind: str | None) -> list[Entry]:
    from varkit.errors import PluginError
    from varkit.plugins.loading import load_plugins

    if target.endswith(".py") or Path(target).name != target:
        loaded = load_plugins([Path(target)], installed=())
        entries = [e for e in loaded.registry if kind in (None, e.kind)]
        if not entries:
            what = "component" if kind is None else kind
            hook = KINDS[kind or "sampler"].hook
            raise PluginError(
                f"{target} registers no {what}",
                hint=f"mark a function {hook}(register) with @varkit.hookimpl",
            )
        return entries
    loaded = load_plugins()
    if kind is not None:
        return [loaded.get(kind, target)]
    entries = loaded.components_named(target)
    if len(entries) > 1:
        kinds = [entry.kind for entry in entries]
        raise PluginError(
            f"several components are named {target!r}: {', '.join(kinds)}",
            hint=f"varkit plugin test {target} --kind {kinds[0]}",
        )
    return entries


def _taken(entries: list[Entry]) -> dict[Entry, Entry]:
    """Return the installed component, if there is one, that has the name of a component of a file.

    A file may be the module of an installed plugin; then the name is its own.
    """
    from varkit.plugins.loading import load_plugins

    files = [entry for entry in entries if entry.version == "file"]
    installed = {(e.kind, e.name): e for e in (load_plugins().registry if files else ())}
    pairs = {e: installed[e.kind, e.name] for e in files if (e.kind, e.name) in installed}
    return {e: other for e, other in pairs.items() if _source(other) != Path(e.plugin).resolve()}


def _source(entry: Entry) -> Path | None:
    """Return the file that an installed component's module is imported from."""
    from importlib.util import find_spec

    with entry.contained():
        spec = find_spec(entry.path.partition(":")[0])
    return None if spec is None or spec.origin is None else Path(spec.origin).resolve()


def _checked(entry: Entry, taken: Entry | None) -> bool:
    """Check one component, print the results, and return whether it passed."""
    from varkit.errors import PluginError
    from varkit.plugins.registry import clash
    from varkit.testing import ConformanceError, Result, check

    echo(f"{entry.kind} {entry.name} ({entry.origin})")
    try:
        results = check(entry.kind, entry.load())
    except ConformanceError as error:
        results = error.results
    except PluginError as error:
        echo(f"  - {error.line}")
        return False
    if taken is not None:
        named = "Its name is not that of an installed component"
        results = (Result("name_is_free", named, clash(taken, entry)), *results)
    for result in results:
        echo(f"  {'ok' if result.fault is None else 'BROKEN'}  {result}")
    broken = sum(result.fault is not None for result in results)
    echo(f"  {len(results) - broken} of {len(results)} promises kept")
    return broken == 0
