"""The manifest of a folder: every format says the same, and nothing is guessed."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from varkit_datasets.folder import Folder

from varkit.errors import DataError
from varkit.testing.datasets import check_dataset

FORMATS = ("csv", "jsonl", "json", "parquet")


def clips(count=8):
    return np.random.default_rng(count).standard_normal((count, 4)).astype(np.float32)


def rows_of(root, *changes, length=8):
    """Rows of two training videos and a test video, each with its file; ``changes`` by row."""
    rows = []
    for i, split in enumerate(("train", "train", "test")):
        np.save(root / f"v{i}.npy", clips(length))
        rows.append({"video": f"v{i}", "split": split, "caption": f"text {i}", "rgb": f"v{i}.npy"})
    for i, change in enumerate(changes):
        rows[i] |= change
    return rows


def write(root, rows, kind="csv"):
    path = root / f"manifest.{kind}"
    columns = list(dict.fromkeys(column for row in rows for column in row))
    if kind == "csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)
    elif kind == "jsonl":
        path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    elif kind == "json":
        path.write_text(json.dumps(rows), encoding="utf-8")
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow = pytest.importorskip("pyarrow")
        parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    return path


def opened(root, kind="csv", **options):
    return Folder(
        root=str(root), manifest=f"manifest.{kind}", **({"streams": {"object": "rgb"}} | options)
    )


def refused(root, rows, kind="csv", **options):
    write(root, rows, kind)
    with pytest.raises(DataError) as caught:
        opened(root, kind, **options)
    return str(caught.value)


def captions(folder, split="test"):
    return [[folder.query(q) for q in item.queries] for item in folder.split(split)]


def survey(root, **options):
    return Folder.survey(root=str(root), **({"streams": {"object": "rgb"}} | options))


@pytest.mark.parametrize("kind", FORMATS[1:])
def test_a_list_of_captions_is_one_query_an_item(tmp_path, kind):
    rows = rows_of(tmp_path)
    for row in rows:
        row["caption"] = [row["caption"], " another "]
    write(tmp_path, rows, kind)
    folder = opened(tmp_path, kind)
    check_dataset(folder)
    assert captions(folder) == [["text 2", "another"]]


@pytest.mark.parametrize(
    "cell",
    [{"en": "a", "zh": "b"}, True, 7, 1.5, ["a", None], ["a", ""], ["a", 3], [["a"]], "a\x1b[31m"],
)  # fmt: skip
def test_a_caption_that_is_not_text_is_an_error_with_its_place(tmp_path, cell):
    said = refused(tmp_path, rows_of(tmp_path, {"caption": cell}), "jsonl")
    assert "\n  manifest.jsonl, row 1, column 'caption': " in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    "cell",
    ["['a', 'b']", "array(['a'], dtype=object)",
     '["a", "b"]', "['a' 'b']", "[]", "{'en': 'a'}", "('a', 'b')", "nan", "None",
     "  ", "\u200b", "\ufeff \u200b"],
)  # fmt: skip
def test_text_that_programs_made_of_something_else_is_no_caption(tmp_path, kind, cell):
    said = refused(tmp_path, rows_of(tmp_path, {}, {"caption": cell}), kind)
    row = 3 if kind == "csv" else 2
    assert f"manifest.{kind}, row {row}, column 'caption': {cell!r} is " in said


def test_brackets_and_quotes_within_a_caption_are_its_own(tmp_path):
    texts = ["[music] a man runs", "(a man says 'no')", 'a "quoted" word', "a, b; c | d"]
    rows = rows_of(tmp_path)
    rows[2]["caption"] = texts[0]
    write(tmp_path, rows + [{"video": "v2", "caption": text} for text in texts[1:]])
    assert captions(opened(tmp_path)) == [texts]


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(
    ("cells", "label"),
    [
        (("1", "1.0", "true", "True", 1, 1.0, True, " 1 "), 1),
        (("0", "0.0", "false", "False", 0, 0.0, False), 0),
        (("", None, float("nan")), None),
    ],
)
def test_labels_are_the_same_in_all_formats(tmp_path, kind, cells, label):
    for cell in cells:
        if kind == "csv" and cell != cell:
            continue  # as CSV it is the text nan
        write(tmp_path, rows_of(tmp_path, *[{"label": cell}] * 3), kind)
        assert {item.label for item in opened(tmp_path, kind).split("train")} == {label}, cell


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("cell", ["0.5", "nan", "yes", "2", "-1", 0.5, 2])
def test_other_labels_are_refused_with_those_that_are_allowed(tmp_path, kind, cell):
    said = refused(tmp_path, rows_of(tmp_path, *[{"label": cell}] * 3), kind)
    assert "column 'label': " in said
    assert "allowed: 0, 0.0 or false (normal), 1, 1.0 or true (anomalous), empty" in said


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ({"video": ["v0"]}, "column 'video': must be text; not ['v0']"),
        ({"video": 1.0}, "column 'video': must be text; not 1.0"),
        ({"video": "v\u200b0"}, r"column 'video': 'v\u200b0' holds an invisible character"),
        ({"rgb": 3}, "column 'rgb': must be text; not 3"),
        ({"split": True}, "column 'split': must be text; not True"),
        ({"class": {"a": 1}}, "column 'class': must be text; not {'a': 1}"),
        ({"anomaly": 12}, "column 'anomaly': 12 must be seconds"),
        ({"anomaly": [[1, 2, 3]]}, "column 'anomaly': [[1, 2, 3]] must be seconds"),
        ({"anomaly": [[2, 1]]}, "column 'anomaly': [[2, 1]] must be seconds"),
        ({"duration": "5 min"}, "column 'duration': must be a number; not '5 min'"),
        ({"caption": "\ud800"}, r"column 'caption': '\ud800' holds the control character"),
    ],
)
def test_cells_of_another_type_are_named(tmp_path, cell, said):
    assert said in refused(tmp_path, rows_of(tmp_path, {}, cell), "jsonl")


def test_lists_of_classes_and_of_pairs_are_read_like_text(tmp_path):
    lists = {"label": 1, "class": ["Riot", "Abuse"], "anomaly": [[2, 3], [1, 1.5]]}
    texts = {"label": 1, "class": "Riot; Abuse", "anomaly": "2-3; 1-1.5"}
    write(tmp_path, rows_of(tmp_path, lists), "jsonl")
    write(tmp_path, rows_of(tmp_path, texts))
    one, other = opened(tmp_path, "jsonl"), opened(tmp_path)
    assert one.split("train") == other.split("train")
    assert one.truth("v0").tolist() == other.truth("v0").tolist()


def test_a_json_file_may_have_videos_as_keys(tmp_path):
    rows = rows_of(tmp_path)
    write(tmp_path, rows)
    by_video = {row.pop("video"): row for row in rows}
    (tmp_path / "manifest.json").write_text(json.dumps(by_video), encoding="utf-8")
    assert opened(tmp_path, "json").split("train") == opened(tmp_path).split("train")


def test_two_columns_of_one_name_in_parquet_are_named(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    pyarrow = pytest.importorskip("pyarrow")
    table = pyarrow.table([["v0"], ["a"], ["b"]], names=["video", "caption", "caption"])
    parquet.write_table(table, tmp_path / "manifest.parquet")
    with pytest.raises(
        DataError, match=r"manifest.parquet cannot be read: column 'caption' occurs"
    ):
        opened(tmp_path, "parquet")


def test_invisible_characters_in_captions_are_a_remark(tmp_path):
    rows = rows_of(tmp_path, {"caption": "a\u200bb"})
    write(tmp_path, rows)
    assert survey(tmp_path).remarks == (
        "manifest.csv: invisible characters in captions of rows: 2",
    )
    with pytest.warns(UserWarning, match="invisible characters"):
        assert captions(opened(tmp_path), "train")[0] == ["a\u200bb"]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_header_says_the_delimiter(tmp_path, sign, end):
    rows = rows_of(tmp_path)
    lines = [sign.join(rows[0]), *(sign.join(row.values()) for row in rows)]
    text = "\ufeff" + end.join(lines).replace("text 2", f'"a{sign}b, c; d"')
    (tmp_path / "manifest.csv").write_bytes(text.encode())
    assert captions(opened(tmp_path)) == [[f"a{sign}b, c; d"]]
    name = {",": "comma", ";": "semicolon", "\t": "tab", "|": "pipe"}[sign]
    assert captions(opened(tmp_path, delimiter=name)) == captions(opened(tmp_path))


def test_spaces_after_delimiters_do_not_count(tmp_path):
    rows_of(tmp_path)
    text = 'video, split, caption, rgb\nv0, train, "a, b", v0.npy\nv1, test, c, v1.npy\n'
    (tmp_path / "manifest.csv").write_text(text, encoding="utf-8")
    assert captions(opened(tmp_path), "train") == [["a, b"]]


@pytest.mark.parametrize("kind", FORMATS)
def test_columns_have_the_names_of_the_data_set(tmp_path, kind):
    own = {"video": "video_id", "caption": "sentence", "label": "is_anomaly", "class": "category",
           "anomaly": "when", "duration": "secs", "split": "part"}  # fmt: skip
    extra = {"label": 1, "class": "Riot", "anomaly": "1-2", "duration": 16}
    rows = rows_of(tmp_path, *[extra] * 3)
    write(tmp_path, rows)
    plain = opened(tmp_path)
    write(tmp_path, [{own.get(c, c): cell for c, cell in row.items()} for row in rows], kind)
    mapped = opened(tmp_path, kind, columns=own)
    assert mapped.fingerprint() == plain.fingerprint()
    assert mapped.split("test") == plain.split("test")


def test_a_column_that_means_something_else_is_not_read(tmp_path):
    write(tmp_path, rows_of(tmp_path, {"label": "cat", "fps": "?"}))
    folder = opened(tmp_path, columns={"label": None, "fps": None})
    assert folder.split("train")[0].label is None


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"cpation": "x"}, "option 'columns' has no key 'cpation'. Did you mean 'caption'?"),
        ({"caption": "sentance"}, "has no column 'sentance'. Did you mean 'sentence'?"),
        ({"caption": "sentence", "label": "labl"}, "has no column 'labl'"),
        ({"caption": None}, "has no column 'null'. It has: 'video', 'split', 'rgb', 'sentence'."),
        ({}, "option 'columns' names the manifest's own, as in {caption: NAME}"),
    ],
)
def test_a_wrong_name_of_a_column_gets_the_nearest(tmp_path, columns, said):
    rows = rows_of(tmp_path)
    for row in rows:
        row["sentence"] = row.pop("caption")
    assert said in refused(tmp_path, rows, columns=columns)


def test_videos_without_captions_are_candidates(tmp_path):
    rows = rows_of(tmp_path)
    np.save(tmp_path / "v3.npy", clips(5))
    rows.append({"video": "v3", "split": "test", "caption": "", "rgb": "v3.npy"})
    write(tmp_path, rows)
    folder = opened(tmp_path)
    check_dataset(folder)
    assert [item.queries for item in folder.split("test")] == [("v2#0",), ()]
    said = refused(tmp_path, [*rows, {"video": "v3", "caption": ""}])
    assert "row 6, column 'caption' is empty" in said
    rows[3]["split"] = "train"
    assert "row 5, video 'v3': column 'caption' is empty; only videos of" in refused(tmp_path, rows)


def test_videos_whose_files_are_missing_are_refused_or_left_out_by_name(tmp_path):
    rows = rows_of(tmp_path)
    rows += [rows[0] | {"video": f"w{i}", "rgb": f"w{i}.npy"} for i in range(2)]
    said = refused(tmp_path, rows)
    assert "column 'rgb': the feature files of 2 of 5 videos are missing: 'w0', 'w1'" in said
    assert "missing_files=leave_out" in said
    left = "left out 2 of 5 videos, whose feature files are missing: 'w0', 'w1'"
    assert survey(tmp_path, missing_files="leave_out").remarks == (left,)
    with pytest.warns(UserWarning, match="left out 2 of 5 videos"):
        folder = opened(tmp_path, missing_files="leave_out")
    assert [item.video for item in folder.split("train")] == ["v0", "v1"]
    for row in rows:
        row["rgb"] = "gone.npy"
    assert "5 of 5 videos are missing" in refused(tmp_path, rows, missing_files="leave_out")


@pytest.mark.parametrize(
    "cells",
    [{"duration": 300}, {"frames": 7500, "fps": 25}, {"duration": 300, "frames": 7499, "fps": 25}],
)
def test_segments_share_the_duration_of_their_video(tmp_path, cells):
    rows = rows_of(tmp_path, {"anomaly": "10-12", "label": 1} | cells, length=32)
    write(tmp_path, rows)
    folder = opened(tmp_path)
    assert np.flatnonzero(folder.truth("v0")).tolist() == [1]
    assert folder.open("v0").times[1] == pytest.approx([9.375, 18.75], rel=1e-3)
    assert folder.open("v0").times[-1, 1] == pytest.approx(300, rel=1e-3)
    means = folder.open("v0").means(8)
    assert means.times[0] == pytest.approx([0, 37.5], rel=1e-3)
    assert folder.open("v1").times[1] == pytest.approx([16 / 30, 32 / 30])
    write(tmp_path, rows_of(tmp_path, {"anomaly": "10-12", "label": 1}, length=32))
    assert opened(tmp_path).fingerprint() != folder.fingerprint()


def test_a_sound_is_timed_like_its_video(tmp_path):
    rows = rows_of(tmp_path, *[{"duration": 80, "audio": "v1.npy"}] * 3)
    write(tmp_path, rows)
    same, own = (
        opened(tmp_path, query="audio", seconds_per_sound_clip=seconds) for seconds in (None, 2)
    )
    assert same.query("v0#0").times[0].tolist() == [0, 10]
    assert own.query("v0#0").times[0].tolist() == [0, 2]


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"duration": 0}, "column 'duration': must be above 0; not '0'"),
        ({"duration": -3}, "column 'duration': must be above 0"),
        ({"duration": "nan"}, "column 'duration': must be a number; not 'nan'"),
        ({"duration": "inf"}, "column 'duration': must be a number"),
        ({"duration": 1e300}, "a video of 1e+300 s cannot be; 0.001 to 1e+07 s are allowed"),
        ({"frames": 1e308, "fps": 1e-300}, "a video of inf s cannot be"),
        ({"fps": 25}, "frames and fps together give the duration"),
        ({"frames": 25}, "frames and fps together give the duration"),
        ({"frames": 100, "fps": 0}, "column 'fps': must be above 0"),
        ({"duration": 300, "frames": 9000, "fps": 25}, "300 s contradicts 9000 frames at 25"),
        ({"duration": 11, "anomaly": "10-12"}, "10-12 s ends after the video, which lasts 11 s"),
    ],
)
def test_durations_that_cannot_be_are_named_with_their_row(tmp_path, cells, said):
    message = refused(tmp_path, rows_of(tmp_path, {}, {"label": 1} | cells, length=32))
    assert "manifest.csv, row 3, " in message
    assert said in message


def test_later_rows_must_agree_on_the_duration(tmp_path):
    rows = rows_of(tmp_path, {"duration": 300})
    agreeing = {"video": "v0", "caption": "b", "frames": 9000, "fps": 30}
    write(tmp_path, [*rows, agreeing])
    assert opened(tmp_path).open("v0").times[-1, 1] == 300
    said = refused(tmp_path, [*rows, agreeing | {"frames": 6000}])
    assert "column 'duration' is 300.0 before and 200.0 here" in said
