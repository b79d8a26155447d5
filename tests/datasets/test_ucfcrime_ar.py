"""UCFCrime-AR as its authors lay it out: the real captions, and everything that can be wrong."""

from __future__ import annotations

import re
import shutil
from collections import Counter

import numpy as np
import openpyxl
import pytest
from varkit_datasets.colours import colour_disagreements
from varkit_datasets.ucfcrime_ar import CLASSES, UCFCrimeAR, layout, split_name

from tests.support.faulty_benchmarks import expect_faults, expect_the_same_options
from tests.support.toys import clips_of
from tests.support.ucfcrime_ar import (
    ANNOTATION,
    HEADINGS,
    TEST,
    TRAIN,
    TRAIN_NORMAL,
    faults,
    make,
    make_real,
    row,
    write_book,
    write_features,
)
from varkit.data.positives import query_group
from varkit.errors import DataError
from varkit.testing.datasets import check_dataset


def rows_of(path):
    """Read a workbook in the plainest way."""
    sheet = openpyxl.load_workbook(path).worksheets[0]
    return [row[:3] for row in sheet.iter_rows(min_row=2, values_only=True)]


@pytest.fixture(scope="module")
def frames(real_data):
    """UCF-Crime's own list: video with its folder -> number of frames."""
    path = real_data / "ucf_crime" / "All_Annotation.txt"
    lines = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {name.removesuffix(".mp4"): int(count) for name, count, *_ in lines}


@pytest.fixture(scope="module")
def lengths(frames):
    """Video -> number of clips that both streams have."""
    return {name.split("/")[1]: (count - 1) // 16 for name, count in frames.items()}


@pytest.fixture(scope="module")
def real(real_data, frames, tmp_path_factory):
    """The real captions and annotations, with features of the real lengths."""
    root = tmp_path_factory.mktemp("ucf")
    make_real(root, real_data)
    for name, count in frames.items():
        file = root / "flow" / f"{name}__0.npy"
        file.parent.mkdir(parents=True, exist_ok=True)
        np.save(file, np.zeros(((count - 1) // 16, 1), np.uint8))
    return root


@pytest.fixture(scope="module")
def benchmark(real):
    return UCFCrimeAR(root=str(real))


@pytest.fixture(scope="module")
def everybody(benchmark):
    """The items of both splits."""
    return [*benchmark.split("train"), *benchmark.split("test")]


def real_rows(real):
    return [r for split in ("train", "test") for r in rows_of(real / f"ucf_crime_{split}.xlsx")]


def test_all_real_captions_are_there_in_their_order(benchmark, real, real_data):
    """Quirk: 1,609 of 1,610 and 284 of 290 names end in a line feed, which is no part of them."""
    for split, count, ends in (("train", 1610, 1609), ("test", 290, 284)):
        items = benchmark.split(split)
        rows = rows_of(real / f"ucf_crime_{split}.xlsx")
        assert len(items) == len(rows) == count
        assert sum(name.endswith("\n") for name, *_ in rows) == ends
        names = [name.strip().split("/")[1].removesuffix(".mp4") for name, *_ in rows]
        assert [item.video for item in items] == names
        captions = [benchmark.query(query) for item in items for query in item.queries]
        assert captions == [" ".join(english.split()) for *_, english in rows]
        path = real_data / "ucf_crime" / f"{split.title()}_Annotation.txt"
        lines = path.read_text(encoding="utf-8").splitlines()
        listed = {line.split()[0].split("/")[1].removesuffix(".mp4") for line in lines}
        assert set(names) == listed, "UCF-Crime's own split"


def test_real_classes_and_labels(benchmark):
    """Quirk: normal videos are ``Normal_Videos###`` in train, ``Normal_Videos_###`` in test."""
    train, test = (
        Counter(name for item in benchmark.split(split) for name in item.classes)
        for split in ("train", "test")
    )
    rest = {"RoadAccidents": 23, "Shooting": 23, "Explosion": 21, "Shoplifting": 21, "Burglary": 13}
    few = {"Arson": 9, "Assault": 3, "Abuse": 2}
    five = dict.fromkeys(("Arrest", "Fighting", "Robbery", "Stealing", "Vandalism"), 5)
    assert test == {"Normal": 150, **rest, **few, **five}
    total = train + test
    assert total["Normal"] == 950
    assert total["Burglary"] == total["Stealing"] == 100
    assert total["RoadAccidents"] == total["Robbery"] == 150
    assert sum(total.values()) == 1900
    assert sorted(total) == sorted(CLASSES)
    for split, normal in (("train", r"Normal_Videos\d+_x264"), ("test", r"Normal_Videos_\d+_x264")):
        for item in benchmark.split(split):
            assert item.label == int(re.fullmatch(normal, item.video) is None)
            assert item.label == int("Normal" not in item.video)


def test_captions_stay_as_they_are_but_for_spaces(benchmark, real):
    """Quirks: no final period in three, two spaces in three, no character beyond ASCII."""
    english = {name.strip(): text for name, _, text in real_rows(real)}
    assert all(text.isascii() for text in english.values())
    bare = [name for name, text in english.items() if not text.endswith(".")]
    wide = [name for name, text in english.items() if "  " in text]
    assert [len(bare), len(wide)] == [3, 3]
    for name in (*bare, *wide):
        video = name.split("/")[1].removesuffix(".mp4")
        assert benchmark.query(f"{video}#0") == english[name].replace("  ", " ")


def test_chinese_captions(real, everybody):
    chinese = UCFCrimeAR(root=str(real), language="zh")
    captions = {i.video: chinese.query(f"{i.video}#0") for i in everybody}
    assert captions["Abuse028_x264"] == "一位戴帽子的男子在栏杆外用棍子敲打院子内一条黑色小狗。"
    assert len(captions) == 1900
    assert all(re.search("[\u4e00-\u9fff]", caption) for caption in captions.values())


def test_published_caption_lengths_follow_from_the_captions(benchmark, everybody, real):
    published = {key: value for key, (value, _) in UCFCrimeAR.published.items()}
    words = [len(benchmark.query(f"{item.video}#0").split()) for item in everybody]
    assert round(float(np.mean(words)), 1) == published["words.mean"]
    signs = [len(text.strip().removesuffix("。")) for _, text, _ in real_rows(real)]
    assert round(float(np.mean(signs)), 1) == published["characters.mean"]
    assert published["videos"] == published["videos.train"] + published["videos.test"]
    assert published["hours"] * 3600 / 1900 == pytest.approx(published["seconds.mean"], abs=1)


def test_real_captions_that_are_the_same(benchmark):
    """Quirk: 26 groups of 62 captions in train, 2 of 4 in test, none across."""
    groups = {}
    for split in ("train", "test"):
        texts = [query_group(benchmark.query(f"{i.video}#0")) for i in benchmark.split(split)]
        groups[split] = {group: count for group, count in Counter(texts).items() if count > 1}
    found = [(len(part), sum(part.values())) for part in groups.values()]
    assert found == [(26, 62), (2, 4)]
    assert not set(groups["train"]) & set(groups["test"])
    for first, second in ((902, 905), (936, 937)):
        captions = [benchmark.query(f"Normal_Videos_{n}_x264#0") for n in (first, second)]
        assert len({query_group(caption) for caption in captions}) == 1


def test_real_annotations_become_clips(benchmark, real, lengths):
    """Quirk: two spaces, -1 for absent, frames; 156 segments in 140 videos."""
    text = (real / "Temporal_Anomaly_Annotation.txt").read_text(encoding="utf-8")
    seen = segments = 0
    for line in text.splitlines():
        name, _, *numbers = line.split()
        video = name.removesuffix(".mp4")
        pairs = [(int(a), int(b)) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        pairs = [pair for pair in pairs if pair != (-1, -1)]
        seen += bool(pairs)
        segments += len(pairs)
        expected = np.zeros(lengths[video], bool)
        for clip in range(len(expected)):
            for start, end in pairs:
                overlap = min(16 * clip + 16, end) - max(16 * clip, start)
                expected[clip] |= overlap >= min(16, end - start) / 2
        np.testing.assert_array_equal(benchmark.truth(video), expected, err_msg=video)
    assert (seen, segments) == (140, 156)
    assert benchmark.truth("Abuse001_x264") is None, "of train"
    assert not benchmark.truth("Normal_Videos001_x264").any()


def test_both_kinds_of_annotation_files_say_the_same(real, real_data, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(real, other, symlinks=True, ignore=shutil.ignore_patterns("*.txt"))
    shutil.copy(real_data / "ucf_crime" / "Test_Annotation.txt", other)
    first, second = (layout(root=str(root)) for root in (real, other))
    assert first.faults == second.faults == ()
    known = [{v: row.anomalies for v, row in each.videos.items()} for each in (first, second)]
    assert known[0] == known[1]


def test_very_short_and_very_long_real_videos(benchmark, frames, lengths):
    assert all(benchmark.open(video).length == length for video, length in lengths.items())
    assert max(lengths.values()) == benchmark.open("Normal_Videos308_x264").length == 61_031
    assert sum(count // 16 < 16 for count in frames.values()) == 17
    short = min(lengths, key=lengths.get)
    assert len(clips_of(benchmark, short)) == lengths[short] == 6
    means = benchmark.open("Normal_Videos308_x264").means(1024, 0)
    assert len(means) == 1024
    assert means.times[-1, 1] == pytest.approx(61_031 * 16 / 30, rel=1e-6)


def test_colours_that_the_two_languages_name_differently(real):
    """Quirk: translation noise. Most of it is characters of colours in words that are none."""
    both = {name.strip(): (english, chinese) for name, chinese, english in real_rows(real)}
    signs = {"白": "white", "黑": "black", "红": "red", "蓝": "blue", "黄": "yellow", "绿": "green",
             "灰": "gray", "棕": "brown", "褐": "brown", "粉": "pink", "橙": "orange",
             "橘": "orange", "紫": "purple", "银": "silver", "青": "cyan"}  # fmt: skip
    plain = []
    for english, chinese in both.values():
        first = set(re.findall("[a-z]+", english.lower().replace("grey", "gray")))
        plain.append((first & set(signs.values()), {signs[s] for s in chinese if s in signs}))
    # Every character counts, also those of day, cash desk and traffic light.
    assert sum(bool(a or b) for a, b in plain) == 882
    assert sum(a != b for a, b in plain) == 224
    coloured, different = colour_disagreements(both)
    assert (coloured, len(different)) == (749, 14)
    for pairs in (plain, different.values()):
        assert sum(bool(a and b and not a & b) for a, b in pairs) == 3
    assert different["Abuse/Abuse028_x264.mp4"] == ({"white"}, {"black"})
    (remark,) = layout(root=str(real)).remarks
    assert "14 of 749 that name any" in remark
    assert "'Abuse028_x264'" in remark
    assert layout(root=str(real), language="zh").remarks == (remark,)


def test_what_colours_are_and_are_not():
    captions = {
        "same": ("A man in GREY ran.", "灰衣男子跑。"),
        "day": ("During the day, cars pass the bank.", "白天，车经过银行。"),
        "light": ("Cars wait at a traffic light by the cash desk.", "红绿灯，收银台。"),
        "other": ("A white dog.", "黑色小狗。"),
        "less": ("A reddish, blackened car.", "红色的车。"),
    }
    assert colour_disagreements(captions) == (
        3,
        {"other": ({"white"}, {"black"}), "less": (frozenset(), {"red"})},
    )


def test_it_keeps_the_promises_of_a_data_set(tmp_path):
    make(tmp_path, crops=(0, 1, 2))
    opened = UCFCrimeAR(root=str(tmp_path))
    check_dataset(opened, fresh=UCFCrimeAR(root=str(tmp_path)))
    assert opened.name == "UCFCrime-AR"
    times = clips_of(opened, "Abuse001_x264").times[1]
    assert times.tolist() == [np.float32(16 / 30), np.float32(32 / 30)]
    assert opened.open("Abuse001_x264").crops == 3
    values = [clips_of(opened, "Abuse001_x264", k).streams["object"][0, 0] for k in range(3)]
    assert values == [0, 1, 2]
    assert [item.classes for item in opened.split("test")] == [("Arson",), ("Normal",)]
    assert opened.truth("Arson009_x264").tolist() == [False, False, True, True, False, False]


def test_options_are_the_same_wherever_they_are_given():
    expect_the_same_options(UCFCrimeAR, layout)


def test_any_crop_can_be_the_centre(tmp_path):
    make(tmp_path, crops=(0, 1, 2))
    opened = UCFCrimeAR(root=str(tmp_path), centre=1)
    values = [clips_of(opened, "Abuse001_x264", k).streams["motion"][0, 0] for k in range(3)]
    assert values == [1, 0, 2]
    (fault, other) = faults(tmp_path, centre=5)
    assert fault == (
        "stream 'object': no crop 5 to be the centre, only crops 0 to 2: set data.centre"
    )
    assert "'motion'" in other


def test_streams_and_centre_are_part_of_the_fingerprint(tmp_path):
    make(tmp_path, crops=(0, 1))
    turned = {"object": "flow", "motion": "rgb"}
    options = ({}, {"centre": 1}, {"streams": turned})
    assert len({UCFCrimeAR(root=str(tmp_path), **o).fingerprint() for o in options}) == 3


@pytest.mark.parametrize("kind", ["flat", "one file", "all crops in one file", "deep", "linked"])
def test_features_may_lie_otherwise(tmp_path, kind):
    make(tmp_path, crops=(None,) if "file" in kind else (0, 1))
    for stream in ("rgb", "flow"):
        folder = tmp_path / stream
        files = sorted(folder.rglob("*.npy"))
        if kind == "flat":
            for file in files:
                file.rename(folder / file.name)
        elif kind == "all crops in one file":
            for file in files:
                np.save(file, np.zeros((2, 6, 2), np.float32))
        elif kind == "deep":
            folder.rename(tmp_path / "moved")
            folder.mkdir()
            (tmp_path / "moved").rename(folder / "i3d")
        elif kind == "linked":
            folder.rename(tmp_path / f"real_{stream}")
            folder.mkdir()
            for part in (tmp_path / f"real_{stream}").iterdir():
                (folder / part.name).symlink_to(part)
            (folder / "circle").symlink_to(folder)
    opened = UCFCrimeAR(root=str(tmp_path))
    assert [item.video for item in opened.split("test")] == [n.split("/")[1] for n in TEST]
    assert opened.open("Abuse001_x264").crops == (1 if kind == "one file" else 2)
    assert len(clips_of(opened, "Abuse001_x264")) == 6


def test_crops_inside_of_crop_files_are_refused(tmp_path):
    make(tmp_path, crops=(0, 1))
    np.save(tmp_path / "rgb" / f"{TRAIN[0]}__0.npy", np.zeros((10, 6, 2), np.float32))
    opened = UCFCrimeAR(root=str(tmp_path))
    with pytest.raises(DataError, match=r"is one of 2 crops, but has shape \(10, 6, 2\)"):
        assert opened.open("Abuse001_x264").crops


def test_crops_in_the_middle_axis_are_refused(tmp_path):
    make(tmp_path, crops=(None,))
    for length, name in enumerate((*TRAIN, *TEST), 5):
        for stream in ("rgb", "flow"):
            np.save(tmp_path / stream / f"{name}.npy", np.zeros((length, 10, 2), np.float32))
    with pytest.raises(DataError, match=r"seem to hold \(T, crops, D\): expected \(crops, T, D\)"):
        UCFCrimeAR(root=str(tmp_path))


def remove_videos(root):
    for name in (*TRAIN[:2], *TEST):
        (root / "rgb" / f"{name}__0.npy").unlink()


def remove_crop(root):
    for name in (*TRAIN, *TEST):
        write_features(root, name, crops=(0, 1, 2, 3, 4))
    (root / "flow" / f"{TRAIN[1]}__3.npy").unlink()


def mix_crops(root):
    for name in (*TRAIN, *TEST):
        write_features(root, name, crops=(0, 1), streams=("rgb",))


def change_rows(split, *rows, headings=HEADINGS):
    def change(root):
        names = {"train": TRAIN, "test": TEST}[split]
        write_book(root / f"ucf_crime_{split}.xlsx", [*map(row, names), *rows], headings)

    return change


def annotations(text):
    def change(root):
        path = root / "Temporal_Anomaly_Annotation.txt"
        path.write_bytes(text if isinstance(text, bytes) else (ANNOTATION + text).encode())

    return change


FAULTS = {
    "no captions": (
        lambda root: (root / "ucf_crime_test.xlsx").unlink(),
        ["/ucf_crime_test.xlsx"],
    ),
    "a column is named otherwise": (
        change_rows("train", headings=("Video", "Chinese Text", "English Text")),
        ["has no column 'Video Name' in its first 20 rows. Did you mean 'Video'? It has: 'Video'"],
    ),
    "empty cells": (
        change_rows("train", row("Abuse/Abuse007_x264", None), row("Arson/Arson001_x264", "  ")),
        ["ucf_crime_train.xlsx: 'English Text' is empty: row 5, row 6"],
    ),
    "no name": (
        change_rows("train", (None, "中", "A man.")),
        ["ucf_crime_train.xlsx: 'Video Name' is empty: row 5"],
    ),
    "a class is unknown": (
        change_rows("test", row("Abus/Abus001_x264")),
        ["'Abus/Abus001_x264.mp4' has an unknown class. Did you mean 'Abuse'?: row 4"],
    ),
    "a folder contradicts its video": (
        change_rows("test", row("Arson/Abuse003_x264")),
        ["'Arson/Abuse003_x264.mp4' has another class than its folder: row 4"],
    ),
    "a video twice": (
        change_rows("train", row(TRAIN[0])),
        ["ucf_crime_train.xlsx: repeated video: row 5 ('Abuse001_x264')"],
    ),
    "a video in both splits": (
        change_rows("test", row(TRAIN[0]), row(TRAIN[1])),
        ["videos in both train and test: 'Abuse001_x264', 'Arson002_x264'"],
    ),
    "no rows": (
        lambda root: write_book(root / "ucf_crime_test.xlsx", []),
        ["ucf_crime_test.xlsx has no rows"],
    ),
    "no folder of a stream": (
        lambda root: shutil.rmtree(root / "flow"),
        ["stream 'motion': there is no folder"],
    ),
    "videos without features": (
        remove_videos,
        [
            "no NAME.npy or NAME__0.npy of 4 of 5 videos: 'Abuse001_x264', 'Arson002_x264', "
            "'Arson009_x264' and 1 more"
        ],
    ),
    "a crop is missing": (
        remove_crop,
        ["'motion': expected crops 0 to 4: 'Arson002_x264' has crops 0, 1, 2, 4"],
    ),
    "streams of other crops": (
        mix_crops,
        ["streams differ in crops: object has crops 0 to 1, motion has crop 0"],
    ),
    "two kinds of files": (
        lambda root: write_features(root, TRAIN[0], crops=(None,), streams=("rgb",)),
        ["expected crop 0: 'Abuse001_x264' has a file without a number and crop 0"],
    ),
    "annotations that are none": (
        annotations("Abuse001_x264.mp4  Abuse  165\nsomething else\n"),
        ["Temporal_Anomaly_Annotation.txt: not in the expected format: line 2, line 3"],
    ),
    "an anomaly that ends before it starts": (
        annotations("Abuse001_x264.mp4  Abuse  165  100  -1  -1\n"),
        ["an anomaly ends before it starts, or starts below 0: line 2"],
    ),
    "half of an anomaly": (
        annotations("Abuse001_x264.mp4  Abuse  -1  100  -1  -1\n"),
        ["an anomaly ends before it starts, or starts below 0: line 2"],
    ),
    "an annotation twice": (
        annotations(ANNOTATION),
        ["repeated video: line 2 ('Arson009_x264')"],
    ),
    "an annotation of another class": (
        annotations("Abuse001_x264.mp4  Arson  1  100  -1  -1\n"),
        ["class differs from the video's folder: 'Abuse001_x264'"],
    ),
    "an anomaly in a normal video": (
        annotations("Normal_Videos_003_x264.mp4  Normal  1  100  -1  -1\n"),
        ["a normal video with an anomaly: 'Normal_Videos_003_x264'"],
    ),
    "an anomalous video without one": (
        annotations("Abuse001_x264.mp4  Abuse  -1  -1  -1  -1\n"),
        ["an anomalous video without an anomaly: 'Abuse001_x264'"],
    ),
    "annotations in UTF-16": (
        annotations(ANNOTATION.encode("utf-16")),
        ["Temporal_Anomaly_Annotation.txt is UTF-16 or UTF-32 text; expected UTF-8"],
    ),
    "annotations in no UTF-8": (
        annotations(ANNOTATION.encode() + "虐待.mp4  Abuse  1  2  -1  -1".encode("gbk")),
        ["Temporal_Anomaly_Annotation.txt, line 2: not UTF-8 text"],
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_alone_is_named_and_training_refuses(tmp_path, name):
    change, expected = FAULTS[name]
    make(tmp_path)
    assert faults(tmp_path) == ()
    change(tmp_path)
    expect_faults(UCFCrimeAR, layout, tmp_path, expected)


def test_many_faults_are_all_listed_at_once(tmp_path):
    make(tmp_path)
    chosen = ("empty cells", "a video in both splits", "a crop is missing",
              "annotations that are none")  # fmt: skip
    for name in chosen:
        FAULTS[name][0](tmp_path)
    found = faults(tmp_path)
    for name in chosen:
        for text in FAULTS[name][1]:
            assert any(text in fault for fault in found), (text, found)
    survey = UCFCrimeAR.survey(root=str(tmp_path))
    left = [item.video for item in survey.dataset.split("train")]
    assert left == ["Abuse001_x264", "Normal_Videos001_x264"]
    assert survey.faults == found


def test_nothing_at_all_is_surveyed_without_an_exception(tmp_path):
    survey = UCFCrimeAR.survey(root=str(tmp_path))
    assert survey.dataset is None
    assert len(survey.faults) == 4, "two workbooks and two folders"


def test_what_one_should_know_stops_nobody(tmp_path):
    make(tmp_path)
    extra = tmp_path / "rgb" / "again" / "Abuse001_x264__0.npy"
    extra.parent.mkdir()
    shutil.copy(tmp_path / "rgb" / f"{TRAIN[0]}__0.npy", extra)
    for name in ("notes.txt", ".DS_Store"):
        (tmp_path / "rgb" / name).touch()
    annotations("Abuse099_x264.mp4  Abuse  1  2  -1  -1\n")(tmp_path)
    found = UCFCrimeAR.survey(root=str(tmp_path))
    UCFCrimeAR(root=str(tmp_path))
    assert found.faults == ()
    for remark in (
        "2 files below",
        "belong to no video, or repeat one: 'notes.txt', 'again/Abuse001_x264__0.npy'",
        "train: 3 videos; the benchmark has 1,610",
        "test: no video of class: Abuse, Arrest, Assault and 9 more",
        "lines of videos that are in no split: 'Abuse099_x264'",
    ):
        assert any(remark in text for text in found.remarks), (remark, found.remarks)
    (tmp_path / "Temporal_Anomaly_Annotation.txt").unlink()
    remarks = layout(root=str(tmp_path)).remarks
    assert any("the anomalies' times are unknown" in text for text in remarks)
    assert UCFCrimeAR(root=str(tmp_path)).truth("Arson009_x264") is None


def test_a_file_of_the_video_itself_wins_over_its_copy(tmp_path):
    make(tmp_path)
    for folder in ("A", "Zzz"):
        copy = tmp_path / "rgb" / folder / "Abuse001_x264__0.npy"
        copy.parent.mkdir()
        np.save(copy, np.full((6, 2), 9, np.float32))
    assert (clips_of(UCFCrimeAR(root=str(tmp_path)), "Abuse001_x264").streams["object"] == 0).all()


@pytest.mark.parametrize("folder", ["/tmp", "..", "a/../../b", "", "C:\\x"])
def test_streams_lie_below_the_root(tmp_path, folder):
    make(tmp_path)
    (fault,) = faults(tmp_path, streams={"object": "rgb", "motion": folder})
    assert "stream 'motion'" in fault
    assert "must be a folder below" in fault


def test_no_streams_are_a_fault(tmp_path):
    make(tmp_path)
    assert faults(tmp_path, streams={}) == ("streams: name at least one, as in {object: rgb}",)


def test_names_say_class_and_folder():
    in_folder = ("Abuse001_x264", "Abuse", "Abuse")
    assert split_name("Abuse/Abuse001_x264.mp4") == in_folder
    assert split_name("UCF\\Abuse\\Abuse001_x264.mp4") == in_folder
    assert split_name("Abuse001_x264") == ("Abuse001_x264", "", "Abuse")
    road = ("RoadAccidents002_x264", "RoadAccidents", "RoadAccidents")
    assert split_name(f"RoadAccidents/{road[0]}.mp4") == road
    folder, video = TRAIN_NORMAL.split("/")
    assert split_name(f"{TRAIN_NORMAL}.mp4") == (video, folder, "Normal")


def test_missing_guide_and_example(tmp_path):
    (line,) = UCFCrimeAR.missing(root=str(tmp_path / "no"))
    assert "varkit data get ucfcrime_ar" in line
    assert UCFCrimeAR.missing(root=str(tmp_path)) == []
    guide = UCFCrimeAR.guide(root="here", streams={"object": "clip"})
    for part in ("here/", "clip/", "ucf_crime_train.xlsx", "Roc-Ng/VAR", "Temporal_Anomaly"):
        assert part in guide


def test_the_example_has_numbers_worth_a_look(tmp_path):
    opened = UCFCrimeAR(**UCFCrimeAR.example(tmp_path))
    clips = clips_of(opened, "Abuse001_x264").streams["object"]
    assert clips.std(axis=0).min() > 0.5
    assert not np.array_equal(clips, clips_of(opened, "Normal_Videos001_x264").streams["object"])


def test_segments_share_the_frames_of_their_video(tmp_path):
    make(tmp_path)
    videos = [x.video for s in ("train", "test") for x in UCFCrimeAR(root=str(tmp_path)).split(s)]
    lines = [f"{video}.mp4 {900 if video == 'Arson009_x264' else 96}" for video in videos]
    (tmp_path / "frames.txt").write_text("\n".join(lines), encoding="utf-8")
    opened = UCFCrimeAR(root=str(tmp_path), frame_counts="frames.txt")
    assert opened.fingerprint() != UCFCrimeAR(root=str(tmp_path)).fingerprint()
    assert opened.open("Arson009_x264").times[:2].tolist() == [[0, 5], [5, 10]]
    assert opened.truth("Arson009_x264").tolist() == [True] + [False] * 5  # frames 35 to 70 of 900
    lines = [line for line in lines[1:] if "Arson" not in line]
    lines += ["Arson009_x264 50", "x", "y 0"]
    (tmp_path / "frames.txt").write_text("\n".join(lines), encoding="utf-8")
    found = "\n".join(faults(tmp_path, frame_counts="frames.txt"))
    for said in ("videos without a line: ", "ends after the video", "number of frames: line "):
        assert said in found
