"""``varkit data import``: what it prints can be run, and its folder is whole or not there."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from varkit_datasets.folder import Folder
from varkit_datasets.importing import streams

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.importing import (
    VIDEOS,
    imported,
    opened,
    write_json,
    write_lists,
    write_npz,
    write_table,
)
from varkit.blocks.tiny_language import write_tiny_language
from varkit.errors import DataError, WriteError

RECIPE = """
version: 1
model: {dim: 8, experts: [object]}
video: {use: mean_pool}
query: {use: bert, model: language, finetune: false}
alignments: {avg: {use: avg, weight: 1.0}}
objective: {use: margin_ranking}
train: {epochs: 1, batch_size: 4, validation: 0.25}
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Return the arguments of a healthy import."""
    monkeypatch.chdir(tmp_path)
    captions, features = write_table(tmp_path), write_npz(tmp_path / "f.npz")
    return ["data", "import", "table", captions, "--features", f"object={features}", "--out", "my"]


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_it_prints_verifies_and_trains(files, tmp_path):
    said = passed(call(*files)).stdout
    counts, _, rest = said.partition("\nin a recipe:\n")
    section, _, command = rest.partition("\nnext:\n")
    assert [line.split() for line in counts.splitlines() if line.strip()][1:3] == [
        ["train", "6", "12"],
        ["test", "2", "4"],
    ]
    words = shlex.split(command)
    assert words[:4] == ["varkit", "data", "verify", "folder"]
    assert "in order" in passed(call(*words[1:])).stdout
    write_tiny_language(tmp_path / "language")
    (tmp_path / "mine.yaml").write_text(section + RECIPE)
    assert "Retrieval on my" in passed(call("run", "mine.yaml", "--threads", 1)).stdout


def test_json_has_the_section_and_the_record_has_the_files(files, tmp_path):
    made = printed(call(*files, "--json", "--missing", "leave-out"))
    assert made["data"] == {
        "use": "folder",
        "root": "my",
        "manifest": "manifest.jsonl",
        "streams": {"object": "object_features"},
    }
    assert made["left_out"] == {}
    record = json.loads((tmp_path / "my/import.json").read_text())
    assert record["layout"] == "table"
    assert record["counts"] == made["counts"]
    (caption,) = record["captions"]
    assert len(caption["sha256"]) == 64
    assert record["features"] == {"object": str(tmp_path / "f.npz")}


def test_all_options_reach_the_import(files, tmp_path):
    rows = [{"v": v, "s": "a man", "split": "dev"} for v in VIDEOS]
    file = write_json(tmp_path / "a=b.json", rows)
    np.savez("c.npz", **{v: np.ones((3, 2, 4), np.float32) for v in VIDEOS[1:]})
    lists = [
        text for split, path in write_lists(tmp_path) for text in ("--list", f"{split}={path}")
    ]
    made = printed(
        call(
            *("data", "import", "table", "a=b.json", "--columns", "video=v, caption=s"),
            *("--features", "rgb=c.npz", "--crops-axis", 1, "--centre", 1, *lists),
            *("--split", "Dev=test", "--missing", "leave-out", "--out", "my", "--json"),
        )
    )
    assert made["left_out"] == {"video0": "no features of stream 'rgb'"}
    assert made["counts"]["train"] == {"videos": 5, "captions": 5}
    dataset = Folder(**{key: value for key, value in made["data"].items() if key != "use"})
    assert dataset.open("video1").crops == 2
    assert file.exists()


def test_a_folder_is_replaced_on_request_and_only_if_an_import_wrote_it(files, tmp_path):
    passed(call(*files))
    before = contents(tmp_path / "my")
    result = call(*files)
    assert "my has an import already" in failed(result)
    assert hint(result) == "--force replaces it"
    assert contents(tmp_path / "my") == before
    passed(call(*files, "--force"))
    assert contents(tmp_path / "my") == before
    (tmp_path / "own").mkdir()
    passed(call(*files[:-1], "own"))  # it was empty
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.tex").write_text("years")
    for out in ("other", "mine.txt"):
        (tmp_path / "mine.txt").write_text("x")
        assert call(*files[:-1], out, "--force").exit_code != 0
    assert (tmp_path / "other/thesis.tex").read_text() == "years"
    assert not list(tmp_path.glob(".*.part"))


@pytest.mark.parametrize(
    ("change", "error"),
    [(OSError(28, "No space left on device"), WriteError), (KeyboardInterrupt, KeyboardInterrupt)],
)
def test_an_import_that_ends_half_way_leaves_what_was_there(
    change, error, files, tmp_path, monkeypatch
):
    passed(call(*files))
    before = contents(tmp_path / "my")
    saved = []

    def save(path, array, **options):
        saved.append(path)
        if len(saved) == 4:
            raise change
        path.write_bytes(b"")

    monkeypatch.setattr(streams.np, "save", save)
    features = str(tmp_path / "f.npz")
    for out in ("my", "new"):
        saved.clear()
        with pytest.raises(error):
            imported("table", [tmp_path / "table.json"], features, tmp_path / out, force=True)
    assert contents(tmp_path / "my") == before
    assert not (tmp_path / "new").exists()
    assert not list(tmp_path.glob(".*.part"))


def test_a_folder_that_cannot_be_replaced_stays(files, tmp_path, monkeypatch):
    passed(call(*files))
    before = contents(tmp_path / "my")
    rename = Path.rename

    def refuse(path, target):
        if path.suffix == ".part" and ".old" not in path.suffixes and target.name == "my":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    assert call(*files, "--force").exit_code != 0
    assert contents(tmp_path / "my") == before
    assert not list(tmp_path.glob(".*.part"))


def test_faulty_captions_are_listed_before_features_are_read(files, tmp_path):
    write_json(
        tmp_path / "table.json", [{"video": 1.5, "split": "x"}, {"video": "a", "caption": "nan"}]
    )
    result = call(*files)
    assert "import of table: 2 faults" in failed(result)
    assert "  table.json, row 1: must be text; not 1.5" in result.stderr
    assert "  table.json, row 2: 'nan' is how programs write an empty cell" in result.stderr
    assert not (tmp_path / "my").exists()


def test_no_video_in_common_is_said_with_names(files, tmp_path):
    write_npz(tmp_path / "f.npz", [f"clip{i}" for i in range(3)])
    for missing in ("refuse", "leave-out"):
        result = call(*files, "--missing", missing)
        assert "lacks 8 of 8 videos" in result.stderr
        assert "'video0', 'video1'" in result.stderr
        assert "it has 'clip0', 'clip1', 'clip2'" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["msrvt", "a.json"], "no layout 'msrvt'. Did you mean 'msrvtt'? Known: msrvtt, vatex"),
        (["vatex"], "layout vatex needs at least one file of captions"),
        (["features", "a.json"], "layout features reads no captions"),
        (["vatex", "a", "--queries", "paragraph"], "layout vatex has no option --queries; its op"),
        (["vatex", "a", "--features", "a/b=x"], "stream 'a/b' must be a name"),
        (["vatex", "a.json"], "there is no file a.json"),
        (
            ["table", "t.csv", "--columns", "vidoe=x"],
            "--columns has no 'vidoe'. Did you mean 'video'",
        ),
    ],
)
def test_a_wrong_request_says_what_is_allowed(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.csv").write_text("video,caption\na,b")
    given = [] if "--features" in arguments else ["--features", "object=f.npz"]
    assert message in call("data", "import", *arguments, *given, "--out", "my").stderr
    assert list(tmp_path.iterdir()) == [tmp_path / "t.csv"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--list", "trian=a"], "'trian' is not a split. Did you mean 'train'?"),
        (["--split", "dev=tset"], "'tset' is not a split. Did you mean 'test'?"),
        (["--features", "f.npz"], "'f.npz' is not KEY=VALUE"),
        (["--features", "a=b", "--features", "a=c"], "'a' is given twice"),
    ],
)
def test_a_wrong_option_is_an_error_of_the_command_line(arguments, message, files):
    result = call(*files, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_without_features_the_option_is_named(tmp_path):
    with pytest.raises(DataError, match="no features are named") as caught:
        imported("table", [write_table(tmp_path)], {}, tmp_path / "out")
    assert "--features object=PATH" in caught.value.hint


def test_names_of_layouts_are_completed(files):
    from varkit_datasets.commands import import_

    (layout, *_) = import_.params
    completions = layout.shell_complete(None, "m")
    assert [item.value for item in completions] == ["msrvtt"]


def test_an_import_is_the_same_whenever_it_is_made(files, tmp_path):
    features = str(tmp_path / "f.npz")
    prints = set()
    for out in ("a", "b"):
        result = imported("table", [tmp_path / "table.json"], features, tmp_path / out)
        prints.add(opened(result).fingerprint())
    assert len(prints) == 1
