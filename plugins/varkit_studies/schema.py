"""The keys of a study file: of its top level, of a row, and of a row's published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen

MOST_ROWS = 26
"""The most that a comparison can hold."""

Percent = Annotated[float, Ge(0), Le(100)]
Recalls = Annotated[tuple[Percent | None, ...], MinLen(3), MaxLen(3)]


@dataclass(frozen=True, kw_only=True)
class Published:
    """Figures that a paper printed.

    Attributes:
        T2V: text to video, R@1, R@5 and R@10; null = not known.
        V2T: video to text.
        A2V: sound to video.
        V2A: video to sound.
        SumR: the sum of the six; not needed if all six are given.
        source: where they are printed; default: the study's ``table``.
    """

    T2V: Recalls | None = None
    V2T: Recalls | None = None
    A2V: Recalls | None = None
    V2A: Recalls | None = None
    SumR: Annotated[float, Ge(0), Le(600)] | None = None
    source: str = ""

    def cells(self) -> tuple[float | None, ...]:
        """Return R@1, R@5, R@10 from query to video, the same back, and SumR."""
        forth = self.T2V or self.A2V or (None, None, None)
        back = self.V2T or self.V2A or (None, None, None)
        return (*forth, *back, self.SumR)


@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """A row, as written in the file.

    Attributes:
        label: how tables name it.
        recipe: what it trains; default: the study's recipe.
        overrides: dotted key, or section, -> value; null removes a named component.
        of: the row whose model it measures again; it then trains nothing.
        measure: changes for that measurement, in ``data``, ``samplers``, ``alignments``, ``eval``.
        embedded: further changes if the recipe's embedded block is used.
        x: its position on the axis of a sweep.
        series: the line of the sweep that it belongs to.
        published: the figures that the paper printed.
        runs: whether anything is run for it; false = exhibits use only its recipe's data.
    """

    label: str
    recipe: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    of: str | None = None
    measure: Mapping[str, Any] = field(default_factory=dict)
    embedded: Mapping[str, Any] = field(default_factory=dict)
    x: float | None = None
    series: str = ""
    published: Mapping[str, Any] | None = None
    runs: bool = True


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """A study file's top level.

    Attributes:
        version: of the format.
        title: of the page and the tables.
        table: the table or figure, and the paper, that it reproduces.
        queries: what queries are called in headings; default: from the data, where all queries
            that are features count as sounds.
        recipe: what rows train: a file beside the study, or the name of a shipped recipe.
        overrides: for all rows.
        embedded: further overrides for all rows, if the recipe's embedded block is used.
        rows: name -> row.
        reference: the row that the other rows are compared with; default: the first.
        show: exhibits, each a name or a block such as ``{use: sweep, axis: alpha}``.
    """

    version: int
    title: str
    table: str = ""
    queries: Literal["text", "sound"] | None = None
    recipe: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    embedded: Mapping[str, Any] = field(default_factory=dict)
    rows: Annotated[Mapping[str, Any], MinLen(1), MaxLen(MOST_ROWS)]
    reference: str | None = None
    show: tuple[Any, ...] = ("table",)
