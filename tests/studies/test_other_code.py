"""A corrected method is trained again, and alone; old runs are used only on request."""

import json
import shutil
from pathlib import Path

import pytest
from varkit_studies.comparison import compare
from varkit_studies.comparison.tables import notes

from tests.support.calls import call, passed, printed
from tests.support.ranked_runs import random_ranks, write_run, write_runs
from tests.support.studies import make_study, plan, study
from tests.support.tiny_runs import PARTS, make_data, read, run

TWO = """\
version: 1
title: two methods
rows:
  kept: {label: kept, recipe: data/tiny.yaml}
  mended: {label: mended, recipe: data/other.yaml}
"""
CHANGED = "varkit_alan.anomaly_led"
"""Row fixed has no such sampler."""


@pytest.fixture
def old(done, tmp_path):
    """The study's runs as if row both had been trained before a correction; its file, and both."""
    file, told, _ = done
    out = tmp_path / "runs"
    shutil.copytree(file.parent / "runs", out)
    both = out / Path(told["rows"]["both"]["run"]).relative_to(file.parent / "runs")
    for place in (both, out / "studies/mini/measured/cls"):
        rewrite(place, lambda code: code | {CHANGED: "0" * 16})
    return file, out, both


def rewrite(run, change):
    facts = read(run / "run.json")
    code = change(facts.pop("code"))
    (run / "run.json").write_text(json.dumps(facts | ({"code": code} if code else {})))


def test_a_plugin_corrected_between_two_studies_is_trained_again_and_nothing_else(tmp_path):
    recipe = make_data(tmp_path / "data")
    (tmp_path / "data/other.py").write_text(PARTS)
    other = recipe.with_name("other.yaml")
    other.write_text(recipe.read_text().replace("[parts.py]", "[other.py]"))
    file = make_study(tmp_path, TWO)
    for one in (recipe, other):
        passed(run(one))
    before = {name: row["run"] for name, row in plan(file).items()}
    assert [row["state"] for row in plan(file).values()] == ["cached", "cached"]

    (tmp_path / "data/other.py").write_text(PARTS.replace("+ 1000", "+ 999"))
    (tmp_path / "data/parts.py").write_text(f"# Another word.\n{PARTS}")
    rows = plan(file)
    assert [row["state"] for row in rows.values()] == ["cached", "missing"]
    assert rows["mended"]["other_code"] == ["other.py"]
    result = study(file, "--json")
    told = printed(result)["rows"]
    started = [line for line in result.stderr.splitlines() if ": varkit " in line]
    assert [line.partition(":")[0] for line in started] == ["mended"]
    assert told["kept"]["run"] == before["kept"]
    assert told["mended"]["run"] != before["mended"]
    assert not any(row["other_code"] for row in told.values())


def test_the_plan_says_which_rows_run_again_and_why(old):
    file, out, _ = old
    rows = plan(file, out=out)
    assert [row["state"] for row in rows.values()] == ["cached", "missing", "missing", "missing"]
    assert [row["other_code"] for row in rows.values()] == [[], [CHANGED], [], [CHANGED]]
    shown = study(file, "--plan", out=out).stdout
    assert f"Made by other code ({CHANGED}), so run again: both, same." in joined(shown)
    table = shown.partition("Runs lie below")[0]
    assert all(len(line) <= 80 for line in table.splitlines())


def joined(text):
    return " ".join(text.split())


def test_a_stopped_run_of_other_code_is_not_resumed(old):
    file, out, both = old
    (both / "results.json").unlink()
    assert plan(file, out=out)["both"]["state"] == "missing"
    row = plan(file, "--accept-code", out=out)["both"]
    assert (row["state"], row["run"]) == ("partial", str(both))


def test_old_runs_are_used_knowingly_and_every_table_says_so(old):
    file, out, both = old
    shown = joined(study(file, "--plan", "--accept-code", out=out).stdout)
    assert f"Made by other code ({CHANGED}), and used anyway: both, cls, same." in shown
    result = study(file, "--accept-code", "--json", out=out)
    assert ": varkit " not in result.stderr
    told = printed(result)
    assert told["rows"]["both"]["run"] == str(both)
    assert told["rows"]["both"]["other_code"] == told["rows"]["cls"]["other_code"] == [CHANGED]
    said = f"OTHER CODE made both, cls, same ({CHANGED}), used anyway."
    assert said in told["protocol"]
    folder = out / "studies/mini"
    assert said in (folder / "study.html").read_text()
    assert "FS + AS (other code)" in (folder / "table.md").read_text()
    assert "FS (other code)" not in (folder / "table.md").read_text()


def test_what_measures_an_old_run_again_has_both_codes_and_is_used_only_when_accepted(old):
    file, out, _ = old
    shutil.rmtree(out / "studies/mini/measured/cls")
    result = passed(study(file, "--accept-code", "--json", out=out))
    assert "cls: varkit eval " in result.stderr
    facts = read(out / "studies/mini/measured/cls/run.json")
    assert facts["code"][CHANGED].startswith(f"{'0' * 16}, then ")
    assert plan(file, "--accept-code", out=out)["cls"]["state"] == "cached"
    assert plan(file, out=out)["cls"]["state"] == "missing"


def test_a_run_of_the_code_of_now_goes_before_an_accepted_one(done, old):
    file, out, both = old
    newest = both.with_name(f"9{both.name}")
    shutil.copytree(both, newest)
    assert plan(file, "--accept-code", out=out)["both"]["run"] == str(newest)
    now = read(Path(done[1]["rows"]["both"]["run"]) / "run.json")["code"]
    rewrite(both, lambda code: now)
    row = plan(file, "--accept-code", out=out)["both"]
    assert (row["run"], row["other_code"]) == (str(both), [])


def test_runs_without_their_code_are_of_other_code(old):
    file, out, both = old
    rewrite(both, lambda code: None)
    assert plan(file, out=out)["both"]["other_code"] == ["not recorded"]
    assert plan(file, "--accept-code", out=out)["both"]["state"] == "cached"


def test_a_comparison_says_which_shared_modules_differ_and_whose_is_which(tmp_path):
    codes = [{"m": "1", "n": "1"}, {"m": "2"}, {"m": "1", "p": "1"}]
    folders = write_runs(tmp_path, *({"code": code} for code in codes))
    found = compare(folders, resamples=1000)
    assert found.different_code == ("m (A, C against B)",)
    assert found.mismatches == ()
    assert "MADE BY DIFFERENT CODE: m (A, C against B)." in notes(found)
    assert compare(folders[::2], resamples=1000).different_code == ()
    result = call("compare", *folders, "--resamples", 1000)
    assert "MADE BY DIFFERENT CODE: m (A, C against B)." in joined(result.stdout)
    unknown = write_run(tmp_path / "old", random_ranks(4))
    fused = write_run(tmp_path / "fused", random_ranks(5), made_from=[])
    found = compare([folders[0], unknown, fused], resamples=1000)
    assert found.different_code == ("not recorded (B)",)
