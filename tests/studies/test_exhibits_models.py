"""Exhibits that load trained models, against slow references, in one small study run for real."""

import itertools
import re
import shutil

import numpy as np
import openpyxl
import pytest
import torch
from varkit_studies.exhibits.matching import Mean, precision

from tests.support.calls import call, passed
from tests.support.studies import plan, study
from tests.support.tiny_runs import log_of, read, recipe_of
from varkit.data.batches import video_batches
from varkit.runs.trained import open_model

CLIPS = {"max_clips": 9999, "clips_per_batch": 1}
PARTS = """\
from varkit import hookimpl
from varkit.testing.stand_ins import Words


@hookimpl
def register_encoders(register):
    register("hashed", Words, summary="the mean of hashed words")
"""
STUDY = """\
version: 1
title: <b>small</b>
rows:
  text: {label: "=<script>alert(1)</script>", recipe: text.yaml}
  sound: {label: sounds, recipe: audio.yaml}
  oracle:
    label: told
    of: text
    measure: {samplers.anomaly: {use: oracle, count: 4}}
  films: {label: films alone, recipe: audio.yaml, runs: false}
  crime:
    label: as the benchmark
    recipe: text.yaml
    runs: false
    overrides: {data: {use: ucfcrime_ar, root: WORLD}}
  both: {label: both, recipe: text.yaml, runs: false,
    overrides: {data: {use: ucfcrime_ar, root: CHINESE, name: Both}}}
show:
  - {use: statistics, languages: [en, zh]}
  - examples
  - {use: coarse_queries, k: [2, 5], queries: {a <i>blast</i>: [Explosion], nothing: [Dancing],
     man: [Robbery, Shooting], walk: [Normal]}}
  - {use: sampling, videos: 2}
  - {use: zero_shot, gallery: films}
  - {use: zero_shot, row: sound, gallery: text, k: 3}
  - {use: running_time, repeats: 2}
"""
EXHIBITS = (
    "statistics", "examples", "coarse_queries", "sampling", "zero_shot", "zero_shot-2",
    "running_time",
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exhibits")
    (folder / "parts.py").write_text(PARTS)
    data = {"use": "simulated", "size": "small", "videos": 60, "test": 0.5}
    for task, query in (("text", {"use": "hashed"}), ("audio", {"use": "audio", "heads": 2})):
        text = recipe_of(
            plugins=["parts.py"],
            data=data | {"task": task, "root": str(folder / "world")},
            model={"dim": 8, "experts": ["object", "motion"]},
            query=query,
            alignments={"cls": {"use": "cls", "weight": 1}},
            train={"epochs": 1, "batch_size": 16, "lr": 0.01, "seeds": [0, 1]},
        )
        (folder / f"{task}.yaml").write_text(text)
        passed(call("run", folder / f"{task}.yaml", "--out", folder / "runs", "--threads", 1))
    (world,) = (folder / "world").glob("text-*")
    shutil.copytree(world, folder / "chinese")
    for file in (folder / "chinese").glob("*.xlsx"):
        book = openpyxl.load_workbook(file)
        header, *rows = book.active.iter_rows()
        column = [cell.value for cell in header].index("Chinese Text")
        for row in rows:
            row[column].value = "一名男子。"
        book.save(file)
    text = STUDY.replace("WORLD", str(world)).replace("CHINESE", str(folder / "chinese"))
    (folder / "mini.yaml").write_text(text)
    passed(study(folder / "mini.yaml"))
    return folder


@pytest.fixture(scope="module")
def done(place):
    return read(place / "runs/studies/mini/study.json")


def run_of(place, recipe):
    (run,) = (place / "runs" / recipe).iterdir()
    return run


def trained(place, recipe, seed=0):
    opened = open_model(run_of(place, recipe), seed=seed)
    return opened.model, opened.dataset


def slow_scores(model, dataset, videos, texts):
    """Return the similarity of each video and text, one pair after another."""
    scores = np.empty((len(videos), len(texts)))
    with torch.no_grad():
        queries = [model.query(model.query.tokenize([text])) for text in texts]
        for v, video in enumerate(videos):
            ((_, clips),) = video_batches(dataset, [video], seed=0, **CLIPS)
            seen = model.video(clips)
            scores[v] = [float(model.similarity(seen, query)) for query in queries]
    return scores


def slow_precision(scores, wanted, classes, k):
    """Count right videos among the first k; nothing ties."""
    found = []
    for q, names in enumerate(wanted):
        order = sorted(range(len(classes)), key=lambda v, q=q: -scores[v, q])
        assert len({*scores[:, q]}) == len(classes)
        found.append(sum(bool({*names} & {*classes[v]}) for v in order[:k]) / k)
    return found


def test_a_row_that_runs_nothing_has_data_alone(place, done):
    assert set(done["rows"]) == {"text", "sound", "oracle"}
    assert done["unfinished"] == {}
    assert not (place / "runs/studies/mini/logs/films.log").exists()
    assert any(line.startswith("Row films runs nothing") for line in done["protocol"])
    assert {row["state"] for row in plan(place / "mini.yaml").values()} == {"cached"}


def test_every_exhibit_is_made_and_says_that_data_are_simulated(place, done):
    folder = place / "runs/studies/mini"
    assert done["exhibits_failed"] == {}
    assert set(done["exhibits"]) == {*EXHIBITS}
    for name in EXHIBITS:
        text = (folder / f"{name}.md").read_text()
        assert "simulated data" in text.splitlines()[0]
        for line in text.splitlines():
            assert not line.startswith("![") or "simulated data" in line
    page = (folder / "study.html").read_text()
    assert "<script" not in page
    assert "<i>" not in page
    pictures = sorted(folder.glob("exhibits/**/*.png"))
    owners = {file.relative_to(folder / "exhibits").parts[0] for file in pictures}
    assert owners == {"statistics", "examples", "sampling"}
    assert all(file.read_bytes().startswith(b"\x89PNG") for file in pictures)
    assert len(re.findall("data:image/png", page)) == len(pictures)


def test_statistics_count_each_data_set_once_beside_published_figures(place, done):
    _, data = trained(place, "text")
    figures = done["exhibits"]["statistics"]["figures"]
    found = [one for one in figures if one["kind"] == "counted"]
    counted = {(one["dataset"], one["figure"]): one["value"] for one in found}
    assert {name for name, _ in counted} == {"simulated-ucf", "simulated-xd", "UCFCrime-AR", "Both"}
    assert counted["simulated-ucf", "videos"] == 60
    words = [
        len(data.query(query).split())
        for item in (*data.split("train"), *data.split("test"))
        for query in item.queries
    ]
    assert counted["simulated-ucf", "words.mean"] == pytest.approx(np.mean(words))
    assert len(counted) == len(found)
    for name in ("UCFCrime-AR", "Both"):
        assert counted[name, "words.mean"] == counted["simulated-ucf", "words.mean"]
    assert counted["Both", "characters.mean"] == 4  # the final stop does not count
    assert ("UCFCrime-AR", "characters.mean") not in counted

    found = [one for one in figures if one["kind"] == "published"]
    assert {one["dataset"] for one in found} == {"UCFCrime-AR", "Both"}
    told = {one["figure"]: one for one in found}
    assert told["videos"]["value"] == 1900
    assert not any(one["equal"] for one in found)
    text = (place / "runs/studies/mini/statistics.md").read_text()
    assert len(re.findall("Captions in 'zh' are not counted", text)) == 1
    table, _ = (part for part in text.split("\n## ") if ", published, and " in part)
    assert table.startswith("UCFCrime-AR, published, and UCFCrime-AR (simulated data)")
    assert "| videos | 1,900 | 60 | DIFFERS by -1,840 |" in table


def test_examples_are_those_of_the_training(place, done):
    examples = read(run_of(place, "text") / "seed-0/examples.json")
    assert done["exhibits"]["examples"]["retrieval"] == examples["retrieval"]


def test_coarse_queries_count_the_first_videos_of_the_category(place, done):
    found = done["exhibits"]["coarse_queries"]["queries"]
    queries = {"a <i>blast</i>": ["Explosion"], "man": ["Robbery", "Shooting"], "walk": ["Normal"]}
    own = {one["query"]: one for one in found if one["row"] == "text"}
    assert set(own) == set(queries)
    assert {one["row"] for one in found} == {"text", "oracle"}
    for k in (2, 5):
        values = []
        for seed in (0, 1):
            model, dataset = trained(place, "text", seed)
            items = dataset.split("test")
            classes = [item.classes for item in items]
            scores = slow_scores(model, dataset, [item.video for item in items], list(queries))
            values.append(slow_precision(scores, queries.values(), classes, k))
        expected = np.mean(values, axis=0)
        assert [own[query][f"P@{k}"] for query in queries] == pytest.approx(expected)
    for query, names in queries.items():
        prior = sum(bool({*names} & {*each}) for each in classes) / len(classes)
        assert own[query]["prior"] == pytest.approx(prior)


def test_the_share_of_picks_inside_is_counted_clip_by_clip(place, done):
    found = {(one["row"], one["sampler"]): one for one in done["exhibits"]["sampling"]["samplers"]}
    assert set(found) == {(r, s) for r in ("text", "sound", "oracle") for s in ("fixed", "anomaly")}
    assert found["oracle", "anomaly"]["value"] == 1
    values = {"fixed": [], "anomaly": []}
    for seed in (0, 1):
        model, dataset = trained(place, "text", seed)
        for item in dataset.split("test"):
            truth = dataset.truth(item.video)
            if not truth.any():
                continue
            ((_, clips),) = video_batches(dataset, [item.video], seed=0, **CLIPS)
            with torch.no_grad():
                picks = model.video(clips).picks
            for name, inside in values.items():
                inside.append(sum(bool(truth[i]) for i in picks[name][0].tolist()) / 4)
    for name, inside in values.items():
        one = found["text", name]
        assert one["value"] == pytest.approx(sum(inside) / len(inside))
        assert 2 * one["videos"] == len(inside)
        assert one["low"] <= one["value"] <= one["high"] <= 1
        assert one["value"] <= one["best"]


def test_a_model_searches_the_videos_of_other_data(place, done):
    categories = {
        "Fighting": {"Fighting"}, "Shooting": {"Shooting"}, "Explosion": {"Explosion"},
        "Car accident": {"RoadAccidents", "Car accident"}, "Abuse": {"Abuse"}, "Riot": {"Riot"},
    }  # fmt: skip
    _, films = trained(place, "audio")
    items = films.split("test")
    values = {}
    for seed in (0, 1):
        model, dataset = trained(place, "text", seed)
        own = dataset.split("test")
        texts = [dataset.query(item.queries[0]) for item in own]
        scores = slow_scores(model, films, [item.video for item in items], texts)
        for name, wanted in categories.items():
            asked = [q for q, item in enumerate(own) if wanted & {*item.classes}]
            found = slow_precision(
                scores[:, asked], [wanted] * len(asked), [item.classes for item in items], 2
            )
            values.setdefault(name, []).extend(found)
    told = {one["category"]: one for one in done["exhibits"]["zero_shot"]["categories"]}
    assert set(told) == {*(name for name in values if values[name]), "all of these"}
    for name, found in values.items():
        if found:
            assert told[name]["value"] == pytest.approx(sum(found) / len(found))
            assert 2 * told[name]["queries"] == len(found)
    back = {one["category"]: one for one in done["exhibits"]["zero_shot-2"]["categories"]}
    assert back["Riot"]["prior"] == back["Riot"]["value"] == 0
    counted = [name for name in categories if back.get(name, {}).get("prior")]
    shared = set().union(*(categories[name] for name in counted))
    several = [item.queries for item in items if shared & {*item.classes}]
    assert back["all of these"]["queries"] == sum(map(len, several))


def test_times_are_those_of_every_row_and_step(place, done):
    found = {(o["row"], o["step"]): o for o in done["exhibits"]["running_time"]["seconds"]}
    assert ("oracle", "epoch") not in found
    assert len(found) == 3 * 5 - 1
    log = [record for seed in (0, 1) for record in log_of(run_of(place, "text"), seed)]
    steps = [record["seconds"] for record in log if record["kind"] == "step"]
    assert found["text", "epoch"]["n"] == 2  # an epoch of each training
    assert found["text", "epoch"]["seconds"] == pytest.approx(sum(steps) / 2)
    for one in found.values():
        assert 0 < one["p20"] <= one["seconds"] <= one["p80"]
        assert (one["times_reference"] == 1) == (one["row"] == "text")


def test_precision_is_the_mean_over_all_orders_of_the_tied():
    random = np.random.default_rng(0)
    scores, right = random.integers(0, 3, (6, 20)), random.random((6, 20)) < 0.4
    for k in range(1, 7):
        shares = [
            # In each order of the videos, of those that tie the earlier comes first.
            np.take_along_axis(right[[*order]], np.argsort(-scores[[*order]], 0, "stable")[:k], 0)
            for order in itertools.permutations(range(6))
        ]
        expected = np.mean(shares, axis=(0, 1))
        assert precision(scores, right, k) == pytest.approx(expected)
    constant = precision(np.ones((6, 20)), right, 4)
    assert constant == pytest.approx(right.mean(axis=0)), "what chance would reach"


def test_an_interval_is_that_of_means_of_resamples():
    values = np.array([0.0, 1.0, 1.0, 1.0])
    found = Mean.of(values, resamples=4000, seed=0)
    means = sorted(sum(drawn) / 4 for drawn in itertools.product(values, repeat=4))
    assert found.value == 0.75
    assert (found.low, found.high) == (means[6], means[-7])
    # Twice the same query says no more than once.
    twice = Mean.of(np.repeat(values, 2), resamples=4000, seed=0, together=[*"aabbccdd"])
    assert twice == found
