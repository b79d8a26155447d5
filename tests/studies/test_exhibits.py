"""Exhibits over folders of measured runs that were written without a model."""

import re

import numpy as np
import pytest
from varkit_studies.comparison import compare
from varkit_studies.comparison.ranked_run import load_ranked_run
from varkit_studies.exhibits.sweep import Sweep
from varkit_studies.exhibits.table import ResultsTable
from varkit_studies.finished import FinishedRow, FinishedStudy
from varkit_studies.study_file import load_study

from tests.support.ranked_runs import random_ranks, write_run
from tests.support.tiny_runs import read

STUDY = """\
version: 1
title: table
recipe: x
rows:
  a: {label: one, x: 1, series: up, published: {T2V: [1, 2, null], source: book}}
  b: {label: two, x: 2, series: up}
  c: {label: three, x: 0.5, series: down}
  d: {label: four}
  e: {label: five}
reference: b
"""


def finished(folder, *names, **changes):
    """Return a study of the rows named, each with random ranks of its own."""
    folder.mkdir(exist_ok=True)
    (folder / "s.yaml").write_text(STUDY)
    study = load_study(folder / "s.yaml")
    rows = {}
    for i, name in enumerate(study.rows):
        if name in names:
            run = write_run(folder / name, random_ranks(i, seeds=2), **changes.get(name, {}))
            facts = (load_ranked_run(run), read(run / "results.json"))
            rows[name] = FinishedRow(study.rows[name], run, run, None, None, *facts)
    missing = {name: "fell ill" for name in study.rows if name not in names}
    return FinishedStudy(study, (), rows, missing, resamples=1000)


def cells(study, folder):
    (table,) = ResultsTable()(study, folder).tables
    assert all(len(row) == len(table.columns) for row in table.rows)
    return table, {row[0]: dict(enumerate(row)) for row in table.rows}


def test_the_table_has_the_papers_shape_and_its_row(tmp_path):
    table, rows = cells(finished(tmp_path, "a", "b", "c"), tmp_path)
    recalls = [f"{way} R@{k}" for way in ("T→V", "V→T") for k in (1, 5, 10)]
    assert list(table.columns[1:8]) == [*recalls, "SumR"]
    unfinished = ["four: not finished", "five: not finished"]
    assert list(rows) == ["one", "one, published", "two", "three", *unfinished]
    assert list(rows["one, published"].values())[1:8] == ["1.0", "2.0", "", "", "", "", ""]
    assert rows["two"][9] == "reference"
    assert "printed in book, not measured here" in table.caption


def test_figures_and_corrected_tests_are_those_of_the_comparison(tmp_path):
    study = finished(tmp_path, "a", "b", "c", "d")
    _, rows = cells(study, tmp_path)
    folders = [tmp_path / name for name in ("b", "a", "c", "d")]
    found = compare(folders, resamples=1000)
    sums = {one.run: one for one in found.differences if one.figure == "SumR"}
    ordered = sorted(sums.values(), key=lambda one: one.p)
    holm, least = {}, 0.0
    for i, one in enumerate(ordered):  # Holm (1979), step by step
        least = max(least, min(1.0, one.p * (len(ordered) - i)))
        holm[one.run] = least
    for letter, label in zip("BCD", ("one", "three", "four"), strict=True):
        own = sums[letter]
        low, high = own.interval_trainings
        assert rows[label][9].replace("−", "-") == f"{own.value:+.1f}"
        assert rows[label][10].replace("−", "-") == f"[{low:.1f}, {high:.1f}]"
        for column, p in ((11, own.p), (12, holm[letter])):
            shown = float(rows[label][column].lstrip("<"))
            assert shown == pytest.approx(max(p, 0.001), abs=5e-4)
    ranks = study.rows["a"].ranked.ranks
    forth = np.array([row.direction == "query_to_video" for row in study.rows["a"].ranked.rows])
    own = 100 * (ranks[:, 0][:, forth] <= 5).mean(axis=1)
    assert rows["one"][2] == f"{own.mean():.1f} ±{own.std(ddof=1):.1f}"


@pytest.mark.parametrize(
    ("change", "said"),
    [({"questions": "beef"}, "questions"), ({"reports": {"tie_rule": "optimistic"}}, "tie rule")],
)
def test_rows_measured_otherwise_are_shown_and_held_against_nothing(tmp_path, change, said):
    study = finished(tmp_path, "a", "b", "d", d=change)
    _, rows = cells(study, tmp_path)
    assert rows["four"][9] == "measured differently"
    assert rows["four"][7] != ""
    assert study.unlike("d") == said
    assert study.differences("d") == {}
    assert set(study.differences("a")) == {*study.values("a")}
    assert [list(found.runs) for found in study.comparisons] == [["b", "a"], ["d"]]


def test_without_its_reference_a_table_has_figures_alone(tmp_path):
    study = finished(tmp_path, "a", "c")
    _, rows = cells(study, tmp_path)
    assert rows["two: not finished"][7] == ""
    for label in ("one", "three"):
        assert rows[label][7] != ""
        assert rows[label][9] == ""


@pytest.mark.parametrize(
    ("fact", "said"), [("simulated", "simulated data"), ("embedded", "embedded variant")]
)
def test_every_title_says_what_is_simulated_or_embedded(tmp_path, fact, said):
    changes = {name: {fact: True, "missing": []} for name in ("a", "b", "c")}
    study = finished(tmp_path, "a", "b", "c", **changes)
    for exhibit in (ResultsTable(), Sweep(axis="τ")):
        made = exhibit(study, tmp_path)
        titles = [made.title, *(table.title for table in made.tables)]
        titles += [picture.caption for picture in made.pictures]
        assert all(said in title for title in titles)
    if fact == "embedded":  # a row says it where others are not
        mixed = finished(tmp_path / "mixed", "a", "b", a=changes["a"])
        assert {"one (embedded)", "two"} <= set(cells(mixed, tmp_path)[1])


def test_a_sweep_is_sorted_and_may_be_empty(tmp_path):
    study = finished(tmp_path, "a", "b", "c")
    made = Sweep(axis="τ", figure="query_to_video.R@1", log=True)(study, tmp_path)
    points = made.figures["points"]
    assert [(p["series"], p["x"]) for p in points] == [("down", 0.5), ("up", 1), ("up", 2)]
    for point in points:
        assert point["value"] == study.values(point["row"])["query_to_video.R@1"].value
    assert all(re.search(r"\d", cell) for row in made.tables[0].rows for cell in row[1:])
    assert made.pictures[0].file.is_file()
    empty = Sweep(axis="τ")(finished(tmp_path / "none", "d"), tmp_path / "none")
    assert (empty.pictures, empty.figures["points"]) == ((), [])
    assert empty.notes
