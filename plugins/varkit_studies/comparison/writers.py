"""Writes a comparison as files. Names and captions are untrusted: each format escapes them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from varkit.errors import VarkitError
from varkit.runs.report.tables import Table
from varkit.system.files import write_text
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.tables import (
    figure_tables,
    group_tables,
    mark,
    notes,
    query_tables,
)

COLUMNS = (
    "kind",
    "group",
    "run",
    "against",
    "figure",
    "value",
    "low",
    "high",
    "low_trainings",
    "high_trainings",
    "sd_trainings",
    "p",
    "p_holm",
    "videos",
    "folder",
    "folder_against",
    "fingerprint",
    "simulated",
    "mismatches",
)
LATEX = {letter: f"\\{letter}" for letter in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "→": r"$\to$",
    "−": "$-$",
    "±": r"$\pm$",
    "[": "{[}",  # after a line's end a bracket would start an option
    "]": "{]}",
}


def write_comparison(comparison: Comparison, folder: Path, *, queries: int = 10) -> list[Path]:
    """Write ``comparison.md``, ``.csv``, ``.tex``, ``.html`` and ``.json``; return their paths.

    Args:
        comparison: the comparison.
        folder: is created.
        queries: how many of a pair's largest moves to show; the JSON file has all.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: the disk is full or not writable.
    """
    check_extra()
    figures, groups = figure_tables(comparison), group_tables(comparison)
    tables = [*figures, *query_tables(comparison, queries), *groups]
    texts = {
        "md": markdown(comparison, tables),
        "csv": comma_separated(comparison),
        "tex": latex(comparison, [*figures, *groups]),
        "html": page(comparison, tables),
        "json": as_json(comparison),
    }
    paths = []
    for ending, text in texts.items():
        paths.append(folder / f"comparison.{ending}")
        write_text(paths[-1], text)
    return paths


def check_extra() -> None:
    """Check that the page can be written.

    Raises:
        VarkitError: the extra ``report`` is not installed.
    """
    if find_spec("jinja2") is None:
        raise VarkitError(
            "the page of a comparison needs jinja2", hint="pip install 'varkit[report]'"
        )


def markdown(comparison: Comparison, tables: Sequence[Table]) -> str:
    """Return the comparison as GitHub's Markdown."""
    lines = [f"# Comparison{mark(comparison)}", ""]
    lines += [f"- {markdown_text(note)}" for note in notes(comparison)]
    for table in tables:
        lines += markdown_table(table)
    return "\n".join(lines) + "\n"


def markdown_table(table: Table) -> list[str]:
    """Return the lines of a table as GitHub's Markdown, after an empty line."""
    ruler = ["---" if i < table.words else "--:" for i in range(len(table.columns))]
    cells = [[markdown_text(cell) for cell in row] for row in (table.columns, *table.rows)]
    cells.insert(1, ruler)
    head = ["", f"## {markdown_text(table.title)}", "", markdown_text(table.caption), ""]
    return head + [f"| {' | '.join(row)} |" for row in cells]


def latex(comparison: Comparison, tables: Sequence[Table]) -> str:
    """Return tables as LaTeX, for the package ``booktabs``."""
    lines = [f"% {note}" for note in notes(comparison)]
    for table in tables:
        lines += latex_table(table)
    return "\n".join(lines) + "\n"


def latex_table(table: Table) -> list[str]:
    """Return the lines of a table as LaTeX, after an empty line."""
    columns = "l" * table.words + "r" * (len(table.columns) - table.words)
    head, *rows = (" & ".join(map(_latex, row)) + r" \\" for row in (table.columns, *table.rows))
    return [
        "",
        r"\begin{table}",
        rf"\caption{{{_latex(table.title)}. {_latex(table.caption)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        head,
        r"\midrule",
        *rows,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]


def comma_separated(comparison: Comparison) -> str:
    """Return every figure, difference and group difference as CSV, one per line."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    for line in _lines(comparison):
        limits = dict(zip(("low", "high"), line.pop("interval") or (), strict=False))
        wide = line.pop("interval_trainings", None) or ()
        limits |= dict(zip(("low_trainings", "high_trainings"), wide, strict=False))
        run, against = comparison.runs[line["run"]], line.get("against")
        line |= limits | {
            "folder": run["folder"],
            "folder_against": comparison.runs[against]["folder"] if against else "",
            "fingerprint": run["fingerprint"],
            "simulated": "yes" if comparison.simulated else "no",
            "mismatches": "; ".join(comparison.mismatches),
        }
        table.writerow({key: spreadsheet_cell(value) for key, value in line.items()})
    return text.getvalue()


def page(comparison: Comparison, tables: Sequence[Table]) -> str:
    """Return the comparison as one HTML file with nothing remote in it and no script."""
    from varkit.runs.report.html import render

    return render(
        Path(__file__).with_name("comparison.html.j2"),
        comparison=comparison,
        mark=mark(comparison),
        notes=notes(comparison),
        tables=tables,
    )


def as_json(comparison: Comparison) -> str:
    """Return everything as JSON."""
    return json.dumps(comparison.as_json(), indent=2, allow_nan=False) + "\n"


def _lines(comparison: Comparison) -> list[dict[str, Any]]:
    lines = [{"kind": "value", **vars(value)} for value in comparison.values]
    lines += [{"kind": "difference", **vars(difference)} for difference in comparison.differences]
    for group in comparison.groups:
        own = {key: vars(group)[key] for key in ("run", "against", "figure", "videos", "interval")}
        name = f"{group.by}: {group.name}"
        lines.append({"kind": "group difference", "group": name, "value": group.difference, **own})
    return lines


def spreadsheet_cell(value: Any) -> Any:
    """Return a cell that a spreadsheet does not take for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value


def markdown_text(text: str) -> str:
    """Return text with Markdown's special characters escaped."""
    return re.sub(r"([\\`*_{}\[\]<>|#$&~])", r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
