"""XDViolence-AR as its authors lay it out: the real lists, and everything that can be wrong."""

from __future__ import annotations

import os
import shutil
from collections import Counter

import numpy as np
import pytest
from varkit_datasets.xdviolence_ar import LABELS, XDViolenceAR, classes_of, layout, source

from tests.support.faulty_benchmarks import expect_faults, expect_the_same_options
from tests.support.toys import ALL, clips_of
from varkit.testing.datasets import check_dataset

FILM = "A.Film.2001__#00-01-00_00-01-30_label_B1-G-0"
WEB = "v=-a_b__c=__#1_label_A"
TRAIN = (FILM, WEB, "v=xyz__#00-00-05_00-01-00_label_B2-0-0")
TEST = ("NBA-2017.12.25_CLE@GSW__#1_label_B6-0-0", "v=def__#1_label_A")
CROPS = range(5)


def listed(split, names, crops=CROPS):
    return [f"{split}/{name}__{k}.npy" for name in names for k in crops]


def write_features(root, split, name, *, crops=CROPS, length=6):
    files = {f"{s}/{split}/{name}__{k}": k for s in ("rgb", "flow") for k in crops}
    for file, value in (files | {f"audio/{split}/{name}__vggish": 7}).items():
        path = root / f"{file}.npy"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(path, np.full((length, 2), value, np.float32))


def make(root, train=TRAIN, test=TEST):
    for split, names in (("train", train), ("test", test)):
        (root / f"{split}.list").write_text("\n".join(listed(split, names)), encoding="utf-8")
        for name in names:
            write_features(root, split, name)
    (root / "annotations.txt").write_text(f"{TEST[0]} 32 64 80 90\n", encoding="utf-8")


def faults(root, **options):
    return layout(root=str(root), **options).faults


@pytest.fixture(scope="module")
def real(real_data, tmp_path_factory):
    """The real lists and annotations, with the same small file for every feature."""
    root = tmp_path_factory.mktemp("xd")
    for file in ("train.list", "test.list", "annotations.txt"):
        shutil.copy(real_data / "xd_violence" / file, root)
    one = root / "one.npy"
    np.save(one, np.zeros((20_000, 1), np.uint8))
    for split in ("train", "test"):
        lines = (root / f"{split}.list").read_text(encoding="utf-8").splitlines()
        for folder, end in (("rgb", "__0.npy"), ("flow", "__0.npy"), ("audio", "__vggish.npy")):
            (root / folder / split).mkdir(parents=True)
            for line in lines:
                if line.endswith("__0.npy"):
                    os.link(one, root / folder / line.replace("__0.npy", end))
    return root


@pytest.fixture(scope="module")
def benchmark(real):
    return XDViolenceAR(root=str(real))


@pytest.fixture(scope="module")
def names(benchmark):
    return {split: [item.video for item in benchmark.split(split)] for split in ("train", "test")}


def test_all_real_videos_are_there_in_their_order(names, real):
    for split, count in (("train", 3954), ("test", 800)):
        lines = (real / f"{split}.list").read_text(encoding="utf-8").split()
        assert len(lines) == 5 * count
        assert names[split] == [line[len(split) + 1 : -len("__0.npy")] for line in lines[::5]]
    assert all("#" in name for part in names.values() for name in part)
    assert any(name.count(".") > 3 for name in names["test"])
    assert any("@" in name for name in names["train"])
    assert sum(name.startswith("v=") for name in names["train"]) == 2137


def test_real_labels(benchmark, names):
    """Labels are sets: 46 strings in train, 49 in all, with 0 for nothing in any order."""
    strings = {s: [name.rpartition("_label_")[2] for name in names[s]] for s in names}
    assert len(set(strings["train"])) == 46
    assert len({*strings["train"], *strings["test"]}) == 49
    assert {"B1-B2-0", "B2-B1-0", "B1", "G", "B1-0-0"} <= set(strings["train"])
    expected = {
        "train": (243, [2049, 481, 444, 442, 384, 382, 50]),
        "test": (47, [300, 126, 106, 104, 101, 103, 11]),
    }
    order = ["Normal", "Fighting", "Car accident", "Shooting", "Riot", "Explosion", "Abuse"]
    for split, (several, counts) in expected.items():
        items = benchmark.split(split)
        assert sum(len(item.classes) > 1 for item in items) == several
        found = Counter(name for item in items for name in item.classes)
        assert [found[name] for name in order] == counts
        for item, string in zip(items, strings[split], strict=True):
            parts = {LABELS[part] for part in string.split("-") if part != "0"}
            assert item.classes == tuple(sorted(parts))
            assert item.label == int(string != "A")


def test_real_sources_are_in_both_splits(names, real):
    films = {split: {source(name) for name in part} for split, part in names.items()}
    shared = films["train"] & films["test"]
    assert [len(films["train"]), len(films["test"]), len(shared)] == [1630, 447, 184]
    assert sum(source(name) in shared for name in names["test"]) == 533
    assert max(Counter(map(source, names["train"])).values()) == 42
    (remark,) = layout(root=str(real)).remarks
    assert remark.startswith("533 of 800 test videos are cut from a film or web video that train")


def test_real_annotations_become_clips(benchmark, names, real):
    """1,238 segments in 500 videos, in frames; 14 names end in .mp4."""
    lines = (real / "annotations.txt").read_text(encoding="utf-8").splitlines()
    assert sum(line.split()[0].endswith(".mp4") for line in lines) == 14
    segments = 0
    for line in lines:
        name, *numbers = line.split()
        video = name.removesuffix(".mp4")
        expected = np.zeros(20_000, bool)
        for start, end in zip(map(int, numbers[::2]), map(int, numbers[1::2]), strict=True):
            segments += 1
            for clip in range(start // 16, end // 16 + 1):
                overlap = min(16 * clip + 16, end) - max(16 * clip, start)
                expected[clip] |= overlap >= min(16, end - start) / 2
        np.testing.assert_array_equal(benchmark.truth(video), expected, err_msg=video)
    assert (len(lines), segments) == (500, 1238)
    normal = [item.video for item in benchmark.split("test") if item.label == 0]
    assert len(normal) == 300
    assert not any(benchmark.truth(video).any() for video in normal)
    assert benchmark.truth(names["train"][0]) is None


def test_it_keeps_the_promises_of_a_data_set(tmp_path):
    make(tmp_path)
    opened = XDViolenceAR(root=str(tmp_path))
    check_dataset(opened, fresh=XDViolenceAR(root=str(tmp_path)))
    assert opened.name == "XDViolence-AR"
    assert opened.open(FILM).crops == 5
    assert [clips_of(opened, FILM, k).streams["object"][0, 0] for k in CROPS] == list(CROPS)
    (item, *_) = opened.split("train")
    assert (item.label, item.classes) == (1, ("Explosion", "Fighting"))
    sound = opened.query(item.queries[0]).means(ALL)
    assert (sound.streams["audio"] == 7).all()
    assert sound.times[1, 0] == clips_of(opened, FILM).times[1, 0] == np.float32(16 / 24)
    assert opened.truth(TEST[0]).tolist() == [False, False, True, True, False, True]
    other = XDViolenceAR(root=str(tmp_path), seconds_per_sound_clip=0.96, centre=3)
    assert other.query(item.queries[0]).times[1, 0] == np.float32(0.96)
    values = [clips_of(other, WEB, k).streams["motion"][0, 0] for k in CROPS]
    assert values == [3, 0, 1, 2, 4]


def test_options_are_the_same_wherever_they_are_given():
    expect_the_same_options(XDViolenceAR, layout)


@pytest.mark.parametrize("kind", ["flat", "centre only", "plain sound names", "other paths"])
def test_files_may_lie_otherwise(tmp_path, kind):
    make(tmp_path)
    if kind == "flat":
        for folder in ("rgb", "flow", "audio"):
            for file in sorted((tmp_path / folder).rglob("*.npy")):
                file.rename(tmp_path / folder / file.name)
    elif kind == "centre only":
        remove("*__[1234].npy")(tmp_path)
    elif kind == "plain sound names":
        for file in [*tmp_path.rglob("*__vggish.npy")]:
            file.rename(file.with_name(file.name.replace("__vggish", "")))
    else:
        lines = [f"D:\\i3d\\RGB\\{line}\r\n" for line in listed("", TRAIN)]
        (tmp_path / "train.list").write_bytes("".join(["\ufeff", *lines]).encode())
    opened = XDViolenceAR(root=str(tmp_path))
    assert [item.video for item in opened.split("train")] == list(TRAIN)
    assert opened.open(FILM).crops == (1 if kind == "centre only" else 5)
    assert opened.query(f"{WEB}#0").length == 6


def lines_of(split, *more):
    def change(root):
        names = {"train": TRAIN, "test": TEST}[split]
        text = "\n".join([*listed(split, names), *more])
        (root / f"{split}.list").write_text(text, encoding="utf-8")

    return change


def annotate(text):
    return lambda root: (root / "annotations.txt").write_text(text, encoding="utf-8")


def remove(pattern):
    return lambda root: [file.unlink() for file in [*root.rglob(pattern)]]


def cut_off(root):
    write_features(root, "test", "v=last__#1_label_A")
    lines_of("test", *listed("test", ["v=last__#1_label_A"])[:2])(root)


FAULTS = {
    "no list": (remove("train.list"), ["there is no file {root}/train.list"]),
    "an empty list": (
        lambda root: (root / "test.list").write_text("\n \n"),
        ["test.list is empty"],
    ),
    "lines that are no names": (
        lines_of("train", "hello", "train/x.npy", "train/a_label_.npy", "train/a_label_b1__0.npy"),
        ["train.list: not a video name with '_label_': line 16, line 17, line 18 and 1 more"],
    ),
    "an unknown label": (
        lines_of("train", "train/a__#1_label_B3-0-0__0.npy"),
        ["train.list: label 'B3-0-0' names ['B3']; known: A, B1, B2, B4, B5, B6, G: line 16"],
    ),
    "a label of nothing": (
        lines_of("train", "train/a__#1_label_0-0-0__0.npy"),
        ["label '0-0-0' names nothing"],
    ),
    "normal and anomalous": (
        lines_of("train", "train/a__#1_label_A-B1-0__0.npy"),
        ["label 'A-B1-0' says that a video is normal and anomalous: line 16"],
    ),
    "a crop twice": (
        lines_of("test", f"test/{TEST[0]}__0.npy"),
        [f"test.list: repeated crop: line 11 ({TEST[0]!r})"],
    ),
    "a list that was cut off": (
        cut_off,
        ["test.list: fewer than 5 crops: 'v=last__#1_label_A'"],
    ),
    "a video in both splits": (
        lines_of("test", *listed("test", [WEB])),
        [f"videos in both train and test: {WEB!r}"],
    ),
    "no features": (
        lines_of("test", *listed("test", ["v=new__#1_label_G-0-0"])),
        [
            "'object': {root}/rgb holds no NAME.npy or NAME__0.npy of 1 of 6 videos: 'v=new__#",
            "'motion': {root}/flow holds no NAME.npy or NAME__0.npy of 1 of 6 videos: 'v=new__#",
            "sounds: {root}/audio holds no NAME__vggish.npy of 1 of 6 videos: 'v=new__#",
        ],
    ),
    "a crop is missing": (
        remove(f"rgb/train/{FILM}__3.npy"),
        [f"'object': expected crops 0 to 4: {FILM!r} has crops 0, 1, 2, 4"],
    ),
    "no sounds": (
        lambda root: shutil.rmtree(root / "audio"),
        ["sounds: there is no folder {root}/audio"],
    ),
    "annotations that are none": (
        annotate(f"{TEST[0]} 1\n{TEST[0]} 1 2 3\n{TEST[0]} -1 -1\n{TEST[0]} a b\n"),
        ["annotations.txt: not in the expected format: line 1, line 2, line 3 and 1 more"],
    ),
    "an anomaly that ends before it starts": (
        annotate(f"{TEST[0]} 10 20 40 40\n"),
        ["annotations.txt: an anomaly ends before it starts, or starts below 0: line 1"],
    ),
    "an anomaly in a normal video": (
        annotate(f"{TEST[1]} 10 20\n"),
        [f"annotations.txt: a normal video with an anomaly: {TEST[1]!r}"],
    ),
    "an annotation twice": (
        annotate(f"{TEST[0]} 10 20\n{TEST[0]}.mp4 30 40\n"),
        [f"annotations.txt: repeated video: line 2 ({TEST[0]!r})"],
    ),
    "a list in UTF-16": (
        lambda root: (root / "test.list").write_text("x", encoding="utf-16"),
        ["test.list is UTF-16 or UTF-32 text; expected UTF-8"],
    ),
    "a list that is no text": (
        lambda root: (root / "test.list").write_bytes(bytes(100)),
        ["test.list is not text: it holds zero bytes"],
    ),
    "a list that is a folder": (
        lambda root: ((root / "test.list").unlink(), (root / "test.list").mkdir()),
        ["test.list is not a file"],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone_is_named_and_training_refuses(tmp_path, name):
    change, expected = FAULTS[name]
    make(tmp_path)
    assert faults(tmp_path) == ()
    change(tmp_path)
    expect_faults(XDViolenceAR, layout, tmp_path, expected)


def test_many_faults_are_all_listed_at_once(tmp_path):
    make(tmp_path)
    chosen = ("lines that are no names", "a video in both splits", "a crop is missing",
              "no sounds", "annotations that are none")  # fmt: skip
    for name in chosen:
        FAULTS[name][0](tmp_path)
    found = faults(tmp_path)
    for name in chosen:
        for text in FAULTS[name][1]:
            assert any(text.format(root=tmp_path) in fault for fault in found), (text, found)
    assert len(found) == len(chosen)
    assert XDViolenceAR.survey(root=str(tmp_path)).dataset is None, "nothing has a sound"


def test_half_of_a_benchmark_can_be_looked_at(tmp_path):
    make(tmp_path)
    remove(f"{WEB}*")(tmp_path)
    survey = XDViolenceAR.survey(root=str(tmp_path))
    assert len(survey.faults) == 3
    assert [item.video for item in survey.dataset.split("train")] == [TRAIN[0], TRAIN[2]]


def test_what_one_should_know_stops_nobody(tmp_path):
    make(tmp_path, test=(*TEST, "A.Film.2001__#00-09-00_00-09-30_label_A"))
    shutil.copy(tmp_path / "rgb" / "train" / f"{FILM}__0.npy", tmp_path / "rgb")
    (tmp_path / "audio" / "half.npy.part").touch()
    (tmp_path / "annotations.txt").write_text("unknown__#1_label_G-0-0 1 2\n", encoding="utf-8")
    XDViolenceAR(root=str(tmp_path))
    found = XDViolenceAR.survey(root=str(tmp_path))
    assert found.faults == ()
    for remark in (
        f"1 files below {tmp_path / 'rgb'} belong to no video, or repeat one: '{FILM}__0.npy'",
        "'half.npy.part'",
        "train: 3 videos; the benchmark has 3,954",
        "test: no video of class: Abuse, Explosion, Fighting and 2 more",
        "1 of 3 test videos are cut from a film or web video that train has parts of too",
        "lines of videos that are in no split: 'unknown__#1_label_G-0-0'",
        f"the anomalies' times are unknown for 1 of 3 test videos: {TEST[0]!r}",
    ):
        assert any(remark in text for text in found.remarks), (remark, found.remarks)


def test_labels_are_sets_and_sources_are_what_stands_before_them():
    assert classes_of("A") == ("Normal",)
    assert classes_of("B1-0-0") == ("Fighting",)
    assert classes_of("G") == ("Explosion",)
    assert classes_of("B2-B1-0") == classes_of("B1-B2-0") == ("Fighting", "Shooting")
    assert classes_of("B4-B5-B6") == ("Abuse", "Car accident", "Riot")
    assert [source(FILM), source(WEB)] == ["A.Film.2001", "v=-a_b__c="]


def test_missing_guide_and_published(tmp_path):
    (line,) = XDViolenceAR.missing(root=str(tmp_path / "no"))
    assert "varkit data get xdviolence_ar" in line
    assert XDViolenceAR.missing(root=str(tmp_path)) == []
    guide = XDViolenceAR.guide(root="here", streams={"object": "clip"}, audio="sound")
    for part in ("here/", "clip/", "sound/", "train.list", "Roc-Ng/XDVioDet", "__vggish"):
        assert part in guide
    published = {key: value for key, (value, _) in XDViolenceAR.published.items()}
    assert published["videos"] == published["videos.train"] + published["videos.test"]
    assert published["hours"] * 3600 / 4754 == pytest.approx(published["seconds.mean"], abs=1)
