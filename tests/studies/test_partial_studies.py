"""Some rows of a study alone: what comes along, what is left alone, and what says so."""

import pytest
from varkit_studies.partial import choose_rows
from varkit_studies.study import load_study

from tests.support.calls import failed, passed, printed
from tests.support.studies import STUDY, make_study, plan, study
from tests.support.tiny_runs import read
from varkit.errors import RecipeError

CHAIN = STUDY.replace("of: both, measure: {alignments.cls", "of: cls, measure: {alignments.cls")


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (["fixed"], ["fixed", "both"]),  # the reference comes along
        (["both"], ["both"]),
        (["cls"], ["both", "cls"]),
        (["same"], ["both", "cls", "same"]),  # measures what measures what trains
        (["cls", "fixed", "cls"], ["fixed", "both", "cls"]),  # in the file's order
        (["same", "fixed"], ["fixed", "both", "cls", "same"]),
    ],
)
def test_rows_come_with_what_they_rest_on(tmp_path, asked, rows):
    whole = load_study(make_study(tmp_path, CHAIN))
    found = choose_rows(whole, asked)
    assert list(found.rows) == rows
    assert list(found.left_out) == [name for name in whole.rows if name not in rows]
    assert found.reference == "both"
    shown = plan(tmp_path / "mini.yaml", "--rows", ", ".join(asked))
    assert list(shown) == rows
    assert {row["state"] for row in shown.values()} == {"missing"}


def test_data_that_an_exhibit_looks_at_come_along(tmp_path):
    rows = "rows:\n  films: {label: films, runs: false}\n  more: {label: more, runs: false}\n"
    text = STUDY.replace("rows:\n", rows).replace("[table,", "[{use: zero_shot, gallery: films},")
    whole = load_study(make_study(tmp_path, text))
    assert list(choose_rows(whole, ["cls"]).rows) == ["films", "both", "cls"]


def test_unknown_rows_are_named_at_once_with_the_nearest_and_none_at_all_is_refused(tmp_path):
    file = make_study(tmp_path)
    with pytest.raises(RecipeError) as caught:
        choose_rows(load_study(file), ["bth", "cls", ""])
    first, second = caught.value.problems
    assert first == (
        "command line: --rows: no row 'bth'. Did you mean 'both'? Known: fixed, both, cls, same."
    )
    assert "no row ''" in second
    assert "no row 'bth'. Did you mean 'both'?" in failed(study(file, "--rows", "bth"), 2)
    assert not (tmp_path / "runs").exists()
    for nothing in ("", ",", " , ,"):
        said = failed(study(file, "--rows", nothing), 2)
        assert "--rows: name at least one row. Known: fixed, both, cls, same." in said
        assert "no row ''" not in said


def test_what_is_wrong_with_other_rows_does_not_matter(tmp_path):
    file = make_study(tmp_path, STUDY.replace("{samplers: {anomaly: null}}", "{model.dmi: 3}"))
    assert "model.dmi" in failed(study(file, "--plan"), 2)
    assert list(plan(file, "--rows", "cls")) == ["both", "cls"]


def test_a_partial_study_says_so_and_leaves_the_whole_ones_tables(done):
    file, whole, _ = done
    folder = file.parent / "runs/studies/mini"
    kept = {path: path.read_bytes() for path in folder.glob("*.*")}
    result = passed(study(file, "--rows", "cls", "--json"))
    assert result.stderr.splitlines()[0] == ("also: both, which these rows need")
    assert "varkit run" not in result.stderr
    assert {path: path.read_bytes() for path in folder.glob("*.*")} == kept
    told = printed(result)
    assert (told["order"], told["left_out"]) == (["both", "cls"], ["fixed", "same"])
    assert (whole["order"], whole["left_out"]) == (["fixed", "both", "cls", "same"], [])
    for name in ("both", "cls"):
        assert told["rows"][name]["run"] == whole["rows"][name]["run"]
        assert told["rows"][name]["summary"] == whole["rows"][name]["summary"]
    assert "PARTIAL: rows both, cls of 4; left out: fixed, same." in told["protocol"]
    for name in ("study.html", "table.md", "table.tex", "sweep.md"):
        text = (folder / "partial" / name).read_text()
        assert "partial: 2 of 4 rows" in text
        assert "PARTIAL: rows both, cls of 4; left out: fixed, same." in text
        assert "partial" not in (folder / name).read_text().lower()
    assert read(folder / "partial/study.json") == told
    assert printed(study(file, "--rows", "fixed,both,cls,same", "--json")) == whole


def test_only_what_was_asked_for_is_trained(tmp_path):
    file = make_study(tmp_path)
    result = passed(study(file, "--rows", "both", "train.seeds=[0]"))
    assert len(list((tmp_path / "runs/tiny").iterdir())) == 1
    assert not (tmp_path / "runs/studies/mini/measured").exists()
    assert "PARTIAL: rows both of 4" in result.stdout
