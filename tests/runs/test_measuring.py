"""A trained run measured again: ``varkit eval`` and what it is made of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.tiny_runs import make_data, only_run, read, run
from varkit.evaluation.rank_files import read_ranks
from varkit.runs.folder import open_run
from varkit.runs.measuring import MEASURABLE
from varkit.runs.trained import open_model

MODELS = [(seed, which) for seed in (0, 1) for which in ("best", "last")]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("measuring") / "data", test=(5, 9, 4))


@pytest.fixture(scope="module")
def finished(recipe) -> Path:
    passed(run(recipe, "train.seeds=[0, 1]", "eval.repeats=2", "eval.positives=duplicates"))
    return only_run(recipe)


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def evaluated(folder: Path, *arguments: object):
    return printed(call("eval", folder, *arguments, "--json", "--threads", 1))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_saves_its_ranks_and_the_figures_of_groups(finished):
    results = read(finished / "results.json")
    for seed, which in MODELS:
        ranks = finished / f"seed-{seed}" / "ranks" / f"{which}.jsonl"
        assert len(read_ranks(ranks)) == 2 * (3 + 3)
        assert {group["by"] for group in results["groups"][which]} >= {"label", "clips"}
        assert results["seeds"][str(seed)][which]["positives"] == "duplicates"
    assert (finished / "seed-0/trec/last.video_to_query.run").is_file()


def test_one_model_is_printed_and_nothing_is_written(finished):
    before = contents(finished)
    results = read(finished / "results.json")
    last = ("--seed", 1, "--checkpoint", "last")
    for options, seed, other in (((), "0", "last"), (last, "1", "best")):
        again = evaluated(finished, *options)
        assert again["seeds"] == {seed: {**results["seeds"][seed], other: None}}
        assert again["chance"] == results["chance"]
    assert contents(finished) == before


def test_a_measurement_is_a_run_with_every_training_and_checkpoint(finished, tmp_path):
    before = contents(finished)
    out = tmp_path / "out"
    assert evaluated(finished, "--out", out) == read(finished / "results.json")
    assert read(out / "results.json") == read(finished / "results.json")
    for seed, which in MODELS:
        for name in (f"ranks/{which}.jsonl", f"trec/{which}.query_to_video.run", "examples.json"):
            own = finished / f"seed-{seed}" / name
            assert (out / f"seed-{seed}" / name).read_bytes() == own.read_bytes()
    facts, trained = read(out / "run.json"), read(finished / "run.json")
    source = facts.pop("measured_from")
    assert source["run"] == str(finished)
    assert source["weights"] == open_run(finished).weights()
    assert source["changes"] == []
    assert (source["recipe_differs"], source["data_differs"]) == (False, False)
    for key in facts.keys() - {"command", "started", "directory", "folder"}:
        assert facts[key] == trained[key]
    assert open_run(out).recipe == open_run(finished).recipe
    assert contents(finished) == before
    compared = printed(call("compare", finished, out, "--json", "--resamples", 1000))
    assert {row["value"] for row in compared["differences"]} == {0.0}


def test_a_measurement_may_be_of_one_training_one_checkpoint_and_another_split(finished, tmp_path):
    options = ("--seed", 1, "--checkpoint", "last", "--split", "train", "--out", tmp_path)
    results = evaluated(finished, *options)
    assert results["split"] == "train"
    assert results["chance"]["video_to_query"]["n"] == 6
    assert list(results["seeds"]) == ["1"]
    assert results["seeds"]["1"]["best"] is None
    assert read(tmp_path / "run.json")["seeds"] == [1]
    assert not (tmp_path / "seed-0").exists()
    passed(call("compare", tmp_path, "--resamples", 1000))


def test_changes_that_need_no_training_are_measured(finished, tmp_path):
    changes = ("eval.positives=unique", "eval.ties=pessimistic", "alignments.avg.weight=0")
    results = evaluated(finished, *changes)
    best = results["seeds"]["0"]["best"]
    assert (best["positives"], best["tie_rule"]) == ("unique", "pessimistic")
    assert results["chance"]["positives"] == "unique"
    assert evaluated(finished, *changes, "--out", tmp_path)["seeds"]["0"]["best"] == best
    assert read(tmp_path / "run.json")["measured_from"]["recipe_differs"] is True
    assert open_run(tmp_path).recipe.eval.ties == "pessimistic"


def test_every_change_that_needs_training_is_refused_at_once(finished, tmp_path):
    changes = ("model.dim=16", "eval.seed=1", "vidoe.heads=1", "data.x=1")
    result = call("eval", finished, *changes, "--out", tmp_path / "out")
    assert "2 problems" in failed(result, 2)
    for key in ("model.dim", "vidoe.heads"):
        problem = f"command line: {key}: cannot change without training again."
        assert f"{problem} Allowed: {', '.join(MEASURABLE)}." in result.stderr
    assert hint(result).startswith("varkit run")
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_the_changed_recipe_are_refused(recipe, finished, tmp_path):
    random = np.random.default_rng(0)
    for file in Path(shutil.copytree(recipe.parent, tmp_path / "data")).glob("t*[0-9].npy"):
        np.save(file, random.normal(size=(4, 7)).astype("f4"))  # wider than the weights
    result = call("eval", finished, f"data.root={tmp_path / 'data'}", "--out", tmp_path / "out")
    assert "do not fit the model" in failed(result)
    assert not (tmp_path / "out/run.json").exists()


def test_other_data_are_measured_if_they_are_named_and_refused_if_they_changed(recipe, finished):
    other = Path(shutil.copytree(recipe.parent, recipe.parent.parent / "other"))
    np.save(other / "test0.npy", np.ones((4, 6), dtype="f4"))
    results = evaluated(finished, f"data.root={other}", "--out", other.parent / "out")
    assert results["seeds"].keys() == {"0", "1"}
    source = read(other.parent / "out" / "run.json")["measured_from"]
    assert (source["recipe_differs"], source["data_differs"]) == (True, True)
    clips = recipe.parent / "test0.npy"
    before = clips.read_bytes()
    shutil.copy(other / "test0.npy", clips)
    for changes in ((), ("eval.seed=1",)):
        assert "belongs to another data" in failed(call("eval", finished, *changes))
    clips.write_bytes(before)


def test_a_training_is_not_overwritten_and_a_measurement_is(copy, finished, tmp_path):
    for folder in (finished, copy):
        result = call("eval", finished, "--out", folder)
        assert f"{folder} holds a training" in failed(result)
        assert hint(result) == "name another folder for --out"
    for rule in ("optimistic", "average"):
        results = evaluated(finished, f"eval.ties={rule}", "--out", tmp_path / "out")
        assert results["seeds"]["1"]["last"]["tie_rule"] == rule
        assert read(tmp_path / "out/results.json") == results


def test_ranks_that_are_lost_come_back_by_the_command_that_compare_names(copy):
    before = contents(copy / "seed-1/ranks")
    shutil.rmtree(copy / "seed-1/ranks")
    remove, then = hint(call("compare", copy)).split(" && ")
    assert remove == f"rm -f {copy / 'seed-1/results.json'}"
    (copy / "seed-1/results.json").unlink()
    passed(call(*then.split()[1:]))
    assert contents(copy / "seed-1/ranks") == before
    passed(call("compare", copy, "--resamples", 1000))


def test_an_opened_model_knows_what_it_is(finished, tmp_path):
    chosen = open_model(str(finished))
    assert (chosen.seed, chosen.which, chosen.run.folder) == (0, "best", finished)
    assert chosen.epoch == read(finished / "results.json")["seeds"]["0"]["best"]["epoch"]
    assert not chosen.model.training
    last = open_model(chosen.run, seed=1, which="last", dataset=chosen.dataset)
    assert (last.seed, last.which, last.epoch) == (1, "last", 2)
    assert last.dataset is chosen.dataset
    first, second = (trained.model.state_dict() for trained in (chosen, last))
    assert any(not torch.equal(first[key], second[key]) for key in first)
    # A measurement has no models, and says where they are.
    evaluated(finished, "--out", tmp_path)
    for command in (("eval", tmp_path), ("resume", tmp_path)):
        result = call(*command)
        assert f"{tmp_path} has no models: it was measured from {finished}" in failed(result)
        assert hint(result) == f"name {finished} instead"
