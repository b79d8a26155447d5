"""The page of a run: one HTML file without scripts or remote content.

Captions, names and recipes are untrusted: the template escapes them, and a content security policy
is the second line of defence.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from markupsafe import Markup

from varkit.errors import RunError
from varkit.evaluation.examples import Examples
from varkit.evaluation.results import RunResults
from varkit.runs.captions import told
from varkit.runs.find import find_run
from varkit.runs.folder import Facts
from varkit.runs.report import charts
from varkit.runs.report.html import render
from varkit.runs.report.tables import (
    SELECTION,
    Table,
    detection_table,
    groups_table,
    mark,
    reported,
    results_table,
)
from varkit.system.files import write_text
from varkit.system.inputs import read_user_file, reading
from varkit.system.records import read_json
from varkit.training.log import read_log

TEMPLATE = Path(__file__).with_name("page.html.j2")
NO_EXAMPLES: Examples = {"retrieval": [], "sampling": []}

T = TypeVar("T")


def write_page(run: Path) -> Path:
    """Write ``report.html`` of a run, finished or not, and return its path.

    Raises:
        RunError: the folder is not a run, or one of its files is damaged.
    """
    run = find_run(run)
    facts = read_json(run / "run.json", Facts)
    results = _json(run / "results.json", RunResults)
    seeds = [str(seed) for seed in facts["seeds"]]
    logs = {seed: read_log(run / f"seed-{seed}" / "metrics.jsonl") for seed in seeds}
    examples = {seed: _json(run / f"seed-{seed}" / "examples.json", Examples) for seed in seeds}
    seed, shown = next(((s, e) for s, e in examples.items() if e), ("", NO_EXAMPLES))
    suffix = mark(facts)
    page = render(
        TEMPLATE,
        facts=facts,
        mark=suffix,
        headline=_headline(results) if results else [],
        checkpoint=_checkpoint(results) if results else "",
        tables=_main_tables(results) if results else [],
        groups=groups_table(results) if results else None,
        curves=Markup(charts.training_curves(logs, suffix)),
        seed=seed,
        retrieval=shown["retrieval"],
        sampling=[
            (example, Markup(charts.sampling_picture(example, f"video{number}", suffix)))
            for number, example in enumerate(shown["sampling"])
        ],
        provenance={
            name: list(told(facts["captions"])) if name == "captions" else _plain(value)
            for name, value in facts.items()
            if name != "schema"
        },
        recipe=_text(run / "recipe.yaml"),
    )
    write_text(run / "report.html", page)
    return run / "report.html"


def _main_tables(results: Mapping[str, Any]) -> list[Table]:
    detection = detection_table(results)
    return [results_table(results), *([] if detection is None else [detection])]


def _checkpoint(results: Mapping[str, Any]) -> str:
    """Return which checkpoint the tiles are of, and how it was selected."""
    which = reported(results["summary"])
    reports = [report for result in results["seeds"].values() if (report := result.get(which))]
    epochs = ", ".join(str(report["epoch"]) for report in reports if report.get("epoch"))
    of = "given scores" if which == "given" else f"{which} checkpoint"
    of += f", epoch{'s' * (len(reports) > 1)} {epochs}" if epochs else ""
    over = f"; mean ± sd over {len(reports)} trainings" if len(reports) > 1 else ""
    return f"Of the {results['split']} split: {of}; {SELECTION[results['selection']]}{over}"


def _headline(results: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return label, figure and chance level of the reported checkpoint's main figures."""
    which = reported(results["summary"])
    cards = []
    for name, label in (
        ("SumR", "SumR"),
        ("query_to_video.R@1", "query → video R@1"),
        ("video_to_query.R@1", "video → query R@1"),
        ("query_to_video.MdR", "query → video MdR"),
    ):
        value = results["summary"][which][name]
        way, _, key = name.rpartition(".")
        chance = (results["chance"][way] if way else results["chance"])[key]
        spread = "" if value["sd"] is None else f" ± {value['sd']:.1f}"
        cards.append((label, f"{value['mean']:.1f}{spread}", f"chance {chance:.1f}"))
    return cards


def _plain(value: Any) -> list[str]:
    """Return a fact of ``run.json`` as lines."""
    if isinstance(value, Mapping):
        return [f"{name} {line}" for name, inner in value.items() for line in _plain(inner)]
    if isinstance(value, list):
        return [str(inner) for inner in value]
    return [{True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)]


def _text(path: Path) -> str:
    if not path.exists():
        return ""
    with reading(path, RunError):
        return read_user_file(path).decode()


def _json(path: Path, kind: type[T]) -> T | None:
    """Return the content of a JSON file, or None if it does not exist yet."""
    return read_json(path, kind) if path.exists() else None
