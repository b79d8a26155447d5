"""Writes docs/results.md: what others published, and what was measured with varkit.

``python docs/results.py`` writes the page again from ``docs/results/published.yaml`` and from the
result files ``docs/results/*.json``. ``python docs/results.py add runs/studies/NAME`` first makes
such a file of a finished study. ``tests/test_results.py`` checks that the page is up to date.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from string import ascii_lowercase
from typing import Any

from varkit_studies.comparison.statistics import FIGURES
from varkit_studies.comparison.tables import Table, between
from varkit_studies.comparison.writers import markdown_table, markdown_text

from varkit.recipe import yaml

HERE = Path(__file__).parent
BENCHMARKS = {"ucfcrime_ar": ("UCFCrime-AR", "T"), "xdviolence_ar": ("XDViolence-AR", "A")}
KINDS = {
    "real": "Measured with varkit, real data",
    "msrvtt": "Measured with varkit, MSR-VTT",
    "simulated": "Measured with varkit, SIMULATED data",
}
"""What the rows of a result file may be; a file holds one kind alone."""
ABOUT = {
    "real": "These may be held against published rows of the same protocol and backbone.",
    "msrvtt": "A general benchmark of ordinary videos: no anomaly in it, and no row of it is "
    "comparable with any other table of this page.",
    "simulated": "A program made the videos. These figures say that the machinery works and how "
    "methods order in that world; no row is comparable with a row of any other table.",
}
HEAD = """\
# Results

Made by `docs/results.py`; edit that, `docs/results/published.yaml` or the result files instead.
Three kinds of figures stand here, never in one table: what others published, what was measured with
varkit on real data, and what was measured on simulated data.

R@K in %, SumR is the six recalls added. Published figures follow different rules for n, ties and
the choice of checkpoints, and rest on different backbones: rows compare within one kind.
"""


def page(published: Mapping[str, Any], results: Sequence[Mapping[str, Any]]) -> str:
    """Return the page.

    Args:
        published: what ``published.yaml`` holds.
        results: result files, as :func:`reduced` makes them.
    """
    lines = [
        HEAD.rstrip(),
        "",
        "## Published",
        "",
        "Not measured here. An empty cell is unknown to us; so is the sum of a row that has one.",
    ]
    for name, (title, letter) in BENCHMARKS.items():
        lines += _published(title, letter, published[name])
    for kind, title in KINDS.items():
        lines += ["", f"## {title}", "", ABOUT[kind]]
        own = [result for result in results if result["kind"] == kind]
        for result in own:
            lines += _below(markdown_table(_measured(result)))
            lines += ["", *(f"- {markdown_text(line)}" for line in _protocol(result))]
        if not own:
            lines += ["", "No result file yet."]
    return "\n".join(lines) + "\n"


def reduced(study: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page needs of a study's ``study.json``.

    Raises:
        ValueError: it has no measured row, not all its rows, or rows of different data.
    """
    if study["unfinished"]:
        raise ValueError(f"{study['study']}: rows that are not finished: {study['unfinished']}")
    if study.get("left_out"):
        raise ValueError(f"{study['study']}: rows left out by --rows: {study['left_out']}")
    rows = study["rows"]
    data = {(row["simulated"], row["dataset"], row["questions"]) for row in rows.values()}
    if not data:
        raise ValueError(f"{study['study']}: no row was measured")
    if len(data) > 1:
        raise ValueError(f"{study['study']}: rows of different data cannot share a table: {data}")
    ((simulated, dataset, _),) = data
    # The place of a run on one machine says nothing on another.
    protocol = [line for line in study["protocol"] if "it shares the run" not in line]
    return {
        "schema": 1,
        "kind": "simulated" if simulated else "msrvtt" if "msr" in dataset.lower() else "real",
        "study": study["study"],
        "title": study["title"],
        "command": " ".join(["varkit study", study["study"], *study["overrides"]]),
        "dataset": dataset,
        "fingerprints": sorted({row["fingerprint"] for row in rows.values()}),
        "embedded": study["embedded"],
        "text": study["text"],
        "protocol": protocol,
        "rows": [
            {
                "label": rows[name]["label"],
                "embedded": rows[name]["embedded"],
                "measured_again": rows[name]["weights_of"] is not None,
                "seeds": rows[name]["seeds"],
                "values": {
                    figure: {
                        key: rows[name]["values"][figure][key]
                        for key in ("value", "sd_trainings", "interval", "interval_trainings")
                    }
                    for figure in FIGURES
                },
            }
            for name in study["order"]
            if name in rows
        ],
    }


def read() -> tuple[Mapping[str, Any], list[Mapping[str, Any]]]:
    """Return what ``published.yaml`` and the result files hold."""
    published = yaml.load(HERE / "results" / "published.yaml").value
    files = sorted((HERE / "results").glob("*.json"))
    return published, [json.loads(file.read_text("utf-8")) for file in files]


def _published(title: str, letter: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the lines of a table, and below it where its figures are from, by letter."""
    notes: dict[str, str] = {}
    cells = []
    for row in rows:
        note = f"{row['source']}: {row['protocol']}"
        key = notes.setdefault(note, ascii_lowercase[len(notes)])
        recalls = (*_recalls(row, f"{letter}2V"), *_recalls(row, f"V2{letter}"))
        total = _cell(row.get("SumR")) + (" (added)" if row.get("added") else "")
        cells.append((row["system"], row["backbone"], key, *recalls, total))
    table = Table(
        title=f"{title}, published",
        caption="(added): only the recalls were printed; their sum is ours.",
        columns=("system", "backbone", "from", *_columns(letter), "SumR"),
        rows=tuple(cells),
        words=3,
    )
    listed = [f"- {key}: {markdown_text(note)}" for note, key in notes.items()]
    return [*_below(markdown_table(table)), "", *listed]


def _measured(result: Mapping[str, Any]) -> Table:
    letter = "T" if result["text"] else "A"
    mark = " (simulated data)" if result["kind"] == "simulated" else ""
    rows = []
    for row in result["rows"]:
        values = [row["values"][figure] for figure in FIGURES]
        shown = [
            _cell(v["value"]) + ("" if v["sd_trainings"] is None else f" ±{v['sd_trainings']:.1f}")
            for v in values
        ]
        marks = ["embedded"] * row["embedded"] + ["measured again"] * row["measured_again"]
        label = f"{row['label']} ({', '.join(marks)})" if marks else row["label"]
        limits = values[-1]["interval_trainings"] or values[-1]["interval"]
        seeds = ", ".join(map(str, row["seeds"]))
        rows.append((label, *shown, between(limits), seeds))
    return Table(
        title=f"{result['title']}, measured on {result['dataset']}{mark}",
        caption="Means over trainings, ± their standard deviation. 95 %: of SumR, the interval "
        "that allows for other trainings as well as for other videos; of a row with one training, "
        "for other videos alone.",
        columns=("", *_columns(letter), "SumR", "95 %", "seeds"),
        rows=tuple(rows),
    )


def _protocol(result: Mapping[str, Any]) -> Iterator[str]:
    yield f"Command: {result['command']}"
    yield from result["protocol"]


def _columns(letter: str) -> tuple[str, ...]:
    return tuple(f"{way} R@{k}" for way in (f"{letter}→V", f"V→{letter}") for k in (1, 5, 10))


def _recalls(row: Mapping[str, Any], way: str) -> tuple[str, ...]:
    return tuple(map(_cell, row.get(way) or (None, None, None)))


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _below(lines: Sequence[str]) -> list[str]:
    """Put a table's heading below the page's."""
    return [f"#{line}" if line.startswith("## ") else line for line in lines]


def main(arguments: Sequence[str]) -> None:
    """Write the page; ``add FOLDER`` first takes in a study."""
    if arguments and arguments[0] == "add":
        for folder in arguments[1:]:
            found = reduced(json.loads((Path(folder) / "study.json").read_text("utf-8")))
            file = HERE / "results" / f"{found['study']}.json"
            file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    (HERE / "results.md").write_text(page(*read()), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
