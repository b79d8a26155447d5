"""Study files: a base recipe and named rows of changes, checked like recipes.

A row trains its recipe with its overrides (``overrides``), or measures the model of another row
again under changed options (``of`` and ``measure``). Rows go through the ordinary recipe code, so
everything a study does can also be done by hand with ``varkit run`` and ``varkit eval``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from varkit.errors import RecipeError, did_you_mean
from varkit.recipe import yaml
from varkit.recipe.layers import Change, Layers, dotted
from varkit.recipe.problems import Checker, refuse
from varkit.recipe.shipped import shipped_recipes
from varkit.recipe.yaml import Document, KeyPath, Layer
from varkit_studies.exhibits import EXHIBITS, Shown, check_shown
from varkit_studies.schema import Published, RowOptions, StudyOptions

VERSION = 1
"""The version of the format that studies state."""


@dataclass(frozen=True)
class Row:
    """A row, checked.

    Attributes:
        name: in the study.
        options: as written in the file.
        published: the figures that the paper printed.
        base: the row whose training it measures; its own name if it trains.
    """

    name: str
    options: RowOptions
    published: Published | None
    base: str

    @property
    def label(self) -> str:
        """Its name in tables."""
        return self.options.label

    @property
    def trains(self) -> bool:
        """Whether it trains, instead of measuring another row's model or running nothing."""
        return self.options.runs and self.options.of is None


@dataclass(frozen=True)
class Study:
    """A checked study file.

    Attributes:
        name: the file's stem.
        document: the file, for messages.
        options: its top level.
        rows: by name, in the file's order.
        reference: the row that the other rows are compared with.
        show: the exhibits and their options.
        left_out: rows of the file that were not chosen; a study with any is partial.
    """

    name: str
    document: Document
    options: StudyOptions
    rows: Mapping[str, Row]
    reference: str
    show: tuple[Shown, ...]
    left_out: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of the file; recipes are looked for there."""
        return Path(self.document.file).parent

    def at(self, *path: str | int) -> str:
        """Return ``file:line:column: path`` of a value, or of the nearest enclosing block."""
        return f"{self.document.place(path)}: {dotted(path)}"

    def changes(self, key: str, *blocks: KeyPath) -> tuple[Change, ...]:
        """Return the changes that blocks of the file make to a recipe.

        Args:
            key: the key of the changes, ``overrides`` or ``measure``; those of ``embedded`` follow.
            blocks: paths of the blocks: a row, or the top level.
        """
        layers: dict[str, Layer] = {key: "change", "embedded": "embedded"}
        return tuple(
            Change(tuple(name.split(".")), value, layer, self.document, (*block, part, name))
            for part, layer in layers.items()
            for block in blocks
            for name, value in reduce(getitem, block, self.document.value).get(part, {}).items()
        )


def shipped_studies() -> dict[str, Path]:
    """Return the studies that ship with varkit, by name."""
    recipes = next(iter(shipped_recipes().values())).parent
    return {file.stem: file for file in sorted((recipes / "studies").glob("*.yaml"))}


def find_study(path: str | Path) -> Path:
    """Return the path of a study, given a file or the name of a shipped study.

    Raises:
        RecipeError: neither exists.
    """
    shipped = shipped_studies()
    if Path(path).is_file():
        return Path(path)
    if str(path) in shipped:
        return shipped[str(path)]
    raise RecipeError(
        [
            f"no study {str(path)!r}.{did_you_mean(Path(path).stem, shipped)} "
            f"Shipped: {', '.join(shipped) or 'none'}."
        ],
        hint="varkit study lists the shipped studies; for your own, give the path of a file",
    )


def load_study(path: str | Path) -> Study:
    """Load and check a study file, but not its recipes.

    Raises:
        RecipeError: everything that is wrong with it.
    """
    path = find_study(path)
    return _StudyChecker(Layers(yaml.load(path))).study(path.stem)


class _StudyChecker(Checker):
    def study(self, name: str) -> Study:
        document = self.layers.document
        options = self.block((), StudyOptions, document.value)
        if options is None:  # check the rows anyway, to report every fault at once
            given = document.value.get("rows")
            for key, value in given.items() if isinstance(given, dict) else ():
                self.row(key, value)
            refuse(self.problems)
        if options.version != VERSION:
            self.problem(("version",), f"must be {VERSION}; not {options.version}")
        rows: dict[str, RowOptions] = {}
        for key, value in options.rows.items():
            row = self.row(key, value)
            if row is not None:
                rows[key] = row
        published = {key: self.published(key, row, options.table) for key, row in rows.items()}
        bases = {key: self.base(key, rows, options.rows) for key in rows}
        self.recipes(options, rows)
        reference = options.reference or next(iter(options.rows))
        if reference not in options.rows:
            self.unknown(("reference",), "row", reference, options.rows)
        show = self.show(options.show)
        refuse(self.problems)
        checked = {key: Row(key, row, published[key], bases[key]) for key, row in rows.items()}
        return Study(name, document, options, checked, reference, show)

    def row(self, name: str, value: Any) -> RowOptions | None:
        path = ("rows", name)
        if not name.isidentifier():
            self.problem(path, "a row's name is made of letters, digits and _")
        row: RowOptions | None = self.block(path, RowOptions, value)
        if row is None:
            return None
        if row.of is None and row.measure:
            self.problem((*path, "measure"), "needs 'of', the row whose model to measure again")
        if row.of is not None and not row.measure:
            self.problem((*path, "of"), "needs 'measure', which says what to change")
        if row.of is not None and (row.overrides or row.recipe is not None):
            self.problem(path, "trains ('recipe', 'overrides') or measures ('of'), not both")
        if not row.runs and (row.of is not None or row.x is not None or row.published):
            self.problem((*path, "runs"), "a row that runs nothing has no 'of', 'x' or 'published'")
        return row

    def base(self, name: str, rows: Mapping[str, RowOptions], known: Mapping[str, Any]) -> str:
        """Follow ``of`` to the row that trains."""
        seen = [name]
        while (row := rows.get(seen[-1])) is not None and row.of is not None:
            if row.of not in known:
                if seen[-1] == name:
                    self.unknown(("rows", name, "of"), "row", row.of, known)
                break
            if row.of in seen:
                if row.of == name:
                    circle = " -> ".join([*seen, name])
                    self.problem(("rows", name, "of"), f"goes round in a circle: {circle}")
                break
            if row.of in rows and not rows[row.of].runs:
                self.problem(("rows", name, "of"), f"row {row.of!r} runs nothing")
            seen.append(row.of)
        return seen[-1]

    def recipes(self, options: StudyOptions, rows: Mapping[str, RowOptions]) -> None:
        """Check that every training row has a recipe; its content is checked later."""
        for name, row in rows.items():
            if options.recipe is None and row.recipe is None and row.of is None:
                self.problem(("rows", name), "has no recipe, and neither has the study")

    def published(self, name: str, row: RowOptions, table: str) -> Published | None:
        if row.published is None:
            return None
        path = ("rows", name, "published")
        published = self.block(path, Published, row.published)
        if published is None:
            return None
        if (published.T2V or published.V2T) and (published.A2V or published.V2A):
            self.problem(path, "mixes text (T2V, V2T) and sound (A2V, V2A)")
        recalls, total = published.cells()[:-1], published.SumR
        if None not in recalls:
            added = sum(value for value in recalls if value is not None)
            if total is not None and abs(added - total) > 0.05:
                self.problem(
                    (*path, "SumR"), f"is {total:g}, but the six recalls add up to {added:.1f}"
                )
            total = added
        cells = {key: getattr(published, key) for key in ("T2V", "V2T", "A2V", "V2A")}
        source = published.source or table
        if not source:
            self.problem(path, "needs 'source', or the study needs 'table'")
        return Published(**cells, SumR=total, source=source)

    def show(self, entries: Sequence[Any]) -> tuple[Shown, ...]:
        exhibits: list[Shown] = []
        for index, entry in enumerate(entries):
            block = {"use": entry} if isinstance(entry, str) else entry
            use = block.get("use") if isinstance(block, dict) else None
            if not isinstance(use, str):
                self.problem(
                    ("show", index),
                    "must be an exhibit's name, or {use: NAME, ...}; "
                    f"exhibits: {', '.join(EXHIBITS)}",
                )
            elif use not in EXHIBITS:
                self.unknown(("show", index), "exhibit", use, EXHIBITS)
            else:
                shown, problems = check_shown(use, {k: v for k, v in block.items() if k != "use"})
                for below, message in problems:
                    self.problem(("show", index, *below), message)
                exhibits.append(shown)
        return tuple(exhibits)

    def unknown(self, path: KeyPath, what: str, name: str, known: Mapping[str, Any]) -> None:
        close = did_you_mean(name, known)
        self.problem(path, f"no {what} {name!r}.{close} Known: {', '.join(known)}.")
