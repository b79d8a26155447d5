"""What a finished run keeps and what can be added to it; what is refused before one begins."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.tiny_runs import make_data, only_run, read, run, run_in
from varkit.runs.folder import open_run


@pytest.fixture(scope="module")
def recipe(tmp_path_factory) -> Path:
    return make_data(tmp_path_factory.mktemp("runs") / "data")


@pytest.fixture(scope="module")
def finished(recipe) -> Path:
    passed(run(recipe, "train.epochs=1"))
    return only_run(recipe)


@pytest.fixture
def copy(finished, tmp_path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def contents(folder: Path) -> dict[Path, bytes]:
    files = (path for path in folder.rglob("*.*") if path.name != ".lock")
    return {path.relative_to(folder): path.read_bytes() for path in files}


def test_a_finished_run_keeps_its_models_and_no_optimiser_unless_asked(recipe, finished, tmp_path):
    models = {"best.safetensors", "last.safetensors"}
    assert {path.name for path in finished.rglob("*.safetensors")} == models
    passed(run(recipe, "train.epochs=3", "train.keep=1", out=tmp_path))
    (kept,) = (run_in(tmp_path) / "seed-0/checkpoints").glob("*.safetensors")
    assert kept.name.endswith("-00003.safetensors")


def test_without_checkpoints_a_finished_training_is_measured_again_but_not_trained(copy, finished):
    before = contents(copy / "seed-0" / "models")
    for name in ("results.json", "seed-0/results.json", "seed-0/metrics.jsonl"):
        (copy / name).unlink()
    passed(call("resume", copy))
    assert read(copy / "results.json") == read(finished / "results.json")
    assert contents(copy / "seed-0" / "models") == before
    assert not (copy / "seed-0/metrics.jsonl").exists()


def test_seeds_are_added_to_a_finished_run_and_what_it_has_stays(recipe, copy, tmp_path):
    before = contents(copy / "seed-0")
    results = printed(call("resume", copy, "train.seeds=[0, 2]", "--json"))
    assert contents(copy / "seed-0") == before
    passed(run(recipe, "train.epochs=1", "train.seeds=[0, 2]", out=tmp_path / "whole"))
    whole = run_in(tmp_path / "whole")
    assert results == read(copy / "results.json") == read(whole / "results.json")
    for name in ("seeds", "digest"):
        assert read(copy / "run.json")[name] == read(whole / "run.json")[name]
    assert (copy / "recipe.yaml").read_text() == (whole / "recipe.yaml").read_text()
    assert printed(call("eval", copy, "--seed", 2, "--json"))["seeds"].keys() == {"2"}
    passed(call("compare", copy, whole, "--resamples", 1000))


def test_a_run_to_which_seeds_are_being_added_is_not_finished_and_goes_on(copy, monkeypatch):
    monkeypatch.setattr("varkit.cli.training_display.finish", lambda *args, **options: None)
    passed(call("resume", copy, "train.seeds=[0, 1]"))
    assert not (copy / "results.json").exists()
    # As if the power had gone before the recipe was written.
    text = (copy / "recipe.yaml").read_text()
    (copy / "recipe.yaml").write_text(text.replace("seeds: [0, 1]", "seeds: [0]"))
    assert open_run(copy).recipe.train.seeds == (0, 1)
    monkeypatch.undo()
    assert printed(call("resume", copy, "--json"))["seeds"].keys() == {"0", "1"}


def test_nothing_else_can_be_changed_in_a_run(copy, recipe):
    before = contents(copy)
    result = call("resume", copy, "train.epochs=3")
    assert "train.epochs: cannot change in a run; only train.seeds" in failed(result, 2)
    result = call("resume", copy, "train.seeds=[1]")
    assert f"leaves out [0], which {copy} has trained" in failed(result, 2)
    assert "seeds can only be added" in hint(result)
    manifest = recipe.parent / "manifest.csv"
    text = manifest.read_text()
    manifest.write_text(text.replace("test1,test,", "test9,test,"))
    result = call("resume", copy, "train.seeds=[0, 1]")
    manifest.write_text(text)
    assert f"the data of {copy} have changed since it began" in failed(result)
    assert contents(copy) == before


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["train.lr_factors={video.gone: 0.1}"], "no trainable parameter is named 'video.gone'"),
        (["train.accumulate=4", "train.batch_size=8"], "make fewer than 4 micro-batches of 2"),
        (
            [
                "detector.pretrain_epochs=1",
                "video={use: mean_pool}",
                "query={use: mean_pool}",
                "alignments.cls=null",
            ],
            "no encoder has a detector",
        ),
    ],
)
def test_what_a_training_would_refuse_is_refused_before_features_are_read(
    recipe, tmp_path, monkeypatch, changes, said
):
    def read_nothing(*_: object) -> str:
        raise AssertionError("a feature is read")

    monkeypatch.setattr("varkit_datasets.stored.fingerprint", read_nothing)
    assert said in failed(run(recipe, *changes, out=tmp_path), 2)
    assert said in failed(call("validate", recipe, *changes, "--build"), 2)
    assert not list(tmp_path.iterdir())


def test_a_seed_that_a_run_has_not_is_refused_before_an_earlier_measurement_goes(copy, tmp_path):
    passed(call("eval", copy, "--out", tmp_path / "out"))
    assert "has no seed 5" in failed(call("eval", copy, "--seed", 5, "--out", tmp_path / "out"))
    assert (tmp_path / "out/run.json").exists()
