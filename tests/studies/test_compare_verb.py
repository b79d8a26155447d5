"""``varkit compare`` as a person calls it, and the files it writes."""

import csv
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.support.ranked_runs import random_ranks, write_run
from tests.support.tiny_runs import call, failed, hint

HOSTILE = (
    "=cmd|'/c calc'!A0 <script>alert(1)</script> \\input{x} 100% a_b $x$ [red]#~^&{} \x1b]0;x\x07"
)
ENDINGS = ("csv", "html", "json", "md", "tex")
FEW = ("--resamples", 1000)


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    return [
        write_run(folder / "one", random_ranks(0, seeds=2), simulated=True, recipe="mean_pool"),
        write_run(folder / "two", random_ranks(1, seeds=2), simulated=True, recipe="alan_ucf"),
        write_run(folder / "three", random_ranks(2), simulated=True, recipe="alan_ucf"),
    ]


@pytest.fixture
def hostile(tmp_path):
    """Two runs whose captions, classes, recipe and folder are out to do harm."""
    rows = {
        "text": HOSTILE.replace("{}", "{{}}").replace("{x}", "{{x}}"),
        "classes": lambda v: (HOSTILE,),
    }
    return [
        write_run(tmp_path / "=1+1" / str(i), random_ranks(i), rows=rows, recipe=HOSTILE)
        for i in range(2)
    ]


def write_all(runs, out, *arguments):
    result = call("compare", *runs, "--out", out, *FEW, *arguments)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == [f"comparison.{e}" for e in ENDINGS]
    return {ending: (out / f"comparison.{ending}").read_text() for ending in ENDINGS}


class Page(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def test_the_terminal_shows_the_protocol_the_figures_and_what_moved(runs):
    result = call("compare", *runs, *FEW, "--queries", 3)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    for said in ("n = 30 queries (Q), 30 videos (V)", "f00d", "average rank", "2 trainings"):
        assert said in text
    for said in ("B − A", "C − A", "SumR", "Holm", "with trainings", "corrected for all 14"):
        assert said in text
    assert "C − B" not in text
    assert text.count("a man falls") <= 6


def test_json_holds_everything(runs):
    result = call("compare", *runs, "--json", "--all-pairs", *FEW)
    found = json.loads(result.stdout)
    assert result.stderr == ""
    assert found["schema"] == 1
    assert found["simulated"] is True
    assert len(found["values"]) == len(found["differences"]) == 21
    assert {"run", "against", "figure", "value", "interval", "p", "p_holm"} <= set(
        found["differences"][0]
    )
    assert [run["recipe"] for run in found["runs"].values()] == [
        "mean_pool",
        "alan_ucf",
        "alan_ucf",
    ]
    assert len(found["moves"]) > 60
    assert any(move["text"] for move in found["moves"])


def test_one_run_and_the_seed_of_the_draws(runs):
    one = call("compare", runs[0], "--json", *FEW)
    again = call("compare", runs[0], "--json", *FEW)
    other = call("compare", runs[0], "--json", *FEW, "--seed", 5)
    assert one.stdout == again.stdout
    assert one.stdout != other.stdout
    assert json.loads(one.stdout)["differences"] == []
    assert call("compare", runs[0], *FEW).exit_code == 0


@pytest.mark.parametrize("simulated", [True, False])
def test_every_output_says_simulated_where_it_is(tmp_path, simulated):
    pair = [write_run(tmp_path / str(i), random_ranks(i), simulated=simulated) for i in range(2)]
    files = write_all(pair, tmp_path / "out")
    shown = call("compare", *pair, *FEW).stdout
    for text in (files["md"], files["tex"], files["html"], shown):
        assert ("simulated data" in text) is simulated
        assert ("SIMULATED" in text) is simulated
    assert json.loads(files["json"])["simulated"] is simulated
    rows = list(csv.DictReader(files["csv"].splitlines()))
    assert {row["simulated"] for row in rows} == {"yes" if simulated else "no"}


def test_every_output_says_that_runs_were_not_measured_alike(tmp_path):
    pair = [
        write_run(tmp_path / q, random_ranks(0), fingerprint=q, questions=q)
        for q in ("f00d", "beef")
    ]
    refused = call("compare", *pair)
    assert "questions: A f00d, B beef" in failed(refused)
    assert "--allow-mismatch" in hint(refused)
    files = write_all(pair, tmp_path / "out", "--allow-mismatch")
    shown = call("compare", *pair, *FEW, "--allow-mismatch").stdout
    for text in (files["md"], files["tex"], files["html"], shown):
        assert "not measured alike" in text
        assert "questions: A f00d, B beef" in " ".join(text.split())
    said = "questions: A f00d, B beef"
    assert json.loads(files["json"])["mismatches"] == [said]
    assert {row["mismatches"] for row in csv.DictReader(files["csv"].splitlines())} == {said}


def test_the_page_is_alone_runs_nothing_and_escapes(hostile, tmp_path):
    page = write_all(hostile, tmp_path / "out")["html"]
    parsed = Page(page)
    assert "script" not in parsed.tags
    assert "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'" in page
    assert not [name for name, _ in parsed.attributes if name.startswith("on") or "src" in name]
    assert not re.search(r"https?://|@import|url\(", page)
    assert any("<script>alert(1)</script> \\input{x}" in text for text in parsed.texts)
    assert "\x1b" not in page


def test_no_cell_of_the_csv_file_is_a_formula(hostile, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [folder.relative_to(tmp_path) for folder in hostile]
    text = write_all(runs, tmp_path / "out")["csv"]
    rows = list(csv.DictReader(text.splitlines()))
    assert {row["kind"] for row in rows} == {"value", "difference", "group difference"}
    for row in rows:
        assert None not in row
        assert row["folder"].startswith("'=1+1/")
        for name, cell in row.items():
            if cell.startswith(("=", "+", "-", "@", "\t", "\r")):
                assert np.isfinite(float(cell)), name
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    values = [float(row["value"]) for row in rows if row["kind"] == "difference"]
    assert values == [one["value"] for one in found["differences"]]


def test_latex_prints_what_names_say_and_obeys_none(hostile, tmp_path):
    text = write_all(hostile, tmp_path / "out")["tex"]
    body = "\n".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\textbackslash{}input\{x\} 100\% a\_b \$x\$" in body
    known = "begin end caption toprule midrule bottomrule to pm textbackslash textless textgreater"
    known += " textbar textasciitilde textasciicircum textquotedbl"
    assert set(re.findall(r"\\([a-zA-Z]+)", body)) <= set(known.split())
    bare = re.sub(r"\\[&%$#_{}]|\\\\$", "", body, flags=re.MULTILINE)
    assert not re.search(r"[%#_~^<>|]", bare)
    assert bare.count("{") == bare.count("}")
    rows = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert rows
    for table in body.split(r"\begin{tabular}")[1:]:
        columns = len(re.match(r"\{([lr]+)\}", table)[1])
        for line in table.splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == columns - 1


def test_markdown_shows_names_as_they_are(hostile, tmp_path):
    text = write_all(hostile, tmp_path / "out")["md"]
    assert "<script>" not in text.replace(r"\<", "")
    for line in text.splitlines():
        if line.startswith("|"):
            columns = len(re.findall(r"(?<!\\)\|", line)) - 1
            assert columns in range(4, 10)
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(tables) == 6
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_the_terminal_obeys_no_caption(hostile):
    shown = call("compare", *hostile, *FEW).stdout
    assert "\x1b" not in shown
    assert "\x07" not in shown
    assert "[red]" in shown.replace("\n", "")


def test_markdown_tables_are_read_back(runs, tmp_path):
    files = write_all(runs, tmp_path / "out")
    found = json.loads(files["json"])
    lines = [line for line in files["md"].splitlines() if line.startswith("| B − A | SumR |")]
    (one,) = (d for d in found["differences"] if (d["run"], d["figure"]) == ("B", "SumR"))
    cells = [cell.strip() for cell in lines[0].strip("|").split("|")]
    assert float(cells[2].replace("−", "-")) == pytest.approx(one["value"], abs=0.051)
    assert f"{one['p_holm']:.3f}" == cells[-1] or cells[-1] == "<0.001"


def test_without_the_extra_nothing_is_written(runs, tmp_path, monkeypatch):
    monkeypatch.setattr("varkit_studies.comparison.writers.find_spec", lambda name: None)
    result = call("compare", *runs, "--out", tmp_path / "out")
    assert "jinja2" in failed(result)
    assert hint(result) == "pip install 'varkit[report]'"
    assert not (tmp_path / "out").exists()
    assert call("compare", *runs, *FEW).exit_code == 0, "the tables need none of it"


def test_a_folder_that_is_no_run_is_one_line_with_the_nearest(runs):
    result = call("compare", runs[0], runs[0].parent / "tow")
    assert f"Did you mean '{runs[1]}'" in failed(result)


def test_wrong_usage_exits_with_2(runs):
    assert call("compare").exit_code == 2
    assert call("compare", *runs, "--resamples", 3).exit_code == 2
    assert call("compare", *runs, "--checkpoint", "first").exit_code == 2


def test_help_has_an_example():
    shown = call("compare", "--help").stdout
    assert "varkit compare runs/" in shown
    assert "compare" in call("--help").stdout


def test_a_real_run_is_compared_with_itself_measured_again(tmp_path):
    """End to end: train twice, compare; figures are those of results.json."""
    from tests.support.tiny_runs import make_data, run

    recipe = make_data(tmp_path / "data", test=(5, 9, 12))
    for seed in (0, 1):
        result = run(recipe, f"train.seeds=[{seed}]", out=tmp_path / "runs")
        assert result.exit_code == 0, result.output
    folders = sorted(p.parent for p in (tmp_path / "runs").glob("*/*/run.json"))
    found = json.loads(call("compare", *folders, "--json", *FEW).stdout)
    for value in found["values"]:
        folder = folders[ord(value["run"]) - ord("A")]
        report = json.loads((folder / "results.json").read_text())
        which = found["runs"][value["run"]]["checkpoint"]
        way, _, key = value["figure"].rpartition(".")
        figures = report["summary"][which][value["figure"]]
        assert value["value"] == pytest.approx(figures["mean"]), (way, key)
