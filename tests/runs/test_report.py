"""The page and the tables of a run: complete, escaped, alone, and the same every time."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.support.calls import call, passed
from tests.support.pages import Page
from tests.support.ranked_runs import rank_rows
from varkit.data.positives import Positives
from varkit.errors import RunError, VarkitError
from varkit.evaluation import metrics
from varkit.evaluation.groups import group_figures
from varkit.evaluation.rank import ranks_from_similarity
from varkit.evaluation.results import summarize_seeds, training_results
from varkit.runs.report import write_report
from varkit.runs.report.charts import sampling_picture
from varkit.runs.report.tables import groups_table, results_table

HOSTILE = "<script>alert('\"$x_1$')</script> & </svg>"


def measured(seed, *, extras=True):
    """A REPORT of 20 pairs, with everything that an evaluation can add."""
    generator = torch.Generator().manual_seed(seed)
    similarity = 0.5 * torch.eye(20) + torch.rand(20, 20, generator=generator)
    ranks = ranks_from_similarity(similarity, Positives.own(torch.arange(20)))
    inside = {"auc": 0.765, "ap": 0.432, "clips": 450, "anomalous": 0.3}
    detector = {"auc": 0.873, "ap": 0.501, "clips": 900, "anomalous": 0.15}
    more = {
        "sampling": {"fixed": 0.21, "anomaly": 0.64},
        "sampling_uniform": 0.173,
        "sampling_oracle": {"fixed": 0.91, "anomaly": 0.92},
        "detector": {**detector, "abnormal": inside},
        "groups": group_figures(rows_of(ranks)),
    }
    return metrics.summarize(ranks) | (more if extras else {})


def rows_of(ranks):
    """Half of the videos are abnormal and have a class; of the others nothing is known."""
    rows = []
    for row in rank_rows(*(getattr(ranks, way).rank[None] for way in metrics.DIRECTIONS)):
        known = int(row.video[1:]) < 10
        own = {"label": 1 if known else None, "classes": (HOSTILE,) if known else ()}
        rows.append(replace(row, **own, clips=None))
    return rows


def results_of(seeds, *, simulated=True, selection="val", **more):
    trainings = {}
    chance = metrics.chance(Positives.own(torch.arange(20)))
    facts = {"dataset": "Tiny", "simulated": simulated, "selection": selection, "chance": chance}
    for seed in seeds:
        best = {} if selection == "last" else {"best": {"epoch": 3, **measured(seed)}}
        last = {"epoch": 4, **measured(seed + 100)}
        trainings[seed] = training_results({**best, "last": last}, **facts)
    return summarize_seeds(trainings, **more)


def sampling(video, *, clips=30, truth=True, scores=True):
    place = np.arange(clips)
    inside = (place > clips // 3) & (place < clips // 2)
    return {
        "video": video,
        "seconds": clips * 0.64,
        "scores": (0.1 + 0.8 * inside).tolist() if scores else [],
        "picks": {"fixed": [0, clips // 2, clips - 1], "a$n^o$": [clips // 2 - 1] * 3},
        "truth": inside.tolist() if truth else None,
        "times": [[0.64 * t, 0.64 * (t + 1)] for t in range(clips)],
    }


def write_run(folder, *, simulated=True, seeds=(0, 1), name="v_abnormal", query="a man falls"):
    folder.mkdir(parents=True, exist_ok=True)
    facts = {
        "schema": 1,
        "recipe": "alan_tiny",
        "dataset": "Tiny",
        "simulated": simulated,
        "embedded": simulated,
        "missing": ["no features in data/tiny: see the guide"] if simulated else [],
        "seeds": list(seeds),
        "selection": "val",
        "versions": {"varkit": "0.1.0", "torch": "2.13.0"},
        "plugins": {"alan": "0.1.0"},
        "fingerprint": "abc123",
        "questions": "def456",
        "machine": "a machine",
        "command": "varkit run recipes/alan_tiny.yaml",
        "started": "2026-01-02T03:04:05+00:00",
    }
    (folder / "run.json").write_text(json.dumps(facts))
    (folder / "recipe.yaml").write_text(f"version: 1  # {query}\n")
    (folder / "results.json").write_text(json.dumps(results_of(seeds, simulated=simulated)))
    hits = [
        {"video": name, "score": 0.9, "correct": True},
        {"video": "v_other", "score": -0.1, "correct": False},
    ]
    shown = {
        "retrieval": [{"query": query, "video": name, "rank": 1.5, "top": hits}],
        "sampling": [sampling(name), sampling("v_normal", truth=False, scores=False)],
    }
    for seed in seeds:
        own = folder / f"seed-{seed}"
        own.mkdir()
        (own / "examples.json").write_text(json.dumps(shown))
        log = []
        for step in range(1, 31):
            align, at = 3 / (step + seed), {"epoch": step // 10}
            losses = {"align": align, "detector": 0.7, "total": align + 0.07}
            log.append({"kind": "step", **at, "step": step, "losses": losses, "seconds": 0.1})
            if step % 10 == 0:
                figures = measured(step + seed, extras=False)
                log.append({"kind": "validation", **at, "part": "val", **figures})
        (own / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log))
    return folder


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path / "run")


@pytest.fixture
def page(run):
    return write_report(run).read_text()


def test_the_page_is_alone_and_runs_nothing(page):
    parsed = Page(page)
    assert "script" not in parsed.tags
    policy = dict(parsed.attributes)["content"]
    assert re.search("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'", page), policy
    for name, value in parsed.attributes:
        assert not name.startswith("on"), name
        if name in {"src", "href", "xlink:href"}:
            assert value.startswith("#"), value
    remote = re.findall(r"https?://[^\"' )<]*", page)
    assert set(remote) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in page


def test_simulated_is_said_in_the_title_and_with_every_table_and_figure(page):
    parsed = Page(page)
    assert "SIMULATED DATA" in page
    assert "simulated" in "".join(parsed.inside("title"))
    heads = {("caption", "b"), ("figcaption", "b")}
    titles = [text for where, text in parsed.texts if where[-2:] in heads]
    assert len(titles) == 7  # results, detection, groups, retrieval; curves and two videos
    assert all("simulated" in title for title in titles)
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 3
    assert all("simulated" in picture for picture in pictures)


def test_a_page_of_real_data_does_not_say_simulated(tmp_path):
    page = write_report(write_run(tmp_path / "run", simulated=False)).read_text()
    assert re.findall("simulated.*", page) == ["simulated</dt><dd>no</dd>"]


def test_the_page_shows_everything_that_the_run_knows(page):
    texts = ["a man falls", "v_abnormal", "v_normal", "✓ v_abnormal", "varkit 0.1.0"]
    texts += ["abc123", "chance", "best, mean", "last, seed 1", "detector AUC", "64.0 %"]
    texts += ["0.501", "0.432", "17.3 %", "92.0 %", "label: abnormal *", "Only a query"]
    for text in (*texts, "no features in data/tiny: see the guide", "version: 1"):
        assert text in page
    assert page.count("✓ ") == 1  # of the two hits, the right one


def test_the_tiles_name_their_checkpoint_and_groups_come_last(page):
    tiles = (
        "Of the test split: best checkpoint, epochs 3, 3; best = highest SumR on videos held out"
    )
    assert tiles in page
    parts = ["Results", "Training", "Retrieved videos", "Where the samplers look", "Groups"]
    places = [page.index(f"<h2>{part}</h2>") for part in parts]
    assert places == sorted(places)
    assert places[-1] < page.index("<b>Groups of videos")


def test_names_and_captions_of_others_are_escaped(tmp_path):
    run = write_run(tmp_path / "run", name=HOSTILE, query=HOSTILE)
    parsed = Page(write_report(run).read_text())
    assert "script" not in parsed.tags
    assert parsed.tags.count("svg") == 3
    assert {HOSTILE, f"class: {HOSTILE} *"} <= set(parsed.inside("td"))
    for tag in ("figcaption", "pre"):
        assert any(HOSTILE in text for text in parsed.inside(tag))
    assert "a$n^o$" in "".join(parsed.inside("svg"))  # no formula


def test_the_same_run_gives_the_same_bytes_and_no_id_twice(run):
    assert passed(call("report", run)).output.strip() == str(run / "report.html")
    first = (run / "report.html").read_bytes()
    assert write_report(run).read_bytes() == first
    ids = [value for name, value in Page(first.decode()).attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = re.findall(r"(?:url\(|href=\")#([^\")]+)", first.decode())
    assert used
    assert set(used) <= set(ids)


def test_a_run_that_has_only_begun_has_a_page(run):
    (run / "results.json").unlink()
    for seed in (0, 1):
        (run / f"seed-{seed}" / "examples.json").unlink()
    with (run / "seed-0" / "metrics.jsonl").open("a") as log:
        log.write('{"kind": "step", "epo')  # the line that is being written
    page = write_report(run).read_text()
    assert "No training of this run is finished yet" in page
    assert "<svg" in page


def test_no_run_and_damaged_files_are_errors(run, tmp_path):
    for name in ("results.json", "seed-0/metrics.jsonl", "run.json"):
        before = (run / name).read_text()
        for damage, said in (("{]\n", "damaged"), ("[]\n", "damaged")):
            (run / name).write_text(damage)
            with pytest.raises(RunError, match=f"{name}.* is {said}"):
                write_report(run)
        (run / name).write_text(before)
    results = json.loads((run / "results.json").read_text())
    for key, part in (("positives", results["chance"]), ("groups", results)):
        kept = part.pop(key)
        (run / "results.json").write_text(json.dumps(results))
        with pytest.raises(RunError, match=rf"results\.json.*{key}"):
            write_report(run)
        part[key] = kept
    (run / "results.json").write_text(json.dumps(results | {"selection": "luck"}))
    with pytest.raises(RunError, match=r"results\.json.*selection"):
        write_report(run)
    with pytest.raises(RunError, match=r"no run\.json"):
        write_report(tmp_path)
    assert not (tmp_path / "report.html").exists()


def test_without_the_extra_a_hint_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr("varkit.runs.report.find_spec", lambda name: None)
    with pytest.raises(VarkitError, match="jinja2 and matplotlib") as caught:
        write_report(run)
    assert "pip install 'varkit[report]'" in caught.value.hint


def test_a_video_of_61_000_clips_stays_small_and_keeps_its_peak():
    example = sampling("long", clips=61_000)
    flat = sampling_picture(example, "v", "")
    example["scores"][12_345] = 1.0
    peaked = sampling_picture(example, "v", "")
    assert len(peaked) < 200_000
    assert peaked != flat


def test_the_table_has_seeds_their_means_and_deviations_and_says_how_they_were_selected():
    results = results_of([0, 1, 2], selection="test", simulated=False)
    table = results_table(results)
    rows = ("seed 0", "seed 1", "seed 2", "mean", "sd")
    both = [f"{which}, {row}" for which in ("best", "last") for row in rows]
    assert [row[0] for row in table.rows if row[0]] == [*both, "chance"]
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert len(table.rows) == len(table.kinds)
    for text in (
        "n = 20 queries (Q), 20 videos (V)",
        "Ties are in random order",
        "ON THE TEST SET",
        "3 train",
    ):
        assert text in table.caption
    assert "simulated" not in (table.title + table.caption).lower()
    sums = [results["seeds"][str(seed)]["best"]["SumR"] for seed in range(3)]
    spread = results["summary"]["best"]["SumR"]
    assert spread["mean"] == pytest.approx(np.mean(sums))
    assert spread["sd"] == pytest.approx(np.std(sums, ddof=1))
    rows = {row[0]: row for row in table.rows}
    assert rows["best, mean"][-1] == f"{np.mean(sums):.1f}"
    assert rows["best, sd"][-1] == f"±{np.std(sums, ddof=1):.1f}"


def test_one_seed_has_no_deviation_and_without_selection_there_is_no_best():
    results = results_of([5], selection="last")
    assert set(results["summary"]) == {"last"}
    assert results["summary"]["last"]["SumR"]["sd"] is None
    assert [row[0] for row in results_table(results).rows if row[0]] == ["last, seed 5", "chance"]


def test_a_paper_s_row_is_called_published_and_says_from_where():
    figures = {"R@1": 7.3, "R@5": 25.5, "R@10": 37.2, "MdR": 19.0}
    paper = {"query_to_video": figures, "video_to_query": figures, "SumR": 140.0}
    results = results_of([0], published={**paper, "source": "ALAN, Table II"})
    table = results_table(results)
    assert table.kinds[-1] == "published"
    assert table.rows[-2][:4] == ("published", "", "Q→V", "7.3")
    assert "published: ALAN, Table II" in table.caption


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ("own", "Only a query's own video is right"),
        ("duplicates", "Every video with literally the same caption is right."),
        ("unique", "equal captions are one query"),
    ],
)
def test_the_table_says_what_is_right_and_warns_of_collapsed_embeddings(rule, text):
    results = results_of([0])
    results["chance"]["positives"] = rule
    results["seeds"]["0"]["best"]["collapsed"] = True
    caption = results_table(results).caption
    assert text in caption
    assert "WARNING: nothing is told apart" in caption


def test_groups_are_averaged_over_trainings_and_held_against_chance():
    results = results_of([0, 1])
    table = groups_table(results)
    groups = ["label: abnormal *", f"class: {HOSTILE} *"]
    assert [row[0] for row in table.rows] == [*groups, "chance, all videos"]
    sums = [results["seeds"][str(seed)]["best"]["groups"][0]["SumR"] for seed in (0, 1)]
    assert table.rows[0][-1] == f"{np.mean(sums):.1f}"
    assert table.rows[0][1] == "10"
    assert table.kinds == ("few", "few", "chance")
    assert all(len(row) == len(table.columns) for row in table.rows)
    assert "means over 2 trainings" in table.caption
