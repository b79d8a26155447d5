"""The studies that show trained models, and rows for which nothing is run."""

import pytest
from varkit_studies.study_file import load_study, shipped_studies

from varkit.errors import RecipeError

MEASURES = "b: {label: b, of: a, measure: {eval.seed: 1}"
SHOWING = ("examples", "coarse", "sampling_pictures", "zero_shot", "running_time")


def trainings(study):
    """Return what each training of a study is made of."""
    top = study.options
    rows = [row.options for row in study.rows.values() if row.trains]
    return {
        str((own.recipe or top.recipe, top.overrides, own.overrides, top.embedded, own.embedded))
        for own in rows
    }


def test_what_is_shown_was_trained_for_another_study():
    studies = {name: load_study(file) for name, file in shipped_studies().items()}
    known = set()
    for name in ("sampling_ucf", "sampling_xd", "methods_ucf", "methods_xd"):
        known |= trainings(studies[name])
    showing = [study for name, study in studies.items() if name.startswith(SHOWING)]
    assert len(showing) == 9
    for study in showing:
        assert trainings(study)
        assert trainings(study) <= known, study.name
    for name in ("statistics_ucf", "statistics_xd"):
        assert not trainings(studies[name])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a: {label: a, runs: false, x: 1}", "rows.a.runs: a row that runs nothing has no 'of'"),
        (f"a: {{label: a}}\n  {MEASURES}, runs: false}}", "rows.b.runs: a row that runs nothing"),
        (f"a: {{label: a, runs: false}}\n  {MEASURES}}}", "rows.b.of: row 'a' runs nothing"),
        ("a: {label: a, runs: 'no'}", "rows.a.runs"),
        ("a: {label: a}\nshow: [{use: coarse_queries, k: []}]", "show.0.k"),
        ("a: {label: a}\nshow: [{use: running_time, repeats: 0}]", "show.0.repeats"),
        ("a: {label: a}\nshow: [{use: zero_shot, galery: b}]", "Did you mean 'gallery'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(tmp_path, rows, said):
    file = tmp_path / "s.yaml"
    file.write_text(f"version: 1\ntitle: t\nrecipe: alan_ucf\nrows:\n  {rows}\n")
    with pytest.raises(RecipeError) as caught:
        load_study(file)
    assert any(said in problem for problem in caught.value.problems), caught.value.problems
