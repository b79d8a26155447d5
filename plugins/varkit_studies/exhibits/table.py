"""The table of results in the paper's layout, with the published rows beside the measured ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from varkit.runs.report.tables import Table
from varkit_studies.comparison.resampling import FIGURES, holm
from varkit_studies.comparison.tables import between, chance, signed
from varkit_studies.exhibits import Exhibit
from varkit_studies.finished import FinishedRow, FinishedStudy

RECALLS = ("R@1", "R@5", "R@10")


class ResultsTable:
    """R@1, R@5 and R@10 both ways and SumR, with each row's difference from the reference."""

    def __call__(self, study: FinishedStudy, folder: Path) -> Exhibit:
        """Make the table; no file is written."""
        letter = "T" if study.text else "A"
        columns = (
            "",
            *(f"{way} {key}" for way in (f"{letter}→V", f"V→{letter}") for key in RECALLS),
            "SumR",
            "95 %",
            "difference",
            "95 %",
            "p",
            "p (Holm)",
        )
        corrected = _corrected(study)
        rows: list[tuple[str, ...]] = []
        records: list[dict[str, Any]] = []
        for name, row in study.study.rows.items():
            if name in study.data:
                continue
            if name in study.rows:
                rows.append(_row(study, study.rows[name], corrected.get(name)))
                records += _records(study, study.rows[name], corrected.get(name))
            else:
                rows.append((f"{row.label}: not finished", *("" for _ in columns[1:])))
            if row.published is not None:
                cells = row.published.cells()
                shown = tuple("" if cell is None else f"{cell:.1f}" for cell in cells)
                rows.append((f"{row.label}, published", *shown, *("" for _ in range(5))))
                records += _published(name, row.label, cells, row.published.source)
        title = f"{study.study.options.title}{study.mark()}"
        table = Table(title=title, caption=_caption(study), columns=columns, rows=tuple(rows))
        return Exhibit(title=title, tables=(table,), records=tuple(records))


def _row(study: FinishedStudy, row: FinishedRow, p_holm: float | None) -> tuple[str, ...]:
    values = study.values(row.name)
    figures = []
    for figure in FIGURES:
        value = values[figure]
        sd = "" if value.sd_trainings is None else f" ±{value.sd_trainings:.1f}"
        figures.append(f"{value.value:.1f}{sd}")
    total = values["SumR"]
    difference = study.differences(row.name).get("SumR")
    apart: tuple[str, ...] = ("", "", "", "")
    if row.name == study.study.reference:
        apart = ("reference", "", "", "")
    elif difference is not None:
        apart = (
            signed(difference.value),
            between(difference.interval_trainings or difference.interval),
            chance(difference.p),
            "" if p_holm is None else chance(p_holm),
        )
    elif study.unlike(row.name):
        apart = ("measured differently", "", "", "")
    interval = between(total.interval_trainings or total.interval)
    return (_label(study, row), *figures, interval, *apart)


def _label(study: FinishedStudy, row: FinishedRow) -> str:
    in_title = all(each.facts["embedded"] for each in study.rows.values())
    marks = ["embedded"] * (bool(row.facts["embedded"]) and not in_title)
    marks += ["other code"] * bool(row.other_code)
    marks += ["measured again"] * ("measured_from" in row.facts)
    return f"{row.row.label} ({', '.join(marks)})" if marks else row.row.label


def _corrected(study: FinishedStudy) -> dict[str, float]:
    """Return row -> p of SumR, corrected for the rows of this table."""
    totals = {name: study.differences(name).get("SumR") for name in study.rows}
    p = {name: total.p for name, total in totals.items() if total is not None}
    return dict(zip(p, holm(np.array(list(p.values()))).tolist(), strict=True)) if p else {}


def _caption(study: FinishedStudy) -> str:
    reference = study.study.rows[study.study.reference].label
    several = any(len(row.seeds) > 1 for row in study.rows.values())
    lines = ["Recalls in %, means over trainings"]
    if several:
        lines.append("± the standard deviation over trainings")
    lines += [
        f"difference: SumR minus that of {reference}, paired by video",
        "95 %: over test videos"
        + (" and trainings, if a row has several; for a difference, if both rows do" * several),
        "p: randomisation test on SumR for these trainings; Holm: corrected for the rows shown",
    ]
    sources = dict.fromkeys(r.published.source for r in study.study.rows.values() if r.published)
    if sources:
        lines.append(f"published: printed in {'; '.join(sources)}, not measured here")
    return "; ".join(lines) + "."


def _records(
    study: FinishedStudy, row: FinishedRow, p_holm: float | None
) -> Iterator[dict[str, Any]]:
    differences = study.differences(row.name)
    for figure, value in study.values(row.name).items():
        difference = differences.get(figure)
        interval = None if difference is None else difference.interval
        wide = None if difference is None else difference.interval_trainings
        yield {
            "kind": "measured",
            "row": row.name,
            "label": row.row.label,
            "figure": figure,
            "value": value.value,
            "sd_trainings": value.sd_trainings,
            **_limits("", value.interval),
            **_limits("_trainings", value.interval_trainings),
            "difference": None if difference is None else difference.value,
            **_limits("_difference", interval),
            **_limits("_difference_trainings", wide),
            "p": None if difference is None else difference.p,
            "p_holm": p_holm if figure == "SumR" else None,
            "seeds": " ".join(map(str, row.seeds)),
            "embedded": bool(row.facts["embedded"]),
            "fingerprint": row.facts["fingerprint"],
            "folder": str(row.folder),
        }


def _limits(suffix: str, limits: tuple[float, float] | None) -> dict[str, float | None]:
    low, high = limits or (None, None)
    return {f"low{suffix}": low, f"high{suffix}": high}


def _published(
    name: str, label: str, cells: tuple[float | None, ...], source: str
) -> Iterator[dict[str, Any]]:
    for figure, value in zip(FIGURES, cells, strict=True):
        if value is not None:
            yield {
                "kind": "published",
                "row": name,
                "label": label,
                "figure": figure,
                "value": value,
                "source": source,
            }
