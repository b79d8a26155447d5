"""Study files: what is wrong with them is said at once, with the place and the nearest match."""

from pathlib import Path

import pytest
from varkit_studies.exhibits import EXHIBITS, check_shown
from varkit_studies.rows import resolve_rows
from varkit_studies.study_file import find_study, load_study, shipped_studies

from tests.support.calls import call, passed, printed
from tests.support.studies import STUDY, make_study
from varkit.errors import RecipeError
from varkit.recipe.load import load_recipe
from varkit.recipe.shipped import shipped_recipes


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    make_study(folder)
    return folder


def problems(folder, text):
    file = make_study(folder, text)
    with pytest.raises(RecipeError) as caught:
        resolve_rows(load_study(file))
    assert all(line.startswith(f"{file}:") for line in caught.value.problems)
    return [line.removeprefix(f"{file}:") for line in caught.value.problems]


def changed(*changes):
    text = STUDY
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("version: 1", "version: 2"), "1:1: version: must be 1; not 2"),
        (("title:", "titel:"), "2:1: titel: no such option. Did you mean 'title'?"),
        (("reference: both", "reference: bth"), "reference: no row 'bth'. Did you mean 'both'?"),
        (("[table,", "[tabel,"), "show.0: no exhibit 'tabel'. Did you mean 'table'?"),
        (("[table, {use: sweep, axis: alpha}]", "[{axis: 1}]"), "must be an exhibit's name"),
        (("axis: alpha", "axes: alpha"), "show.1.axes: no such option. Did you mean 'axis'?"),
        (("axis: alpha", "axis: a, figure: Sum"), "show.1.figure: must be one of"),
        (("of: both\n    m", "of: bot\n    m"), "rows.cls.of: no row 'bot'. Did you mean 'both'?"),
        (("of: both\n    m", "m"), "rows.cls.measure: needs 'of'"),
        ((", measure: {alignments.cls.weight: 0.5}", ""), "rows.same.of: needs 'measure'"),
        (("same, of", "same, recipe: x, of"), "rows.same: trains ('recipe', 'overrides')"),
        (("{label: FS,", "{lable: FS,"), "rows.fixed.lable: no such option. Did you mean 'label'?"),
        (("  fixed: {", "  fi xed: {"), "rows.fi xed: a row's name is made of letters"),
        (("x: 0.5", "x: many"), 'rows.both.x: must be a number, or null; not "many"'),
        (("[29.8, 68, 82]", "[29.8, 68]"), "rows.both.published.A2V: must be"),
        (("[29.8, 68, 82]", "[29.8, 68, 182]"), "rows.both.published.A2V"),
        (("A2V:", "T2V:"), "rows.both.published: mixes text (T2V, V2T) and sound (A2V, V2A)"),
        (("82.3]}", "82.3], SumR: 364.9}"), "SumR: is 364.9, but the six recalls add up to 364.4"),
        (("recipe: data/tiny.yaml\n", ""), "rows.both: has no recipe, and neither has the study"),
        (("{samplers: {anomaly: null}}", "7"), "rows.fixed.overrides: must be"),
        (("samplers: {anomaly: null}", "samplrs: {}"), "no such section. Did you mean 'samplers'?"),
        (("{samplers: {anomaly: null}}", "{train.lr: fast}"), "7:34: train.lr: must be"),
        (("{samplers: {anomaly: null}}", "{train: {lr: 0}}"), "7:42: train.lr: must be"),
        (("{samplers: {anomaly: null}}", "{version: 1}"), "7:34: version: cannot be overridden"),
        (("{samplers: {anomaly: null}}", "{data.root: no}"), "7:34: missing here: data"),
        (("{train.seeds: [0, 1]", "{train.seeds: [0, x]"), "5:30: train.seeds.1: must be"),
        (("data/tiny.yaml", "alan_ufc"), "'alan_ufc', neither shipped nor"),
        (("data/tiny.yaml", "alan_ufc"), "Did you mean 'alan_ucf'?"),
        (("{alignments.cls.weight: 0.5}", "{train.lr: 1}"), "train.lr: cannot change without"),
        (("{alignments.cls.weight: 0.5}", "{evl.seed: 1}"), "Did you mean 'eval'?"),
        (("{alignments.cls.weight: 0.5}", "{eval.seed: -1}"), "14:43: eval.seed: must be"),
        (("{alignments.cls.weight: 0.5}", "{alignments.clss.weight: 1}"), "alignments.clss.use"),
    ],
)
def test_what_is_wrong_with_the_file_or_a_row_is_named(place, change, said):
    found = problems(place, changed(change))
    assert any(said in line for line in found), found


def test_everything_wrong_comes_at_once(place):
    for change in (("reference: both", "reference: b"), ("version: 1", "version: one")):
        assert len(problems(place, changed(change, ("x: 1\n", "x: one\n")))) == 2
    first = ("samplers: {anomaly: null}", "train.lr: 0")
    found = problems(place, changed(first, ("{alignments.cls.weight: 0.5}", "{model.dim: 4}")))
    assert [line.split(": ")[1] for line in found] == ["train.lr", "model.dim"]


def test_rows_that_measure_one_another_in_a_circle_are_refused(place):
    text = changed(
        ("of: both\n    m", "of: same\n    m"), ("{label: same, of: both", "{label: same, of: cls")
    )
    found = problems(place, text)
    assert any("rows.cls.of: goes round in a circle: cls -> same -> cls" in line for line in found)
    own = changed(("of: both\n    m", "of: cls\n    m"))
    assert any("circle: cls -> cls" in line for line in problems(place, own))


def test_changes_of_a_chain_of_measurings_add_up(place):
    further = "same, of: cls, measure: {eval.ties: optimistic, alignments.avg.weight: 0.25}"
    text = changed(("same, of: both, measure: {alignments.cls.weight: 0.5}", further))
    rows = resolve_rows(load_study(make_study(place, text)))
    recipe = rows["same"].recipe
    assert (recipe.eval.ties, rows["same"].row.base) == ("optimistic", "both")
    weights = {name: part.settings.weight for name, part in recipe.alignments.items()}
    assert weights == {"cls": 1.0, "avg": 0.25}


def test_rows_are_resolved_as_the_command_line_resolves_them(place):
    rows = resolve_rows(load_study(make_study(place)), ["train.lr=1e-4"])
    overrides = ["train.seeds=[0,1]", "train.epochs=1", "samplers.anomaly=null", "train.lr=1e-4"]
    recipe, _ = load_recipe(place / "data/tiny.yaml", overrides)
    assert list(rows) == ["fixed", "both", "cls", "same"]
    assert rows["fixed"].recipe.digest() == recipe.digest()
    assert list(rows["fixed"].recipe.samplers) == ["fixed"]
    assert rows["same"].recipe.digest() == rows["both"].recipe.digest()
    assert rows["same"].recipe.train.lr == 1e-4
    for row in (rows["fixed"], rows["both"]):
        assert load_recipe(row.file, row.overrides)[0] == row.recipe
    origins = rows["same"].recipe.origins
    assert origins["train.lr"] == "command line"
    assert origins["train.epochs"] == f"{place / 'mini.yaml'}:5"
    assert origins["alignments.cls.weight"] == f"{place / 'mini.yaml'}:14"


def test_what_is_wrong_with_the_command_line_or_the_recipe_is_said_once(place):
    recipe = place / "data/wrong.yaml"
    recipe.write_text((place / "data/tiny.yaml").read_text() + "evl: {}\n")
    for text, overrides, where, said in (
        (STUDY, ["train.lrr=1"], "command line", "train.lrr: no such option. Did you mean 'lr'?"),
        (
            changed(("data/tiny.yaml", "data/wrong.yaml")),
            [],
            f"{recipe}:",
            ": evl: no such section. Did you mean 'eval'?",
        ),
    ):
        with pytest.raises(RecipeError) as caught:
            resolve_rows(load_study(make_study(place, text)), overrides)
        (problem,) = caught.value.problems
        assert problem.startswith(where)
        assert said in problem


EMBEDDED = """\
version: 1
title: two
recipe: recipe.yaml
embedded: {train.epochs: 3}
rows:
  wide: {label: w, overrides: {samplers.fixed.count: 100}, embedded: {samplers.fixed.count: 48}}
  again: {label: a, of: wide, measure: {samplers.fixed.count: 9}, embedded: {eval.seed: 5}}
"""


@pytest.mark.parametrize("lacks", [True, False])
def test_further_changes_hold_where_the_embedded_block_was_taken(place, lacks):
    folder = place / f"embedded-{lacks}"
    folder.mkdir()
    text = (place / "data/tiny.yaml").read_text().replace("[parts.py]", "[../data/parts.py]")
    root = "nowhere" if lacks else str(place / "data")
    text = text.replace(f"root: {place / 'data'}", f"root: {root}")
    (folder / "recipe.yaml").write_text(f"{text}embedded:\n  data: {{root: {place / 'data'}}}\n")
    (folder / "s.yaml").write_text(EMBEDDED)
    rows = resolve_rows(load_study(folder / "s.yaml"))
    wide, again = rows["wide"].recipe, rows["again"].recipe
    assert wide.embedded is lacks
    assert wide.samplers["fixed"].options["count"] == (48 if lacks else 100)
    assert wide.train.epochs == (3 if lacks else 2)
    assert again.embedded is lacks
    assert (again.samplers["fixed"].options["count"], again.eval.seed) == (9, 5 if lacks else 0)
    if lacks:
        with pytest.raises(RecipeError, match="nowhere"):
            resolve_rows(load_study(folder / "s.yaml"), strict=True)


def test_a_published_row_is_completed_and_names_its_source(place):
    row = load_study(make_study(place)).rows["both"]
    assert row.published.SumR == pytest.approx(29.8 + 68 + 82 + 32.3 + 70 + 82.3, abs=1e-9)
    assert row.published.source == "Table IV of ALAN (arXiv 2307.12545)"
    text = changed(("82.3]}", "null], SumR: 300}"))
    cells = load_study(make_study(place, text)).rows["both"].published.cells()
    assert cells == (29.8, 68, 82, 32.3, 70, None, 300)


MEASURES = "b: {label: b, of: a, measure: {eval.seed: 1}"


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
def test_what_cannot_be_is_refused_before_anything_runs(place, rows, said):
    found = problems(place, f"version: 1\ntitle: t\nrecipe: data/tiny.yaml\nrows:\n  {rows}\n")
    assert any(said in line for line in found), found


@pytest.mark.parametrize("text", ["", "[1]", "a: &a 1\nb: *a", "version: 1\nversion: 1", "!!x y"])
def test_what_is_no_study_is_refused(place, text):
    assert problems(place, text)


def test_a_study_is_found_by_a_name_that_no_recipe_has_and_every_exhibit_can_be_loaded():
    for name, path in shipped_studies().items():
        assert find_study(name) == path
    assert not set(shipped_studies()) & set(shipped_recipes())
    for name in EXHIBITS:
        check_shown(name, {})
    with pytest.raises(RecipeError, match="Did you mean 'methods_ucf'"):
        find_study("method_ucf")


def test_a_study_without_a_name_lists_those_that_ship_with_varkit():
    listed = printed(call("study", "--json"))
    assert {item["name"]: Path(item["path"]) for item in listed} == shipped_studies()
    shown = passed(call("study")).stdout
    for item in listed:
        options = load_study(item["path"]).options
        assert (item["title"], item["table"]) == (options.title, options.table)
        assert f"{item['name']}  {item['title']}\n" in shown
        assert item["table"] in shown
    assert max(map(len, shown.splitlines())) <= 80
    refused = call("study", "--plan")
    assert refused.exit_code == 2
    assert "name a STUDY" in refused.stderr
    assert "varkit study\n" in call("study", "--help").stdout


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
    kinds = ("examples", "coarse", "sampling_pictures", "zero_shot", "running_time")
    showing = [study for name, study in studies.items() if name.startswith(kinds)]
    assert len(showing) == 9
    for study in showing:
        assert trainings(study)
        assert trainings(study) <= known, study.name
    for name in ("statistics_ucf", "statistics_xd"):
        assert not trainings(studies[name])


def test_shipped_studies_resolve(tmp_path):
    (tmp_path / "manifest.csv").touch()  # data of one's own have no stand-in
    assert len(shipped_studies()) >= 10
    for name, path in shipped_studies().items():
        study = load_study(path)
        own = (f"data.root={tmp_path}",) if name == "methods_folder" else ()
        rows = resolve_rows(study, own)
        assert (0, 1, 2) in {row.recipe.train.seeds for row in rows.values()}
        assert set(study.rows) == set(rows)
        for row in study.rows.values():
            assert row.published is None or row.published.SumR is not None
