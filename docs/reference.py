"""Generates documentation from the program: components, options, parts, hooks and commands.

``docs/conf.py`` calls :func:`write` before every build. An option without documentation stops the
build and fails ``tests/test_docs.py``. ``python docs/reference.py`` writes ``docs/parts.md``, which
is kept in the repository.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import click

from varkit.cli import VERBS, main
from varkit.plugins import hookspecs
from varkit.plugins.kinds import KINDS, SUPPLIED
from varkit.plugins.loading import Plugins, load_plugins
from varkit.plugins.registry import Registry
from varkit.recipe.check import SECTIONS
from varkit.recipe.descriptions import describe, plain
from varkit.recipe.options import options_of
from varkit.testing.parts import Part, parts_of

COMPONENTS = """\
# Components and their options

Every component that varkit ships, and every option of its recipe block. This page is generated from
the program. `varkit plugins` also lists the components of other installed plugins.
"""


PARTS = """\
# Which parts fit together

An encoder gives parts: vectors, their weights, tokens. An alignment or a pretext task asks for some
of them by name. A model works if its two encoders give all that its alignments and pretext tasks
ask for; `varkit validate RECIPE --build` checks it. This page is generated from what varkit's
components do with inputs of the conformance kit, where the experts are `object` and `motion`. With
other options a component may give or ask for other parts: `varkit plugins NAME` shows its options.

B videos or queries, E experts, D the width `model.dim`, H another width, T clips, N sampled clips,
L tokens.
"""


def write(folder: Path) -> None:
    """Write all generated pages; files whose name begins with ``_`` are parts of other pages."""
    folder.mkdir(exist_ok=True)
    pages = {
        "components.md": components(own_plugins().registry),
        "_sections.md": sections(),
        "_section_options.md": section_options(),
        "_hooks.md": hooks(),
        "_supplied.md": supplied(),
        "_commands.md": commands(),
    }
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")


def own_plugins() -> Plugins:
    """Load varkit's own plugins, and none of whatever else is installed."""
    points = entry_points(group=hookspecs.GROUP)
    return load_plugins(installed=[p for p in points if p.dist and p.dist.name == "varkit"])


def components(registry: Registry) -> str:
    """Return a page with every component and its options."""
    parts = [COMPONENTS]
    for kind in KINDS.values():
        parts.append(f"## {kind.plural.capitalize()}\n")
        parts.append(f"`{kind.protocol.replace(':', '.')}`: {kind.summary}.\n")
        for entry in registry:
            if entry.kind == kind.name:
                parts.append(f"### {entry.name}\n")
                parts.append(f"{entry.summary} (plugin {entry.plugin})\n")
                parts.append(option_table(entry.load()))
    return "\n".join(parts)


def parts(registry: Registry) -> str:
    """Return a page with the parts that encoders give and that alignments and pretexts ask for."""
    given, asked = [], []
    for entry in registry:
        if entry.kind == "encoder":
            cls = entry.load()
            own = _cell(parts_of(entry.kind, cls))
            given.append((f"`{entry.name}`", getattr(cls, "consumes", "both"), own))
        elif entry.kind in ("alignment", "pretext"):
            every = parts_of(entry.kind, entry.load())
            sides = (_cell([p for p in every if p.side == side]) for side in ("video", "query"))
            asked.append((f"{entry.kind} `{entry.name}`", *sides))
    return "\n".join(
        [
            PARTS,
            "## What encoders give\n",
            table(("encoder", "reads", "parts"), given),
            "## What alignments and pretext tasks ask for\n",
            table(("component", "of the video", "of the query"), asked),
        ]
    )


def _cell(parts: Iterable[Part]) -> str:
    return "; ".join(f"`{part.name}` {part.shape}" for part in parts) or "nothing"


def sections() -> str:
    """Return a table of a recipe's sections."""
    rows = []
    for name, section in SECTIONS.items():
        holds = section.kind or "options"
        if section.named:
            holds = f"{KINDS[holds].plural}, each under a name of your choice"
        need = "yes" if section.required else "no"
        rows.append((f"`{name}`", section.summary, holds, need))
    return table(("section", "what it is", "holds", "required"), rows)


def section_options() -> str:
    """Return a table of options for every section in which varkit itself reads some."""
    parts = []
    for name, section in SECTIONS.items():
        if options_of(section.options):
            beside = ", beside `use`" if section.kind else ""
            parts.append(f"### {name}{'.NAME' if section.named else ''}{beside}\n")
            parts.append(option_table(section.options))
    return "\n".join(parts)


def hooks() -> str:
    """Return a table of every hook."""
    rows = [
        (f"`{name}(register)`", plain(hook.__doc__ or ""))
        for name, hook in hookspecs.hooks().items()
    ]
    return table(("hook", "what it is for"), rows)


def supplied() -> str:
    """Return a table of what a constructor may ask for as a positional argument."""
    rows = []
    for name, text in SUPPLIED.items():
        annotation, meaning = text.split(": ", 1)
        kinds = ", ".join(kind.plural for kind in KINDS.values() if name in kind.supplied)
        rows.append((f"`{name}`", f"`{annotation}`", meaning, kinds))
    return table(("argument", "type", "what it is", "given to"), rows)


def commands() -> str:
    """Return a table of every command."""
    rows = [(f"`{' '.join(path)}`", command.get_short_help_str(200)) for path, command in verbs()]
    return table(("command", "what it does"), rows)


def verbs(
    group: click.Group = main, path: tuple[str, ...] = ("varkit",)
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield every command of varkit's own that does something, and how it is called."""
    context = click.Context(group)
    added = [("varkit", *command.name.split()) for command in own_plugins().commands]
    names = [name for *before, name in added if tuple(before) == path]
    for name in [*(VERBS if group is main else group.commands), *names]:
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from verbs(command, (*path, name))
        elif command is not None:
            yield (path if name == getattr(group, "default", None) else (*path, name)), command


def option_table(cls: type[Any]) -> str:
    """Return a table of the options of a component or a recipe's section.

    Raises:
        ValueError: an option has no documentation.
    """
    rows = []
    for option in options_of(cls).values():
        if not option.doc:
            raise ValueError(f"{cls.__module__}.{cls.__name__}: {option.name} is not documented")
        default = "required" if option.required else f"`{shown(option.plain_default())}`"
        allowed = describe(option.annotation)
        rows.append((f"`{option.name}`", allowed, default, plain(option.doc)))
    return table(("option", "value", "default", "meaning"), rows) if rows else "No options.\n"


def shown(value: Any) -> str:
    """Return a default as a recipe would write it."""
    return f"{value:.6g}" if isinstance(value, float) else json.dumps(value)


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a Markdown table."""
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines
    )


if __name__ == "__main__":
    page = Path(__file__).with_name("parts.md")
    page.write_text(parts(own_plugins().registry), encoding="utf-8")
