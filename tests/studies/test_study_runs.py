"""Studies trained for real, in processes of their own."""

import csv
import itertools
import json
import os
import re
import signal
from dataclasses import replace
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from varkit_studies.finished import open_study
from varkit_studies.plan import Planner
from varkit_studies.rows import resolve_rows
from varkit_studies.study_file import load_study
from varkit_studies.writers import write_study

from tests.support.calls import call, passed, printed, start, wait_for
from tests.support.reference.retrieval_metrics import by_id, ranks
from tests.support.studies import make_study, plan, study
from tests.support.tiny_runs import log_of, ranks_of, read
from varkit.data.batches import query_batches, video_batches
from varkit.evaluation.metrics import DIRECTIONS
from varkit.evaluation.rank import RECALLS
from varkit.runs.folder import open_run
from varkit.runs.trained import open_model

ROWS = ["fixed", "both", "cls", "same"]


def folder_of(file):
    return file.parent / "runs/studies/mini"


def snapshot(folder):
    """Return when every file of every run was written."""
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != ".lock"]
    return {p: p.stat().st_mtime_ns for p in files if "studies/mini" not in str(p)}


def test_rows_are_ordinary_runs_and_twins_share_one(done):
    file, told, _ = done
    runs = {name: Path(row["run"]) for name, row in told["rows"].items()}
    assert told["order"] == ROWS == sorted(runs, key=ROWS.index)
    assert runs["same"] == runs["both"]
    assert len(list((file.parent / "runs/tiny").iterdir())) == 2
    for name in ("fixed", "both"):
        assert open_run(runs[name]).recipe.train.seeds == (0, 1)
        assert (runs[name] / "report.html").is_file()
    assert list(open_run(runs["fixed"]).recipe.samplers) == ["fixed"]
    passed(call("compare", runs["both"], runs["cls"], "--resamples", 1000))


def test_figures_are_the_runs_own(done):
    _, told, _ = done
    sums = {}
    for name, row in told["rows"].items():
        results = read(Path(row["run"]) / "results.json")
        for way, k in itertools.product(DIRECTIONS, RECALLS):
            own = [results["seeds"][s]["best"][way][f"R@{k}"] for s in ("0", "1")]
            value = row["values"][f"{way}.R@{k}"]
            assert value["value"] == pytest.approx(np.mean(own))
            assert value["sd_trainings"] == pytest.approx(np.std(own, ddof=1))
        sums[name] = sum(row["values"][f"{w}.R@{k}"]["value"] for w in DIRECTIONS for k in RECALLS)
        assert row["values"]["SumR"]["value"] == pytest.approx(sums[name])
    difference = told["rows"]["fixed"]["differences"]["SumR"]["value"]
    assert difference == pytest.approx(sums["fixed"] - sums["both"])
    for name in ("both", "same"):
        assert told["rows"][name]["differences"] == {}


def test_measuring_again_uses_the_trained_weights_under_the_changed_recipe(done):
    """Against cosines of the CLS vectors alone, by hand, with ranks counted one by one."""
    _, told, _ = done
    row = told["rows"]["cls"]
    source = read(Path(row["run"]) / "run.json")["measured_from"]
    assert source["run"] == told["rows"]["both"]["run"]
    assert (source["recipe_differs"], source["data_differs"]) == (True, False)
    for seed in (0, 1):
        trained = open_model(source["run"], seed=seed)
        by_cls = ranks_by_cls(trained.model, trained.dataset, trained.recipe)
        assert ranks_of(Path(row["run"]), "best", seed) == by_cls


def ranks_by_cls(model, dataset, recipe):
    """Return (direction, id) -> rank; the one expert's weight is 1."""
    names = [item.video for item in dataset.split("test")]
    sounds = [item.queries[0] for item in dataset.split("test")]
    room = {"max_clips": 8192, "clips_per_batch": 16384}
    seen = video_batches(dataset, names, seed=recipe.eval.seed, crop=0, **room)
    heard = query_batches(dataset, sounds, tokenize=None, seed=recipe.eval.seed, **room)
    vectors = {}
    with torch.no_grad():
        for encoder, batches in ((model.video, seen), (model.query, heard)):
            vectors[encoder] = {}
            for positions, clips in batches:
                found = encoder(clips).vectors["cls"][:, 0].double()
                vectors[encoder] |= dict(zip(positions, found, strict=True))
    score = np.zeros((len(names), len(sounds)))
    for v, video in vectors[model.video].items():
        for q, query in vectors[model.query].items():
            score[v, q] = video @ query / (video.norm() * query.norm())
    return by_id(sounds, names, *ranks(score, range(len(names))))


def test_a_finished_study_trains_nothing_again(done):
    file, told, _ = done
    before = snapshot(file.parent / "runs")
    result = study(file, "--json")
    assert printed(result) == told
    assert "varkit run" not in result.stderr
    assert "varkit eval" not in result.stderr
    assert snapshot(file.parent / "runs") == before


def test_the_plan_says_what_is_there_and_what_the_rest_costs(done, tmp_path):
    file, told, _ = done
    rows = plan(file)
    assert {row["state"] for row in rows.values()} == {"cached"}
    assert all(rows[name]["run"] == row["run"] for name, row in told["rows"].items())
    assert [rows[name]["same_as"] for name in ROWS] == [None, None, None, "both"]
    assert rows["cls"]["measures"] == "both"

    longer = plan(file, "train.epochs=3", "train.seeds=[0]")
    assert [longer[name]["state"] for name in ROWS] == ["missing"] * 4
    runs = (file.parent / "runs/tiny").glob("*/run.json")
    newest = max(runs, key=lambda run: (read(run)["started"], run.parent.name))
    logs = (*log_of(newest.parent, 0), *log_of(newest.parent, 1))
    seconds = sum(record["seconds"] for record in logs if record["kind"] == "step")
    for name in ("fixed", "both"):  # three epochs of one seed, for one epoch of two
        assert longer[name]["seconds"] == pytest.approx(seconds * 3 / 2)
        assert longer[name]["estimated_from"] == str(newest.parent)
    nowhere = plan(file, out=tmp_path / "elsewhere")
    assert {row["state"] for row in nowhere.values()} == {"missing"}
    assert {row["seconds"] for row in nowhere.values()} == {None}
    assert not (tmp_path / "elsewhere").exists()
    measured = printed(study(file, "--plan", "--json", out=tmp_path / "elsewhere"))["rows"]
    assert [row["cost"] is not None for row in measured] == [True, True, False, False]
    steps = {record["step"] for record in log_of(newest.parent) if record["kind"] == "step"}
    for row in measured[:2]:  # one epoch of two seeds
        assert row["cost"]["steps"] == len(steps)
        assert row["seconds"] == pytest.approx(2 * len(steps) * row["cost"]["step"])
    run = Path(told["rows"]["both"]["run"])
    models = sum(path.stat().st_size for path in run.glob("seed-*/models/*.safetensors"))
    assert 0.3 * models < measured[1]["disk"] < models  # files also have a header
    assert not (tmp_path / "elsewhere").exists()
    costs = " ".join(study(file, "--plan", out=tmp_path / "elsewhere").stdout.split())
    for words in ("A training step takes here, with --threads 1: ", "4 trainings: ", "Models: "):
        assert words in costs
    shown = study(file, "--plan").stdout.splitlines()
    # A path is never broken, however long it is.
    assert all(len(line) <= 80 or str(file.parent) in line for line in shown)
    place = Path(told["rows"]["both"]["run"]).relative_to(file.parent / "runs")
    rows = [" ".join(line.split()) for line in shown]
    assert f"both cached, {place} FS + AS" in rows
    assert "cls cached, measures both =<script>alert(1)</script>|" in rows
    assert "same cached, same as both same" in rows
    assert "missing, about" in study(file, "--plan", "train.epochs=3").stdout
    assert "Simulated" not in study(file, "--plan").stdout


def test_other_weights_data_or_plugin_files_are_not_taken_for_the_same(done, tmp_path):
    file, told, _ = done
    fact = Path(told["rows"]["cls"]["run"]) / "run.json"
    kept = fact.read_text()
    facts = json.loads(kept)
    facts["measured_from"]["weights"] = dict.fromkeys(facts["measured_from"]["weights"], "0")
    fact.write_text(json.dumps(facts))
    assert plan(file)["cls"]["state"] == "missing"
    fact.write_text(kept)

    for name, change in (
        ("parts.py", lambda source: source + b"CHANGED = True\n"),
        ("train0.npy", lambda features: features[:-4] + bytes(4)),
    ):
        changed = file.parent / "data" / name
        before = changed.read_bytes()
        changed.write_bytes(change(before))
        assert {row["state"] for row in plan(file).values()} == {"missing"}
        changed.write_bytes(before)
    assert {row["state"] for row in plan(file).values()} == {"cached"}


def opened(file, **options):
    """Return a study of which nothing is missing: its file's content, and the finished one."""
    loaded = load_study(file)
    planner = Planner(loaded, resolve_rows(loaded), file.parent / "runs")
    return loaded, open_study(loaded, planner.plan(), {}, **options)


@pytest.mark.parametrize("damage", [lambda text: text[: len(text) // 2], lambda text: "[]"])
def test_a_run_with_damaged_results_is_measured_again(done, damage):
    file, told, _ = done
    cls, fixed = (Path(told["rows"][name]["run"]) / "results.json" for name in ("cls", "fixed"))
    kept = cls.read_text()
    cls.write_text(damage(kept))
    assert plan(file)["cls"]["state"] == "missing"
    cls.write_text(kept)

    kept = fixed.read_text()
    fixed.write_text(damage(kept))
    states = [row["state"] for row in plan(file).values()]
    assert states == ["partial", "cached", "cached", "cached"]
    result = study(file, "--json")
    assert printed(result) == told
    assert f"fixed: varkit resume {fixed.parent}" in result.stderr
    assert "varkit run" not in result.stderr
    assert fixed.read_text() == kept


def test_writing_again_removes_what_is_no_longer_in_the_study(done, tmp_path):
    loaded, finished = opened(done[0], resamples=1000)
    folder = tmp_path / "mini"
    twice = replace(loaded, show=(*loaded.show, *loaded.show))
    write_study(replace(finished, study=twice), folder)
    exhibits = ("table-2.md", "sweep.csv", "exhibits/sweep-2/sweep.png")
    for name in (*exhibits, "comparison/comparison.md"):
        assert (folder / name).is_file(), name

    own = ["notes.md", "logs/both.log", "measured/table.md", "comparison/mine.md", "table-a.md"]
    outside = tmp_path / "outside/comparison.md"
    for path in (*(folder / name for name in own), outside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("kept")
    (folder / "comparison-2").symlink_to(outside.parent)
    (folder / "sweep-3.md").symlink_to(outside)

    alone = replace(loaded, rows={"both": loaded.rows["both"]}, show=loaded.show[:1])
    rows = {"both": finished.rows["both"]}
    paths, _ = write_study(replace(finished, study=alone, rows=rows), folder)
    left = {path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()}
    assert left == {*paths, folder / "study.json", *(folder / name for name in own)}
    assert not list((folder / "exhibits").glob("sweep*"))
    assert (folder / "sweep-3.md").is_symlink()
    assert outside.read_text() == "kept"


def test_what_is_written_says_everything_and_escapes_names(done):
    file, told, _ = done
    folder = folder_of(file)
    page = (folder / "study.html").read_text()
    assert "<script" not in page
    assert '<td class="words">' in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "A &lt;b&gt;tiny&lt;/b&gt; study" in page
    assert not re.findall(r'(?:src|href)="(?!data:image/png;base64,)', page)
    assert "default-src 'none'" in page
    assert page.count("data:image/png;base64,") == 1
    markdown = (folder / "table.md").read_text()
    assert r"=\<script\>alert(1)\</script\>\|" in markdown
    fingerprint = told["rows"]["both"]["fingerprint"]
    chance = read(Path(told["rows"]["both"]["run"]) / "results.json")["chance"]
    texts = [
        fingerprint,
        "published",
        "held out of training",
        "Ties are in random order",
        "torch",
        "364.4",
    ]
    for text in (page, markdown, (folder / "table.tex").read_text()):
        for said in (*texts, f"Chance: SumR {chance['SumR']:.1f}."):
            assert said in text
        assert "SIMULATED" not in text
    assert (folder / "comparison/comparison.html").is_file()
    assert read(folder / "study.json") == told


def test_the_spreadsheet_has_every_figure_in_full_and_no_formula(done):
    file, told, _ = done
    with (folder_of(file) / "table.csv").open() as text:
        lines = list(csv.DictReader(text))
    measured = [line for line in lines if line["kind"] == "measured"]
    assert len(measured) == 7 * len(ROWS)
    for line in measured:
        value = told["rows"][line["row"]]["values"][line["figure"]]["value"]
        assert float(line["value"]) == value
    labels = {line["label"] for line in measured if line["row"] == "cls"}
    assert labels == {"'=<script>alert(1)</script>|"}
    published = {x["figure"]: float(x["value"]) for x in lines if x["kind"] == "published"}
    assert len(published) == 7
    assert published["SumR"] == pytest.approx(364.4)


def test_the_page_has_its_tables_first_and_each_rows_differences_folded(done):
    file, told, _ = done
    page = (folder_of(file) / "study.html").read_text()
    titles = ("A &lt;b&gt;tiny&lt;/b&gt; study", "SumR against", "How it", "Where", "Runs")
    places = [page.index(f"<h2>{title}") for title in titles]
    assert places == sorted(places)
    assert page.index("<table>") < page.index("fingerprint") < page.index("<details>")
    pairs = re.findall(r"<details>\n<summary>(.*?)</summary>(.*?)</details>", page, re.DOTALL)
    for name, (heading, tables) in zip(("fixed", "cls"), pairs, strict=True):
        difference = told["rows"][name]["differences"]["SumR"]["value"]
        label = escape(told["rows"][name]["label"])
        said = f"{difference:+.1f}".replace("-", "−")
        assert heading == f"{label} against FS + AS: SumR {said}"
        assert set(re.findall(r">(\w+) − (\w+)<", tables)) == {(name, "both")}
        assert "Answers that flipped" in tables
    assert "Answers that flipped" not in re.sub("<details>.*?</details>", "", page, flags=re.DOTALL)


def test_a_line_is_printed_whenever_a_row_starts_or_ends(done):
    file, _, said = done
    lines = said.splitlines()
    for row, verb in (("fixed", "run"), ("both", "run"), ("cls", "eval")):
        begun = f"{row}: varkit {verb} "
        finished = rf"{row}: finished in \d+\.\d min; [1-4] of 4 rows are done"
        (started,) = (n for n, line in enumerate(lines) if line.startswith(begun))
        (ended,) = (n for n, line in enumerate(lines) if re.fullmatch(finished, line))
        assert started < ended
    assert lines[-1].startswith(f"wrote {folder_of(file) / 'study.html'}; beside it table.md")
    assert len(lines) == 7


def test_a_sweep_draws_the_rows_that_have_a_number(done):
    file, told, _ = done
    points = told["exhibits"]["sweep"]["points"]
    assert [(point["row"], point["x"]) for point in points] == [("both", 0.5), ("cls", 1)]
    for point in points:
        value = told["rows"][point["row"]]["values"]["SumR"]
        assert point["value"] == value["value"]
        assert [point["low"], point["high"]] == value["interval_trainings"]
    picture = folder_of(file) / "exhibits/sweep/sweep.png"
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_measured_run_can_be_loaded_by_an_exhibit(done):
    _, finished = opened(done[0])
    both, cls = finished.rows["both"], finished.rows["cls"]
    first, second, measured = (
        row.model(n).state_dict() for row, n in ((both, 0), (both, 1), (cls, 1))
    )
    assert all(torch.equal(second[key], measured[key]) for key in second)
    assert not all(torch.equal(first[key], second[key]) for key in second)
    assert {name for name, _ in cls.model()._counting_alignments()} == {"cls"}
    assert cls.dataset is both.dataset


SLOW = """\
version: 1
title: slow
recipe: data/tiny.yaml
overrides: {train.epochs: 40}
rows:
  slow: {label: slow}
"""
BAD = """\
  bad: {label: bad, overrides: {samplers.anomaly: {use: early, fault: flat}}}
  after: {label: after, of: bad, measure: {eval.seed: 1}}
"""


@pytest.mark.slow
def test_killed_and_interrupted_studies_go_on_where_they_were(tmp_path):
    file = make_study(tmp_path, SLOW)
    out = tmp_path / "runs"

    command = ("study", file, "--out", out, "--jobs", 2)
    process = start(*command)
    run = wait_for(process, lambda: newest(out, beyond=2)).parents[2]
    os.kill(int((run / ".lock").read_text()), signal.SIGKILL)
    said = "".join(process.communicate())
    assert process.returncode == 1, said
    assert "no row of mini is finished" in said
    assert "slow: signal 9" in said

    reached = int(newest(out).name[:9])
    process = start(*command)
    wait_for(process, lambda: newest(out, beyond=reached))
    process.send_signal(signal.SIGINT)
    said = "".join(process.communicate())
    assert process.returncode == 130, said
    assert "run the same command again" in said
    slow = plan(file)["slow"]
    assert (slow["state"], slow["run"]) == ("partial", str(run))

    make_study(tmp_path, SLOW + BAD)
    result = study(file, "--jobs", 2)
    assert result.exit_code == 1, result.output
    bad = ("row bad: exit code 1: ", "row after: bad, which it measures, is not finished")
    for said in (f"varkit resume {run}", *bad):
        assert said in result.stderr, result.stderr
    assert (run / "results.json").is_file()
    told = read(out / "studies/mini/study.json")
    assert list(told["rows"]) == ["slow"]
    assert set(told["unfinished"]) == {"bad", "after"}
    assert "bad: not finished" in (out / "studies/mini/table.md").read_text()
    steps = [record["step"] for record in log_of(run) if record["kind"] == "step"]
    assert steps == list(range(1, len(steps) + 1))
    digests = [read(file)["digest"] for file in out.glob("tiny/*/run.json")]
    assert digests.count(told["rows"]["slow"]["digest"]) == 1


def newest(out, beyond=0):
    """Return the newest checkpoint below a folder of runs, if it is of a later step."""
    files = out.glob("tiny/*/seed-0/checkpoints/0*.safetensors")
    return max((f for f in files if int(f.name[:9]) > beyond), default=None)
