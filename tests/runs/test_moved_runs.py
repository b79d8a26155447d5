"""A run opened without its data, or from another folder than the one in which it began."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import varkit
from tests.support.calls import call, failed, hint, passed, printed
from tests.support.tiny_runs import make_data, read, run, run_in
from varkit.errors import DataError
from varkit.runs.find import trained_runs


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Return a project: data, a recipe with relative paths and its plugin file, and a run."""
    project = tmp_path_factory.mktemp("made") / "project"
    recipe = make_data(project / "data")
    recipe.rename(project / "tiny.yaml")
    (project / "data/parts.py").rename(project / "parts.py")
    recipe = project / "tiny.yaml"
    recipe.write_text(recipe.read_text().replace(f"root: {project / 'data'}", "root: data"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project)
        passed(run(Path("tiny.yaml"), out=Path("runs")))
    return project


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    """Return the project, moved; the working directory is another one."""
    (tmp_path / "away").mkdir()
    monkeypatch.chdir(tmp_path / "away")
    moved = Path(shutil.copytree(made, tmp_path / "moved"))
    made.rename(made.with_name("gone"))
    yield moved
    made.with_name("gone").rename(made)


def figures(*arguments: object):
    return printed(call("eval", *arguments, "--json"))["seeds"]["0"]["best"]


def expected(folder: Path):
    return read(folder / "results.json")["seeds"]["0"]["best"]


def delete(project: Path, split: str) -> None:
    for file in (project / "data").glob(f"{split}*.npy"):
        file.unlink()


def test_a_project_can_be_moved_as_a_whole(project):
    folder = run_in(project / "runs")
    assert figures(folder) == expected(folder)
    passed(call("resume", folder))
    assert "root: data" in passed(call("show", folder)).stdout


def test_a_run_can_be_copied_without_its_project_and_plugin_files_may_go(made, tmp_path):
    folder = Path(shutil.copytree(run_in(made / "runs"), tmp_path / "alone"))
    assert figures(folder) == expected(folder)
    parts = made / "parts.py"
    parts.rename(made / "kept.py")
    try:
        assert figures(folder) == expected(folder)
    finally:
        (made / "kept.py").rename(parts)


def test_a_path_on_the_command_line_counts_from_the_working_directory(project):
    folder = run_in(project / "runs")
    other = Path(shutil.copytree(project / "data", Path("other")))
    shutil.copytree(project / "data", project / "other")
    np.save(other / "test1.npy", np.full((30, 6), 7.0, dtype="f4"))
    passed(call("eval", folder, "data.root=other", "--out", "out"))
    assert read(Path("out/run.json"))["measured_from"]["data_differs"] is True


def test_without_training_data_everything_that_needs_none_works(project):
    folder = run_in(project / "runs")
    delete(project, "train")
    assert figures(folder) == expected(folder)
    assert figures(folder, "eval.ties=optimistic")["tie_rule"] == "optimistic"
    assert figures(folder, f"data.root={project / 'data'}") == expected(folder)
    passed(call("eval", folder, "--out", "again"))
    assert read(Path("again/run.json"))["measured_from"]["data_differs"] is False
    refused = failed(call("eval", folder, "--split", "train"))
    assert "the train split of data is not here as the run read it" in refused
    assert "has 2 faults" in refused
    passed(call("embeddings", "export", folder, "e.npz"))
    model = varkit.load(folder)
    assert len(model.encode_videos()) == 2
    with pytest.raises(DataError, match="train split of data is not here"):
        model.encode_videos(split="train")


def test_training_videos_that_left_the_manifest_do_not_matter_either(project):
    folder = run_in(project / "runs")
    manifest = project / "data/manifest.csv"
    rows = manifest.read_text().splitlines()
    manifest.write_text("\n".join(row for row in rows if "train1," not in row))
    assert figures(folder) == expected(folder)


def test_other_test_data_are_refused_whatever_became_of_the_rest(project):
    folder = run_in(project / "runs")
    np.save(project / "data/test0.npy", np.ones((5, 6), dtype="f4"))
    assert "belongs to another data" in failed(call("eval", folder))
    delete(project, "train")
    assert "has 2 faults" in failed(call("eval", folder))


def test_without_any_data_a_model_opens_and_pages_and_recipes_are_shown(project):
    folder = run_in(project / "runs")
    shutil.rmtree(project / "data")
    assert "missing here: there is no file" in failed(call("eval", folder))
    page = (folder / "report.html").read_bytes()
    passed(call("report", folder))
    assert (folder / "report.html").read_bytes() == page
    shown = printed(call("show", folder, "--json"))
    assert (shown["name"], shown["digest"]) == ("tiny", read(folder / "run.json")["digest"])
    model = varkit.load(folder)
    with pytest.raises(DataError, match=r"test split of data is not here .* no file"):
        model.encode_videos()


@pytest.fixture
def two(made, tmp_path, monkeypatch) -> tuple[Path, Path]:
    """Return an older and a newer run below a working directory; the newer is not finished."""
    monkeypatch.chdir(tmp_path)
    old, new = (Path("runs/tiny") / name for name in ("20260101-000000-ffffff", "renamed"))
    for folder in (old, new):
        shutil.copytree(run_in(made / "runs"), folder)
    facts = (old / "run.json").read_text()
    started = f'"started": "{read(old / "run.json")["started"]}"'
    (old / "run.json").write_text(facts.replace(started, '"started": "2026-01-01T00:00:00+00:00"'))
    for file in ("results.json", "seed-0/results.json"):
        (new / file).unlink()
    return old, new


@pytest.mark.parametrize("name", ["runs/tiny/latest", "tiny/latest", "latest", "tiny/renamed"])
def test_the_newest_run_of_a_recipe_is_the_latest_for_every_verb(two, name, monkeypatch):
    _, new = two
    page = call("report", name)
    assert passed(page).stdout.strip() == str(new / "report.html")
    assert figures(name) == expected(two[0])
    assert passed(call("show", name)).stdout.startswith("version: 1")
    passed(call("embeddings", "export", name, "e.npz"))
    passed(call("embeddings", "fuse", name, "e.npz", "--name", "fused"))
    (source, _) = read(next(Path("runs/fused").glob("*/run.json")))["made_from"]
    assert source["run"] == str(new)
    shutil.rmtree("runs/fused")
    assert varkit.load(name).run.folder == new
    passed(call("resume", name))
    assert read(new / "results.json") == read(two[0] / "results.json")
    monkeypatch.chdir("runs")
    assert figures(name.removeprefix("runs/")) == expected(Path("tiny/renamed"))


def test_what_is_no_run_is_told_with_the_nearest(two, tmp_path):
    old, _ = two
    assert f"Did you mean '{old}'?" in failed(call("eval", str(old).replace("ffffff", "fffffe")))
    assert "there is no run tinny/latest. Did you mean 'runs/tiny/latest'?" in failed(
        call("eval", "tinny/latest")
    )
    result = call("report", "runs/tiny")
    assert "runs/tiny is not a run: it has no run.json." in failed(result)
    assert "runs/<recipe>/latest" in hint(result)
    shutil.rmtree("runs")
    result = call("resume", "latest")
    assert failed(result).endswith("there is no run latest.")
    assert hint(result).startswith("varkit run RECIPE")


def test_a_measurement_of_another_run_and_a_damaged_one_are_not_the_latest(two):
    _, new = two
    passed(call("eval", "latest", "--out", "runs/measured"))
    damaged = Path("runs/tiny/20270101-000000-aaaaaa")
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    assert trained_runs(Path("runs"))[-1] == new
