"""What a reader of a study's figures must know, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator

from varkit.recipe.load import Recipe
from varkit.runs.report.tables import SELECTION, TIES, positives_note
from varkit_studies.code import by_code
from varkit_studies.comparison.compare import Comparison
from varkit_studies.comparison.tables import fingerprints
from varkit_studies.finished import FinishedRow, FinishedStudy


def warnings(study: FinishedStudy) -> Iterator[str]:
    """Yield what a reader must know before looking at a figure."""
    rows = list(study.rows.values())
    if study.simulated:
        yield "SIMULATED data: not comparable with figures of any benchmark."
    if study.embedded:
        lacking = [line for row in rows for line in row.facts["missing"]]
        lacking += [line for data in study.data.values() for line in data.recipe.missing]
        missing = dict.fromkeys(lacking)
        yield f"EMBEDDED variant of the recipes, since missing here: {'; '.join(missing)}."
    chosen, left_out = study.study.rows, study.study.left_out
    if left_out:
        yield (
            f"PARTIAL: rows {', '.join(chosen)} of {len(chosen) + len(left_out)}; "
            f"left out: {', '.join(left_out)}."
        )
    for names, differing in by_code((row.name, row.other_code) for row in rows):
        yield f"OTHER CODE made {names} ({differing}), used anyway."
    for name, why in study.unfinished.items():
        yield f"Row {name} is missing: {why}."


def protocol(study: FinishedStudy) -> Iterator[str]:
    """Yield how the study was measured, and on which data."""
    rows = list(study.rows.values())
    if study.study.options.table:
        yield f"Redoes {study.study.options.table}."
    if study.overrides:
        yield f"All rows trained with: {' '.join(study.overrides)}."
    for name, data in study.data.items():
        kind = "simulated" if data.dataset.simulated else "real"
        yield (
            f"Row {name} runs nothing: it is the data of {data.recipe.name}, {data.dataset.name}, "
            f"{kind}, fingerprint {data.dataset.fingerprint()}."
        )
    if not rows:
        return
    for comparison in study.comparisons:
        chance = study.rows[next(iter(comparison.runs))].results["chance"]
        yield f"{_measured(comparison)} Chance: SumR {chance['SumR']:.1f}."
    for rule in dict.fromkeys(row.ranked.selection for row in rows):
        yield f"Selection: {SELECTION.get(rule, rule)}."
    seeds = dict.fromkeys(", ".join(map(str, row.seeds)) for row in rows)
    yield f"Seeds of trainings: {' or '.join(seeds)}."
    yield f"Features: {'; '.join(dict.fromkeys(_features(row) for row in rows))}."
    for row in rows:
        if not row.row.trains:
            yield _again(row)
        unlike = study.unlike(row.name)
        if unlike:
            yield f"Row {row.name} is not compared with the reference: it differs in {unlike}."
    yield f"Versions: {'; '.join(dict.fromkeys(_versions(row) for row in rows))}."


def _measured(comparison: Comparison) -> str:
    some = next(iter(comparison.runs.values()))
    kind = "simulated" if comparison.simulated else "real"
    rule = some["positives_rule"]
    return (
        f"{', '.join(comparison.runs)}: n = {comparison.queries} queries, "
        f"{comparison.videos} videos, {some['split']} split of {some['dataset']}, {kind} data, "
        f"{fingerprints(comparison)}. {positives_note(rule)}. "
        f"{TIES.get(some['tie_rule'], some['tie_rule'])}. "
        f"Intervals and tests: {comparison.resamples} resamples, seed {comparison.seed}."
    )


def _again(row: FinishedRow) -> str:
    source = row.facts.get("measured_from")
    if source is None:
        return f"Row {row.name} changes nothing: it shares the run {row.folder}."
    differs = [f"other {key}" for key in ("recipe", "data") if source[f"{key}_differs"]]
    trained = f", trained on {source['dataset']}" if source["data_differs"] else ""
    return (
        f"Row {row.name} trained nothing: the models of row {row.row.base}{trained}, measured "
        f"under {' '.join(source['changes'])} ({', '.join(differs) or 'nothing differs'})."
    )


def _features(row: FinishedRow) -> str:
    recipe, data = row.recipe, row.dataset
    streams = ", ".join(f"{name} {width} wide" for name, width in data.widths.items())
    sounds = ", ".join(f"{name} {width} wide" for name, width in data.query_widths.items())
    queries = sounds or _language(recipe)
    return f"{recipe.data.use} ({streams}; queries: {queries})"


def _language(recipe: Recipe) -> str:
    model = recipe.query.options.get("model")
    return recipe.query.use if model is None else f"{recipe.query.use}, {model}"


def _versions(row: FinishedRow) -> str:
    return ", ".join(f"{name} {value}" for name, value in row.facts["versions"].items())
