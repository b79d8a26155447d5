"""Exhibits: tables and pictures that a study shows, one file each.

An exhibit is a class. As with components, its constructor is its schema: keyword-only arguments
are its options in the study file, ``show: [{use: sweep, axis: alpha}]``, and are checked before
anything is trained. It is called with a :class:`varkit_studies.finished.FinishedStudy` and its own
folder for PNG files, and returns an :class:`Exhibit`. It imports heavy packages in its functions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from varkit.plugins.registry import import_target
from varkit.recipe.options import check_options
from varkit.recipe.yaml import KeyPath
from varkit.runs.report.tables import Table

if TYPE_CHECKING:
    from varkit_studies.finished import FinishedStudy

EXHIBITS: Mapping[str, str] = {
    "table": "varkit_studies.exhibits.table:ResultsTable",
    "sweep": "varkit_studies.exhibits.sweep:Sweep",
    "statistics": "varkit_studies.exhibits.data_statistics:DataStatistics",
    "examples": "varkit_studies.exhibits.examples:Examples",
    "coarse_queries": "varkit_studies.exhibits.coarse_queries:CoarseQueries",
    "sampling": "varkit_studies.exhibits.sampling:Sampling",
    "zero_shot": "varkit_studies.exhibits.zero_shot:ZeroShot",
    "running_time": "varkit_studies.exhibits.running_time:RunningTime",
}
"""Name -> ``module:Class``, imported when a study uses it."""


@dataclass(frozen=True)
class Picture:
    """A figure.

    Attributes:
        file: a PNG in the exhibit's folder.
        caption: what it shows; says "simulated" if the data are.
    """

    file: Path
    caption: str


@dataclass(frozen=True)
class Exhibit:
    """What a study shows under one heading; all text is plain, and escaped when written.

    Attributes:
        title: the heading; ends with :meth:`FinishedStudy.mark`.
        notes: what a reader must know, a sentence each.
        tables: of text cells.
        pictures: PNG files.
        records: the values behind the tables in full precision, for a CSV file.
        figures: the same for ``study.json``: any JSON value.
    """

    title: str
    notes: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    records: tuple[Mapping[str, Any], ...] = ()
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shown:
    """An exhibit of a study, with its options.

    Attributes:
        name: in :data:`EXHIBITS`.
        options: of its class, complete and checked.
    """

    name: str
    options: Mapping[str, Any]

    def make(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Make it.

        Args:
            study: whose rows to show.
            folder: for its files.
        """
        made: Exhibit = _load(self.name)(**self.options)(study, folder)
        return made


def check_shown(name: str, options: Mapping[str, Any]) -> tuple[Shown, list[tuple[KeyPath, str]]]:
    """Check the options of an exhibit; return it with defaults added, and the problems."""
    complete, problems = check_options(_load(name), options)
    return Shown(name, complete), problems


def _load(name: str) -> type[Any]:
    cls: type[Any] = import_target(EXHIBITS[name], f"exhibit {name!r}")
    return cls
