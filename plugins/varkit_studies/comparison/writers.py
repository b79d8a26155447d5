"""A comparison as files. Names and captions are other people's: each format escapes them."""

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
from varkit.system.files import write_text
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.tables import (
    Table,
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
    "[": "{[}",  # a bracket after a line's end would be its option
    "]": "{]}",
}


def write_comparison(found: Comparison, folder: Path, *, queries: int = 10) -> list[Path]:
    """Write ``comparison.md``, ``.csv``, ``.tex``, ``.html`` and ``.json``; return their paths.

    Args:
        found: the comparison.
        folder: is made.
        queries: how many of the largest moves of a pair to show; the JSON file has all.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: the disk is full or not writable.
    """
    check_extra()
    tables = [*figure_tables(found), *query_tables(found, queries), *group_tables(found)]
    texts = {
        "md": markdown(found, tables),
        "csv": comma_separated(found),
        "tex": latex(found, [*figure_tables(found), *group_tables(found)]),
        "html": page(found, tables),
        "json": as_json(found),
    }
    paths = []
    for ending, text in texts.items():
        paths.append(folder / f"comparison.{ending}")
        write_text(paths[-1], text)
    return paths


def check_extra() -> None:
    """Refuse to go on where the page cannot be written.

    Raises:
        VarkitError: the extra ``report`` is not installed.
    """
    if find_spec("jinja2") is None:
        raise VarkitError(
            "the page of a comparison needs jinja2", hint="pip install 'varkit[report]'"
        )


def markdown(found: Comparison, tables: Sequence[Table]) -> str:
    """Return the comparison as GitHub's Markdown."""
    lines = [f"# Comparison{mark(found)}", ""]
    lines += [f"- {markdown_text(note)}" for note in notes(found)]
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


def latex(found: Comparison, tables: Sequence[Table]) -> str:
    """Return tables as LaTeX, which need the package ``booktabs``."""
    lines = [f"% {note}" for note in notes(found)]
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


def comma_separated(found: Comparison) -> str:
    """Return every figure, difference and group's difference, one a line, for spreadsheets."""
    text = io.StringIO()
    table = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    table.writeheader()
    for line in _lines(found):
        limits = dict(zip(("low", "high"), line.pop("interval") or (), strict=False))
        wide = line.pop("interval_trainings", None) or ()
        limits |= dict(zip(("low_trainings", "high_trainings"), wide, strict=False))
        run = found.runs[line["run"]]
        line |= limits | {
            "folder": run["folder"],
            "folder_against": found.runs[line["against"]]["folder"] if "against" in line else "",
            "fingerprint": run["fingerprint"],
            "simulated": "yes" if found.simulated else "no",
            "mismatches": "; ".join(found.mismatches),
        }
        table.writerow({key: spreadsheet_cell(value) for key, value in line.items()})
    return text.getvalue()


def page(found: Comparison, tables: Sequence[Table]) -> str:
    """Return the comparison as one HTML file with nothing remote in it and no script."""
    from varkit.runs.report.html import render

    return render(
        Path(__file__).with_name("comparison.html.j2"),
        found=found,
        mark=mark(found),
        notes=notes(found),
        tables=tables,
    )


def as_json(found: Comparison) -> str:
    """Return everything as JSON."""
    return json.dumps(found.as_json(), indent=2, allow_nan=False) + "\n"


def _lines(found: Comparison) -> list[dict[str, Any]]:
    lines = [{"kind": "value", **vars(value)} for value in found.values]
    lines += [{"kind": "difference", **vars(one)} for one in found.differences]
    for group in found.groups:
        own = {key: vars(group)[key] for key in ("run", "against", "figure", "videos", "interval")}
        name = f"{group.by}: {group.name}"
        lines.append({"kind": "group difference", "group": name, "value": group.difference, **own})
    return lines


def spreadsheet_cell(value: Any) -> Any:
    """Return a cell that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return f"'{value}"
    return value


def markdown_text(text: str) -> str:
    """Return text with nothing in it that Markdown would obey."""
    return re.sub(r"([\\`*_{}\[\]<>|#$&~])", r"\\\1", text)


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
