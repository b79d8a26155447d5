"""``varkit compare`` as a person calls it, and the files it writes."""

import contextlib
import csv
import json
import re

import numpy as np
import pytest

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.pages import Page
from tests.support.ranked_runs import random_ranks, write_run, write_runs
from tests.support.tiny_runs import make_data, read, run, run_in

HOSTILE = (
    "=cmd|'/c calc'!A0 <script>alert(1)</script> \\input{x} 100% a_b $x$ [red]#~^&{} \x1b]0;x\x07"
)
ENDINGS = ("csv", "html", "json", "md", "tex")
FEW = ("--resamples", 1000)


@pytest.fixture
def runs(tmp_path):
    runs = (("one", 2, "mean_pool"), ("two", 2, "alan_ucf"), ("three", 1, "alan_ucf"))
    return [
        write_run(
            tmp_path / "runs" / name, random_ranks(i, seeds=seeds), simulated=True, recipe=recipe
        )
        for i, (name, seeds, recipe) in enumerate(runs)
    ]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Files on two runs whose captions, classes, recipe and folder are out to do harm."""
    rows = {
        "text": HOSTILE.replace("{}", "{{}}").replace("{x}", "{{x}}"),
        "classes": lambda v: (HOSTILE,),
    }
    place = tmp_path_factory.mktemp("hostile")
    facts = ({"rows": rows, "recipe": recipe} for recipe in (HOSTILE, f"-{HOSTILE}"))
    folders = write_runs(place / "=1+1", *facts)
    with contextlib.chdir(place):
        runs = [folder.relative_to(place) for folder in folders]
        yield write_all(runs, place / "out"), call("compare", *runs, *FEW).stdout


def write_all(runs, out, *arguments):
    passed(call("compare", *runs, "--out", out, *FEW, *arguments))
    assert sorted(path.name for path in out.iterdir()) == [f"comparison.{e}" for e in ENDINGS]
    return {ending: (out / f"comparison.{ending}").read_text() for ending in ENDINGS}


def test_the_terminal_shows_the_protocol_the_figures_and_what_moved(runs):
    text = " ".join(passed(call("compare", *runs, *FEW, "--queries", 3)).stdout.split())
    said = ["n = 30 queries (Q), 30 videos (V)", "f00d", "Ties are in random order", "2 trainings"]
    said += [
        "alan_ucf (B) − mean_pool",
        "alan_ucf (C) − mean_pool",
        "SumR",
        "Holm",
        "with trainings",
        "corrected for all 14",
    ]
    assert [words for words in said if words not in text] == []
    assert "(C) − alan_ucf" not in text
    assert text.count("a man falls") <= 6


def test_json_holds_everything(runs):
    result = call("compare", *runs, "--json", "--all-pairs", *FEW)
    found = printed(result)
    assert result.stderr == ""
    assert found["schema"] == 1
    assert found["simulated"] is True
    assert len(found["values"]) == len(found["differences"]) == 21
    keys = {"run", "against", "figure", "value", "interval", "p", "p_holm"}
    assert keys <= set(found["differences"][0])
    recipes = [run["recipe"] for run in found["runs"].values()]
    assert recipes == ["mean_pool", "alan_ucf", "alan_ucf"]
    assert len(found["moves"]) > 60
    assert any(move["text"] for move in found["moves"])


def test_one_run_and_the_seed_of_the_draws(runs):
    one, again, other = (
        printed(call("compare", runs[0], "--json", *FEW, *seed)) for seed in ((), (), ("--seed", 5))
    )
    assert one == again != other
    assert one["differences"] == []
    passed(call("compare", runs[0], *FEW))


@pytest.mark.parametrize("simulated", [True, False])
def test_every_output_says_simulated_where_it_is(tmp_path, simulated):
    pair = write_runs(tmp_path, *[{"simulated": simulated}] * 2)
    files = write_all(pair, tmp_path / "out")
    shown = call("compare", *pair, *FEW).stdout
    for text in (files["md"], files["tex"], files["html"], shown):
        assert ("simulated data" in text) is simulated
        assert ("SIMULATED" in text) is simulated
    assert json.loads(files["json"])["simulated"] is simulated
    rows = list(csv.DictReader(files["csv"].splitlines()))
    assert {row["simulated"] for row in rows} == {"yes" if simulated else "no"}


def test_every_output_says_that_runs_were_not_measured_alike(tmp_path):
    said = "questions: A f00d, B beef"
    pair = write_runs(tmp_path, *({"fingerprint": q, "questions": q} for q in ("f00d", "beef")))
    refused = call("compare", *pair)
    assert said in failed(refused)
    assert "--allow-mismatch" in hint(refused)
    files = write_all(pair, tmp_path / "out", "--allow-mismatch")
    shown = call("compare", *pair, *FEW, "--allow-mismatch").stdout
    for text in (files["md"], files["tex"], files["html"], shown):
        assert "not measured alike" in text
        assert said in " ".join(text.split())
    assert json.loads(files["json"])["mismatches"] == [said]
    assert {row["mismatches"] for row in csv.DictReader(files["csv"].splitlines())} == {said}


def test_the_page_is_alone_runs_nothing_and_escapes(hostile):
    page = hostile[0]["html"]
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" in page
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or "src" in name]
    assert not re.search(r"https?://|@import|url\(", page)
    assert any("<script>alert(1)</script> \\input{x}" in text for _, text in parsed.texts)
    assert "\x1b" not in page


def test_no_cell_of_the_csv_file_is_a_formula(hostile):
    rows = list(csv.DictReader(hostile[0]["csv"].splitlines()))
    assert {row["kind"] for row in rows} == {"value", "difference", "group difference"}
    for row in rows:
        assert None not in row
        assert row["folder"].startswith("'=1+1/")
        for name, cell in row.items():
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                assert np.isfinite(float(cell)), name
    found = json.loads(hostile[0]["json"])
    values = [float(row["value"]) for row in rows if row["kind"] == "difference"]
    assert values == [one["value"] for one in found["differences"]]


def test_latex_prints_what_names_say_and_obeys_none(hostile):
    lines = hostile[0]["tex"].splitlines()
    body = "\n".join(line for line in lines if not line.startswith("%"))
    assert r"\textbackslash{}input\{x\} 100\% a\_b \$x\$" in body
    known = "begin end caption toprule midrule bottomrule to pm textbackslash textless textgreater"
    known += " textbar textasciitilde textasciicircum textquotedbl"
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= set(known.split())
    bare = re.sub(r"\\[&%$#_{}]|\\\\$", "", body, flags=re.MULTILINE)
    assert not re.search(r"[%#_~^<>|]", bare)
    assert bare.count("{") == bare.count("}")
    for table in body.split(r"\begin{tabular}")[1:]:
        columns = len(re.match(r"\{([lr]+)\}", table)[1])
        rows = [line for line in table.splitlines() if line.endswith(r"\\")]
        assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {columns - 1}
    assert rows


def test_markdown_and_the_terminal_show_names_as_they_are_and_obey_none(hostile):
    files, shown = hostile
    assert not {"\x1b", "\x07"} & {*shown}
    assert "[red]" in shown.replace("\n", "")
    text = files["md"]
    assert "<script>" not in text.replace(r"\<", "")
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        (bars,) = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert bars - 1 in range(4, 10)


def test_markdown_tables_are_read_back(runs, tmp_path):
    files = write_all(runs, tmp_path / "out")
    found = json.loads(files["json"])
    start = "| alan\\_ucf (B) − mean\\_pool | SumR |"
    lines = [line for line in files["md"].splitlines() if line.startswith(start)]
    sums = (d for d in found["differences"] if d["figure"] == "SumR")
    (one,) = (d for d in sums if d["run"] == "alan_ucf (B)")
    cells = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert float(cells[2].replace("−", "-")) == pytest.approx(one["value"], abs=0.051)
    assert f"{one['p_holm']:.3f}" == cells[-1] or cells[-1] == "<0.001"


def test_without_the_extra_nothing_is_written(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("varkit_studies.comparison.writers.find_spec", lambda name: None)
    result = call("compare", *runs, "--out", tmp_path / "out")
    assert "jinja2" in failed(result)
    assert hint(result) == "pip install 'varkit[report]'"
    assert not (tmp_path / "out").exists()
    passed(call("compare", *runs, *FEW))  # the tables need none of it


def test_wrong_usage_exits_with_2_and_help_has_an_example(runs):
    for wrong in ((), (*runs, "--resamples", 3), (*runs, "--checkpoint", "first")):
        assert call("compare", *wrong).exit_code == 2
    assert f"Did you mean '{runs[1]}'" in failed(call("compare", runs[0].parent / "tow"))
    assert "varkit compare runs/" in call("compare", "--help").stdout
    assert "compare" in call("--help").stdout


def test_a_real_run_is_compared_with_another_by_the_figures_of_its_results(tmp_path):
    recipe = make_data(tmp_path / "data", test=(5, 9, 12))
    folders = []
    for seed in (0, 1):
        passed(run(recipe, f"train.seeds=[{seed}]", out=tmp_path / str(seed)))
        folders.append(run_in(tmp_path / str(seed)))
    found = printed(call("compare", *folders, "--json", *FEW))
    for value in found["values"]:
        report = read(folders[["seeds=[0]", "seeds=[1]"].index(value["run"])] / "results.json")
        figures = report["summary"][found["runs"][value["run"]]["checkpoint"]]
        assert value["value"] == pytest.approx(figures[value["figure"]]["mean"]), value


def recipes(folders, *texts):
    """Give runs a recipe each."""
    for folder, text in zip(folders, texts, strict=True):
        (folder / "recipe.yaml").write_text(text)


TRAINED = """\
data: {{use: folder, root: {root}}}
samplers: {samplers}
video: {{use: two_stream, heads: 2}}
query: {{use: bert, heads: {heads}}}
train: {{lr: {lr}, lr_factors: {{query.language: 0.1}}}}
"""


def trained(*, root="mine", samplers="{}", heads=2, lr="1.0e-3"):
    return TRAINED.format(root=root, samplers=samplers, heads=heads, lr=lr)


ANOMALY = "{anomaly: {use: anomaly_led, temperature: 0.1}}"


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        ((trained(), trained(lr="0.1")), ["lr=0.001", "lr=0.1"]),
        ((trained(), trained(heads=4)), ["query.heads=2", "query.heads=4"]),
        ((trained(), trained(samplers=ANOMALY)), ["anomaly=none", "anomaly=anomaly_led"]),
        (
            (trained(samplers=ANOMALY), trained(samplers=ANOMALY.replace("0.1", "0.2"))),
            ["temperature=0.1", "temperature=0.2"],
        ),
        (
            (trained(), trained().replace("use: bert, heads: 2", "use: words, max_tokens: 9")),
            ["query=bert", "query=words"],
        ),
        ((trained(), trained()), ["A", "B"]),
        (
            (trained(), trained(root="x", samplers=ANOMALY, heads=3, lr="1")),
            ["root=mine, anomaly=none, query.heads=2, ...", None],
        ),
    ],
)
def test_runs_of_one_recipe_are_named_by_the_options_that_differ(tmp_path, texts, names):
    pair = write_runs(tmp_path, {}, {})
    recipes(pair, *texts)
    labels = list(printed(call("compare", *pair, "--json", *FEW))["runs"])
    assert all(name in (None, label) for name, label in zip(names, labels, strict=True)), labels


def test_runs_of_several_recipes_are_named_by_them_and_names_can_be_given(tmp_path):
    three = write_runs(tmp_path, {}, {"recipe": "other"}, {"recipe": "other"})
    recipes(three, trained(), trained(), trained(lr="0.1"))
    names = list(printed(call("compare", *three, "--json", *FEW))["runs"])
    assert names == ["tiny", "other lr=0.001", "other lr=0.1"]
    result = call("compare", *three, "--json", *FEW, "--labels", "ours, theirs, =1+1")
    assert list(printed(result)["runs"]) == ["ours", "theirs", "=1+1"]
    for wrong in ("a,b", "a,a,b", "a,,b"):
        assert "3 runs need as many names" in failed(call("compare", *three, "--labels", wrong))


def test_runs_that_are_not_finished_are_left_out_and_named(tmp_path):
    three = write_runs(tmp_path, *[{"recipe": name} for name in ("one", "two", "three")])
    (three[0] / "results.json").unlink()
    result = printed(call("compare", *three, "--json", *FEW))
    assert (list(result["runs"]), result["skipped"]) == (["two", "three"], [str(three[0])])
    assert {(line["run"], line["against"]) for line in result["differences"]} == {("three", "two")}
    shown = " ".join(passed(call("compare", *three, *FEW)).stdout.split())
    assert f"SKIPPED, not finished: {three[0]}; varkit resume finishes them." in shown
    assert "Differences are from two." in shown
    (three[1] / "results.json").unlink()
    result = call("compare", *three, *FEW)
    assert f"fewer than two of these runs are finished; not {three[0]}, {three[1]}" in failed(
        result
    )
    assert hint(result) == f"varkit resume {three[0]}"
