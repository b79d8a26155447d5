"""Faults of data sets: each alone, all at once, and in the words in which training refuses them."""

from __future__ import annotations

import os
import shutil
import tracemalloc

import numpy as np
import pytest
from varkit_datasets.folder import Folder

from tests.support.calls import call, failed
from tests.support.faulty_data import change, make, spoil, write
from tests.support.tiny_runs import make_data, run
from tests.support.toys import clips_of
from varkit.data.in_memory import InMemory
from varkit.data.inspect.stats import statistics
from varkit.data.inspect.verify import survey, verify
from varkit.data.positives import positives_of
from varkit.errors import DataError
from varkit.interfaces import Item, Sequences

STREAMS = {"object": "rgb", "motion": "flow"}


def options(root, **more):
    return {"root": str(root), "streams": STREAMS, "seconds_per_clip": 0.5} | more


def checked(root, *, quick=False, workers=0, **more):
    return verify(survey(Folder, options(root, **more)), quick=quick, workers=workers)


def copy_features(root, one, other):
    for stream in STREAMS.values():
        shutil.copyfile(root / f"{one}.{stream}.npy", root / f"{other}.{stream}.npy")


# What breaks a healthy folder, and the fault's group and text ({root} is the folder).
FAULTS = {
    "truncated": (
        lambda root, rows: (root / "1.rgb.npy").write_bytes((root / "1.rgb.npy").read_bytes()[:-8]),
        "features",
        "video 'v1', stream 'object': {root}/1.rgb.npy is truncated: its header promises shape "
        "(3, 21, 4)",
    ),
    "unreadable": (
        lambda root, rows: (root / "1.flow.npy").write_bytes(b"no numpy file"),
        "features",
        "video 'v1', stream 'motion': {root}/1.flow.npy does not begin like a .npy file",
    ),
    "nan": (
        lambda root, rows: change(root / "2.rgb.npy", spoil(7)),
        "features",
        "video 'v2', stream 'object': {root}/2.rgb.npy clip 7 holds NaN or infinity",
    ),
    "infinity in the last crop": (
        lambda root, rows: change(root / "3.flow.npy", spoil(11, -np.inf, crop=2)),
        "features",
        "video 'v3', stream 'motion': {root}/3.flow.npy clip 11 holds NaN or infinity",
    ),
    "width": (
        lambda root, rows: change(root / "0.rgb.npy", lambda a: a[:, :, :2]),
        "features",
        "video 'v0', stream 'object': {root}/0.rgb.npy has shape (3, 20, 2); expected (T, 4) or "
        "(crops, T, 4)",
    ),
    "empty": (
        lambda root, rows: change(root / "5.flow.npy", lambda a: a[:, :0]),
        "features",
        "video 'v5', stream 'motion': {root}/5.flow.npy is empty: shape (3, 0, 3); expected at "
        "least one clip",
    ),
    "all crops lack": (
        lambda root, rows: [
            change(root / f"4.{stream}.npy", lambda a: a[:2]) for stream in ("rgb", "flow")
        ],
        "features",
        "video 'v4' has 2 crops; most have 3",
    ),
    "crops of one stream lack": (
        lambda root, rows: change(root / "4.flow.npy", lambda a: a[:1]),
        "features",
        "video 'v4': streams differ in crops: object has 3, motion has 1",
    ),
    "lengths": (
        lambda root, rows: change(root / "4.flow.npy", lambda a: a[:, :9]),
        "streams",
        "video 'v4': streams differ by more than one clip: object has 24, motion has 9 (if they "
        "have other rates, a folder's option clips_of=STREAM resamples them)",
    ),
    "zeros": (
        lambda root, rows: change(root / "5.rgb.npy", np.zeros_like),
        "features",
        "video 'v5', stream 'object': all 25 clips are zero",
    ),
    "a frozen picture": (
        lambda root, rows: change(root / "5.rgb.npy", lambda a: a[:, :1].repeat(25, axis=1)),
        "features",
        "video 'v5', stream 'object': all 25 clips are the same",
    ),
    "an anomaly behind the end": (
        lambda root, rows: rows[3].update(anomaly="900-950"),
        "ground truth",
        "video 'v3': most of the anomaly at 900.0-950.0 s lies after the end of the clips at "
        "11.5 s",
    ),
    "a missing file": (
        lambda root, rows: (root / "2.flow.npy").unlink(),
        "files",
        "column 'flow': the feature files of 1 of 6 videos are missing: 'v2' (the first is "
        "{root}/2.flow.npy; missing_files=leave_out leaves out these videos)",
    ),
    "a faulty row": (
        lambda root, rows: rows[4].update(split="tset"),
        "files",
        "manifest.csv, row 6, column 'split': 'tset' is not one of train, val, test. Did you mean "
        "'test'?",
    ),
    "the same video in both splits": (
        lambda root, rows: copy_features(root, 0, 5),
        "leaks",
        "the same features in several splits: 'v0' (train), 'v5' (test)",
    ),
}


def test_many_videos_with_the_same_features_are_counted(tmp_path):
    rows = make(tmp_path, videos=16)
    for i, row in enumerate(rows):
        row.update(rgb="0.rgb.npy", flow="0.flow.npy", split="train" if i < 9 else "test")
    write(tmp_path, rows)
    found = checked(tmp_path)
    (fault,) = found.faults
    assert not [remark for remark in found.remarks if "features" in remark.text], "said once"
    assert fault.text == (
        "the same features in several splits: 'v0', 'v1', 'v2', 'v3', 'v4' and 4 more (train), "
        "'v9', 'v10', 'v11', 'v12', 'v13' and 2 more (test)"
    )
    assert fault.videos == (tuple(f"v{i}" for i in range(16)),)


def test_a_data_set_in_order_video_by_video(tmp_path):
    make(tmp_path)
    told = []
    found = verify(survey(Folder, options(tmp_path)), progress=lambda *now: told.append(now))
    assert told == [(i, 6) for i in range(1, 7)]
    assert found.faults == found.remarks == ()
    names = ("videos", "anomalous", "normal", "unlabelled", "queries", "truth")
    assert found.splits == {
        "train": dict(zip(names, (4, 2, 2, 0, 4, 4), strict=True)),
        "test": dict(zip(names, (2, 1, 1, 0, 2, 2), strict=True)),
    }
    assert found.fingerprint == Folder(**options(tmp_path)).fingerprint()
    assert found.size == sum(4 * np.load(file).size for file in tmp_path.glob("*.npy"))
    assert found.to_dict()["in_order"] is True


REFUSED = {"truncated", "unreadable", "nan", "width", "empty", "lengths", "a missing file"}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone_in_the_words_in_which_reading_refuses_it(tmp_path, name):
    rows = make(tmp_path)
    spoiling, group, text = FAULTS[name]
    spoiling(tmp_path, rows)
    write(tmp_path, rows)
    (fault,) = checked(tmp_path).faults
    assert (fault.group, fault.text) == (group, text.format(root=tmp_path))

    def read_all():
        folder = Folder(**options(tmp_path))
        for split in ("train", "test"):
            for item in folder.split(split):
                clips_of(folder, item.video)

    if name in REFUSED:
        with pytest.raises(DataError) as refused:
            read_all()
        assert fault.text in refused.value.line


def test_all_faults_at_once_in_one_pass(tmp_path):
    """One video a fault, since what cannot be read hides what else is wrong with the same file."""
    rows = make(tmp_path, videos=12)
    names = ("truncated", "nan", "infinity in the last crop", "width", "lengths", "zeros")
    for name in names:
        FAULTS[name][0](tmp_path, rows)
    change(tmp_path / "1.flow.npy", spoil(2))  # beside the truncated stream of the same video
    (tmp_path / "6.rgb.npy").unlink()
    rows[7]["label"] = "2"
    rows[9]["anomaly"] = "900-950"
    copy_features(tmp_path, 8, 11)
    write(tmp_path, rows)
    for workers in (0, 2):
        texts = [fault.text for fault in checked(tmp_path, workers=workers).faults]
        for name in names:
            assert FAULTS[name][2].format(root=tmp_path) in texts
        nan = f"video 'v1', stream 'motion': {tmp_path}/1.flow.npy clip 2 holds NaN or infinity"
        assert nan in texts
        assert any(f"are missing: 'v6' (the first is {tmp_path}/6.rgb.npy;" in t for t in texts)
        said = "manifest.csv, row 9, column 'label': '2' is not a label"
        assert any(text.startswith(said) for text in texts)
        assert any(t.startswith("video 'v9': most of the anomaly at 900.0-950.0 s") for t in texts)
        assert "the same features in several splits: 'v8' (train), 'v11' (test)" in texts
        assert len(texts) == len(names) + 5


@pytest.mark.parametrize(
    "spoiling",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-8]),
        lambda file: np.save(file, np.full((20, 6), np.nan, np.float32)),
        lambda file: np.save(file, np.zeros((20, 5), np.float32)),
        lambda file: file.unlink(),
    ],
    ids=["truncated", "nan", "width", "missing"],
)
def test_the_words_are_those_of_training(tmp_path, spoiling):
    recipe = make_data(tmp_path / "data")
    spoiling(recipe.parent / "train2.npy")
    refused = run(recipe)
    failed(refused)
    verified = call("data", "verify", recipe)
    assert verified.exit_code == 3
    (fault,) = (line.strip() for line in verified.stdout.splitlines() if "'train2'" in line)
    assert fault in refused.stderr


def test_headers_alone_show_what_headers_can(tmp_path):
    rows = make(tmp_path)
    for name in ("truncated", "nan", "width", "lengths", "zeros"):
        FAULTS[name][0](tmp_path, rows)
    found = checked(tmp_path, quick=True)
    shown = {FAULTS[name][2].format(root=tmp_path) for name in ("truncated", "width", "lengths")}
    assert {fault.text for fault in found.faults} == shown
    assert (found.size, found.quick) == (0, True)


def test_a_manifest_that_cannot_be_read_is_the_only_fault(tmp_path):
    (tmp_path / "manifest.csv").write_text("video,split\na,train\n")
    found = checked(tmp_path)
    assert [fault.group for fault in found.faults] == ["files"]
    assert "has no column 'caption', 'rgb', 'flow'" in found.faults[0].text
    assert found.fingerprint is None
    assert found.splits == {}


def test_a_split_that_is_absent(tmp_path):
    rows = make(tmp_path)
    write(tmp_path, [row | {"split": "train"} for row in rows])
    (fault,) = checked(tmp_path).faults
    assert (fault.group, fault.text) == ("splits", f"{tmp_path} has no split 'test'; it has train")


def remarks(found):
    assert found.faults == ()
    return {(remark.group, remark.text): remark.videos for remark in found.remarks}


def test_short_videos_are_remarked_upon(tmp_path):
    rows = make(tmp_path)
    for i, length in ((0, 1), (1, 15), (2, 16)):
        for stream in ("rgb", "flow"):
            change(tmp_path / f"{i}.{stream}.npy", lambda a, n=length: a[:, :n])
    rows[1]["anomaly"] = "1-2"
    write(tmp_path, rows)
    assert remarks(checked(tmp_path)) == {
        ("features", "videos of fewer than 16 clips: 2 (v0, v1)"): (("v0",), ("v1",)),
        ("features", "videos of a single clip: 1 (v0)"): (("v0",),),
    }


def test_equal_videos_and_captions_within_a_split_and_across(tmp_path):
    rows = make(tmp_path)
    copy_features(tmp_path, 1, 3)
    rows[0]["caption"] = "Many people walk along a busy street in the rain at night."
    rows[2]["caption"] = "many people walk along a  busy street in the rain at night"
    rows[5]["caption"] = "Many people walk along a busy street in the rain today."
    write(tmp_path, rows)
    assert remarks(checked(tmp_path)) == {
        ("features", "videos with the same features: 1 group (v1 = v3)"): (("v1", "v3"),),
        ("queries", "the same caption in train: 1 group (v0 = v2)"): (("v0", "v2"),),
        (
            "leaks",
            "videos sharing 80 % of the words of their caption in train and test: 2 groups "
            "(v0 = v5, v2 = v5)",
        ): (("v0", "v5"), ("v2", "v5")),
    }
    rows[4]["caption"] = rows[0]["caption"]
    write(tmp_path, rows)
    text = "the same caption in train and test: 1 group (v0 = v2 = v4)"
    assert ("leaks", text) in remarks(checked(tmp_path))


def test_equal_captions_are_counted_as_stats_counts_them(tmp_path):
    rows = make(tmp_path)
    same = [("v0", 0), ("v0", 0), ("v1", 0), ("v2", 2), ("v3", 3), ("v3", 3), ("v4", 4), ("v5", 0)]
    rows += [{"video": v, "caption": rows[i]["caption"].upper() + " ."} for v, i in same]
    rows.append({"video": "v0", "caption": rows[0]["caption"] + " again"})
    write(tmp_path, rows)
    groups = [
        videos
        for (_, text), found in remarks(checked(tmp_path)).items()
        if text.startswith("the same caption")
        for videos in found
    ]
    assert sorted(groups) == [
        ("v0", "v0", "v0", "v1", "v5"),
        ("v2", "v2"),
        ("v3", "v3", "v3"),
        ("v4", "v4"),
    ]
    figures = statistics(Folder(**options(tmp_path))).figures
    assert figures["duplicates.groups"] == len(groups)
    assert figures["duplicates.captions"] == sum(map(len, groups))
    dataset = Folder(**options(tmp_path))
    items = [*dataset.split("train"), *dataset.split("test")]
    queries, _, _ = positives_of(dataset, items, "unique")
    assert figures["queries"] - len(queries) == sum(len(group) - 1 for group in groups)


def test_labels_and_classes_that_a_split_lacks(tmp_path):
    rows = make(tmp_path)
    rows[5] |= {"label": 0, "class": "Riot", "anomaly": ""}
    write(tmp_path, rows)
    assert [text for _, text in remarks(checked(tmp_path))] == [
        "test has no anomalous video",
        "classes in test that train lacks: Riot",
        "classes in train that test lacks: Fighting",
    ]


def test_dimensions_that_never_change(tmp_path):
    make(tmp_path)
    for i in range(6):
        change(tmp_path / f"{i}.flow.npy", lambda a: a * np.float32([1, 0, 1]))
    text = "stream 'motion': 1 of 3 dimensions are the same in every clip"
    assert [t for _, t in remarks(checked(tmp_path))] == [text]


def test_sounds_are_read_and_compared(tmp_path):
    rows = make(tmp_path)
    random = np.random.default_rng(1)
    for i, row in enumerate(rows):
        sound = random.standard_normal((12, 5)).astype(np.float32)
        np.save(tmp_path / f"{i}.sound.npy", np.ones_like(sound) if i == 0 else sound)
        row["audio"] = f"{i}.sound.npy"
    rows[4]["audio"] = rows[1]["audio"]
    write(tmp_path, rows)
    assert [text for _, text in remarks(checked(tmp_path, query="audio"))] == [
        "videos with a sound that never changes: 1 (v0)",
        "the same sound in train and test: 1 group (v1 = v4)",
    ]
    change(tmp_path / "2.sound.npy", lambda a: a[:, :3])
    change(tmp_path / "3.sound.npy", lambda a: a * np.float32(np.inf))
    for quick, count in ((False, 2), (True, 1)):
        texts = [fault.text for fault in checked(tmp_path, query="audio", quick=quick).faults]
        assert texts[0] == (
            f"sound 'v2#0', stream 'audio': {tmp_path}/2.sound.npy has shape (12, 3); "
            "expected (T, 5) or (crops, T, 5)"
        )
        assert len(texts) == count


def test_a_video_of_nine_hours_in_bounded_memory(tmp_path):
    make(tmp_path, videos=3)
    for i, length in enumerate((20, 61_000, 20)):
        for column in ("rgb", "flow"):
            clips = np.random.default_rng(i).random((length, 64), np.float32)
            np.save(tmp_path / f"{i}.{column}.npy", clips)
    size = os.stat(tmp_path / "1.rgb.npy").st_size
    checked(tmp_path, quick=True)  # imports and caches
    tracemalloc.start()
    found = checked(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.size > 2 * size - 1000
    assert peak < size / 3, f"{peak:,} of {size:,} bytes"


def test_the_pieces_of_a_long_video_are_all_of_it(tmp_path):
    rows = make(tmp_path, videos=3)
    clips = np.random.default_rng(0).random((2, 9000, 4), np.float32)
    np.save(tmp_path / "0.rgb.npy", clips)
    np.savez(tmp_path / "1.npz", a=clips)
    np.save(tmp_path / "2.rgb.npy", np.asfortranarray(clips))
    rows[1]["rgb"] = "1.npz"
    write(tmp_path, rows)
    folder = Folder(**options(tmp_path))
    for video in ("v0", "v1", "v2"):
        for crop in (0, 1):
            pieces = list(folder.open(video).pieces("object", crop))
            np.testing.assert_array_equal(np.concatenate(pieces), clips[crop])
    change(tmp_path / "0.rgb.npy", spoil(8500, crop=1))
    np.save(tmp_path / "0.flow.npy", clips[:, :, :3])
    texts = [fault.text for fault in checked(tmp_path).faults]
    where = f"video 'v0', stream 'object': {tmp_path}/0.rgb.npy"
    assert f"{where} clip 8500 holds NaN or infinity" in texts


class Bare:
    """A data set with nothing but the interface, and no faults of its own reporting."""

    name, simulated, query_kind = "bare", True, "captions"
    query_widths: dict[str, int] = {}  # noqa: RUF012

    def __init__(self, *, fault: str = ""):
        self.fault = fault
        self.widths = {"object": 4, "motion": 4} if fault == "streams" else {"object": 4}

    def split(self, name):
        if name == "val":
            raise DataError("no split 'val'")
        return [Item(f"{name}{i}", (f"{name}{i}#0",), i % 2) for i in range(2)]

    def open(self, video):
        length = {"train0": 12, "train1": 13}.get(video, 14)
        seed = int.from_bytes(video.encode())
        clips = np.random.default_rng(seed).random((length, 4), np.float32)
        streams = {"object": clips}
        if "motion" in self.widths:
            streams["motion"] = clips[int(video == "train1") :]
        if video == "train1":
            if self.fault == "error":
                raise FileNotFoundError("no such file: train1.npy")
            clips[3, 2] = np.nan if self.fault == "nan" else 0
            clips[4, 1] = np.inf if self.fault == "infinity" else 0
            streams["object"] = {"width": clips[:, :3], "empty": clips[:0]}.get(self.fault, clips)
        return InMemory(Sequences(streams, np.zeros((length, 2), np.float32)))

    def query(self, query):
        if self.fault == "kind" and query == "train1#0":
            return self.open("train1")
        return " " if self.fault == "blank" and query == "train1#0" else f"caption {query}"

    def truth(self, video):
        length = 5 if self.fault == "truth" and video == "train1" else self.open(video).length
        truth = np.zeros(length, bool)
        truth[1] = int(video[-1]) == 1
        if (self.fault, video) in (("label", "train1"), ("normal", "train0")):
            truth[1] = not truth[1]
        return truth

    def fingerprint(self):
        return "f"


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("", None),
        ("nan", "video 'train1', stream 'object': clip 3 holds NaN or infinity"),
        ("infinity", "video 'train1', stream 'object': clip 4 holds NaN or infinity"),
        ("streams", "video 'train1', stream 'motion': has 12 clips; expected 13"),
        ("width", "video 'train1', stream 'object': has shape (13, 3); expected (T, 4)"),
        ("empty", "video 'train1', stream 'object': has shape (0, 4); expected (T, 4)"),
        ("error", "video 'train1': FileNotFoundError: no such file: train1.npy"),
        ("kind", "bare: query 'train1#0' is a sound, not a caption"),
        ("blank", "query 'train1#0' is an empty caption"),
        ("truth", "bare: video 'train1' has 13 clips but ground truth for 5"),
        (
            "label",
            "video 'train1' is labelled anomalous, but its ground truth has no anomalous clip",
        ),
        ("normal", "video 'train0' is labelled normal, but its ground truth has anomalous clips"),
    ],
)
def test_any_data_set_can_be_verified(fault, said):
    found = verify(survey(Bare, {"fault": fault}))
    assert [f.text for f in found.faults] == ([said] if said else [])
    assert found.simulated


def test_headers_of_a_data_set_that_has_none_are_not_looked_at():
    assert verify(survey(Bare, {"fault": "nan"}), quick=True).faults == ()


def test_captions_from_one_template_are_not_all_paired(tmp_path):
    rows = make(tmp_path)
    words = " ".join("abcdefghijklmnop")
    rows += [{"video": "v0", "caption": f"{words} {k}"} for k in range(200)]
    rows += [{"video": "v1", "caption": f"{words} {k}"} for k in range(200, 400)]
    write(tmp_path, rows)
    found = remarks(checked(tmp_path))
    text = "videos sharing 80 % of the words of their caption in train: 1 group (v0 = v1)"
    assert found[("queries", text)] == (("v0", "v1"),), "a pair of videos once, however often"


def test_the_usual_number_of_crops_is_that_of_what_can_be_read(tmp_path):
    make(tmp_path)
    for i in range(4):
        (tmp_path / f"{i}.rgb.npy").write_bytes(b"none")
    for stream in STREAMS.values():
        change(tmp_path / f"5.{stream}.npy", lambda a: a[:2])
    texts = [fault.text for fault in checked(tmp_path).faults]
    assert len(texts) == 5
    assert texts[-1] == "video 'v5' has 2 crops; most have 3"


def test_candidates_without_captions_are_told_and_counted(tmp_path):
    rows = make(tmp_path)
    rows[4]["caption"] = ""
    write(tmp_path, rows)
    assert remarks(checked(tmp_path)) == {
        ("queries", "videos without a caption in test: 1 (v4)"): (("v4",),)
    }
    figures = statistics(Folder(**options(tmp_path))).figures
    assert [figures[f"distractors{split}"] for split in ("", ".train", ".test")] == [1, 0, 1]


def test_as_many_clips_in_all_videos_may_be_segments(tmp_path):
    rows = make(tmp_path)
    for file in tmp_path.glob("*.npy"):
        change(file, lambda array: array[:, :20])
    text = "all videos have 20 clips and last 10.0 s; if clips are segments, give each video's"
    assert [t for _, t in remarks(checked(tmp_path))] == [f"{text} duration"]
    write(tmp_path, [row | {"duration": 10 + i} for i, row in enumerate(rows)])
    assert remarks(checked(tmp_path)) == {}


def test_a_hint_stays_with_its_fault(tmp_path):
    (tmp_path / "manifest.csv").write_text("video:split\na:train\n")
    (fault,) = checked(tmp_path).faults
    assert fault.text.endswith("(separate the cells with commas, semicolons, tabs or |)")
    make(tmp_path)
    for i in range(6):
        for column in ("rgb", "flow"):
            change(tmp_path / f"{i}.{column}.npy", lambda array: array.swapaxes(-2, -1))
    (fault,) = checked(tmp_path).faults
    assert fault.text.endswith("(write them again after numpy's array.swapaxes(-2, -1))")
