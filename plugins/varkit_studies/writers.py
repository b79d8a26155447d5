"""Writes a finished study: ``study.json``, a page, and each exhibit's Markdown, LaTeX and CSV.

Labels, captions and names are untrusted: each format escapes them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from varkit.errors import VarkitError
from varkit.runs.report.tables import Table, plain
from varkit.system.files import write_json, write_text
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.tables import group_tables, query_tables, signed
from varkit_studies.comparison.writers import (
    check_extra,
    latex_table,
    markdown_table,
    markdown_text,
    spreadsheet_cell,
    write_comparison,
)
from varkit_studies.exhibits import Exhibit
from varkit_studies.finished import FinishedRow, FinishedStudy
from varkit_studies.protocol import protocol, warnings
from varkit_studies.stale import remove_stale

QUERIES = 10
"""How many of the queries that moved most are shown for each pair of rows."""


def write_study(study: FinishedStudy, folder: Path) -> tuple[list[Path], dict[str, str]]:
    """Write everything about a study, and remove files that only an earlier write made.

    Args:
        study: finished, at least in part.
        folder: ``runs/studies/<name>``; for a partial study, ``partial`` in it.

    Returns:
        The page and the exhibits' files, and exhibit -> why it could not be made.

    Raises:
        VarkitError: the extra ``report`` is not installed.
        WriteError: the disk is full or not writable.
    """
    check_extra()
    made: dict[str, Exhibit] = {}
    failed: dict[str, str] = {}
    for number, shown in enumerate(study.study.show):
        earlier = sum(each.name == shown.name for each in study.study.show[:number])
        name = f"{shown.name}-{earlier + 1}" if earlier else shown.name
        place = folder / "exhibits" / name
        place.mkdir(parents=True, exist_ok=True)
        try:
            made[name] = shown.make(study, place)
        except VarkitError as error:
            failed[name] = error.line
    warned = [plain(line) for line in warnings(study)]
    warned += [plain(f"Exhibit {name} could not be made: {why}.") for name, why in failed.items()]
    rules = [plain(line) for line in protocol(study)]
    notes = [*warned, *rules]
    paths = [folder / "study.html"]
    for name, exhibit in made.items():
        texts = {
            "md": _markdown(exhibit, notes, folder),
            "tex": _latex(exhibit, notes),
            "csv": _comma_separated(exhibit, study),
        }
        for ending, text in texts.items():
            if text:
                paths.append(folder / f"{name}.{ending}")
                write_text(paths[-1], text)
    compared: list[Path] = []
    for number, comparison in enumerate(study.comparisons):
        if comparison.differences:
            place = folder / ("comparison" if number == 0 else f"comparison-{number + 1}")
            compared += write_comparison(comparison, place, queries=QUERIES)
    write_json(folder / "study.json", _json(study, made, failed, notes))
    write_text(folder / "study.html", _page(study, made, warned, rules))
    drawn = [picture.file for exhibit in made.values() for picture in exhibit.pictures]
    remove_stale(folder, {*paths, *compared, *drawn})
    return paths, failed


def _markdown(exhibit: Exhibit, notes: Sequence[str], folder: Path) -> str:
    lines = [f"# {markdown_text(exhibit.title)}", ""]
    lines += [f"- {markdown_text(note)}" for note in (*exhibit.notes, *notes)]
    for table in exhibit.tables:
        lines += markdown_table(table)
    for picture in exhibit.pictures:
        place = picture.file.relative_to(folder).as_posix()
        lines += ["", f"![{markdown_text(picture.caption)}](<{place}>)"]
    return "\n".join(lines) + "\n"


def _latex(exhibit: Exhibit, notes: Sequence[str]) -> str:
    if not exhibit.tables:
        return ""
    lines = [f"% {note}" for note in (*exhibit.notes, *notes)]
    for table in exhibit.tables:
        lines += latex_table(table)
    return "\n".join(lines) + "\n"


def _comma_separated(exhibit: Exhibit, study: FinishedStudy) -> str:
    if not exhibit.records:
        return ""
    columns = dict.fromkeys(key for record in exhibit.records for key in record)
    text = io.StringIO()
    table = csv.DictWriter(text, [*columns, "study", "simulated"], "", lineterminator="\n")
    table.writeheader()
    for record in exhibit.records:
        published = record.get("kind") == "published"
        own = {"study": study.study.name, "simulated": study.simulated and not published}
        table.writerow({key: _cell(value) for key, value in {**record, **own}.items()})
    return text.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return spreadsheet_cell(value)


def _json(
    study: FinishedStudy,
    made: Mapping[str, Exhibit],
    failed: Mapping[str, str],
    notes: Sequence[str],
) -> dict[str, Any]:
    options = study.study.options
    return {
        "schema": 1,
        "study": study.study.name,
        "title": options.title,
        "table": options.table,
        "simulated": study.simulated,
        "embedded": study.embedded,
        "text": study.text,
        "overrides": list(study.overrides),
        "reference": study.study.reference,
        "protocol": list(notes),
        "order": list(study.study.rows),
        "left_out": list(study.study.left_out),
        "rows": {name: _row(study, study.rows[name]) for name in study.rows},
        "published": {
            name: asdict(row.published)
            for name, row in study.study.rows.items()
            if row.published is not None
        },
        "unfinished": dict(study.unfinished),
        "exhibits": {name: dict(exhibit.figures) for name, exhibit in made.items()},
        "exhibits_failed": dict(failed),
    }


def _row(study: FinishedStudy, row: FinishedRow) -> dict[str, Any]:
    keys = ("recipe", "digest", "dataset", "simulated", "embedded", "missing", "fingerprint")
    return {
        "label": row.row.label,
        "run": str(row.folder),
        "weights_of": None if row.row.trains else str(row.trained),
        "measured_from": row.facts.get("measured_from"),
        **{key: row.facts.get(key) for key in (*keys, "selection", "versions", "machine")},
        "questions": row.ranked.protocol["questions"],
        "other_code": list(row.other_code),
        "seeds": list(row.seeds),
        "checkpoint": row.which,
        "summary": row.results["summary"],
        "values": {name: asdict(value) for name, value in study.values(row.name).items()},
        "differences": {name: asdict(one) for name, one in study.differences(row.name).items()},
        "unlike_reference": study.unlike(row.name),
    }


def _page(
    study: FinishedStudy, made: Mapping[str, Exhibit], warned: Sequence[str], rules: Sequence[str]
) -> str:
    from varkit.runs.report.html import render

    return render(
        Path(__file__).with_name("study.html.j2"),
        study=study,
        mark=study.mark(),
        warned=warned,
        rules=rules,
        exhibits=made.values(),
        pairs=list(_pairs(study)),
    )


def _pairs(study: FinishedStudy) -> Iterator[tuple[str, list[Table]]]:
    """Yield a heading and the tables of differences for each pair of compared rows."""
    rows = study.study.rows
    for comparison in study.comparisons:
        for total in comparison.differences:
            if total.figure != "SumR":
                continue
            pair = _pair(comparison, total.run, total.against)
            against = rows[total.against].label
            heading = f"{rows[total.run].label} against {against}: SumR {signed(total.value)}"
            yield heading, [*query_tables(pair, QUERIES), *group_tables(pair)]


def _pair(comparison: Comparison, run: str, against: str) -> Comparison:
    """Return the part of a comparison that concerns one pair."""

    def own(lines: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(line for line in lines if (line.run, line.against) == (run, against))

    return replace(
        comparison,
        differences=own(comparison.differences),
        groups=own(comparison.groups),
        flips=own(comparison.flips),
        moves=own(comparison.moves),
    )
