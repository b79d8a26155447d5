"""Captions as the field writes them: from a small file in its real layout to a trained epoch."""

from __future__ import annotations

import json

import pytest

from tests.support.importing import (
    TEST,
    TRAIN,
    VIDEOS,
    clips,
    imported,
    opened,
    rows_of,
    said,
    trained,
    write_json,
    write_lists,
    write_npz,
)
from tests.support.toys import clips_of
from varkit.errors import DataError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def msrvtt(splits=("train",) * 4 + ("validate",) * 2 + ("test",) * 2):
    """As MSRVTT_data.json: sentences in no order, times within the film that a clip is cut from."""
    videos = [
        {
            "category": i,
            "url": "https://www.youtube.com/watch?v=9lZi22qLlEo",
            "video_id": video,
            "start time": 137.72,
            "end time": 137.72 + 2 * (i + 1),
            "split": split,
            "id": i,
        }
        for i, (video, split) in enumerate(zip(VIDEOS, splits, strict=True))
    ]
    pairs = [(video, text) for k in (0, 1) for video in VIDEOS if (text := said(video)[k])]
    sentences = [
        {"caption": text, "video_id": video, "sen_id": n} for n, (video, text) in enumerate(pairs)
    ]
    return {"info": {"year": "2016"}, "videos": videos, "sentences": sentences}


def vatex(videos, languages=("enCap", "chCap")):
    spoken = {"enCap": said, "chCap": lambda name: ["一名男子在跑。", f"{name}。"]}
    return [{"videoID": v, **{key: spoken[key](v) for key in languages}} for v in videos]


CLIPS = tuple(f"Ptf_{i}-RjV0_0001{i}2_0001{i + 1}2" for i in range(8))


def activitynet(videos):
    return {
        video: {
            "duration": 82.73,
            "timestamps": [[0.83, 19.86], [60.81, 17.37]],
            "sentences": [said(video)[0], f" {said(video)[1]}"],
        }
        for video in videos
    }


ANET = tuple(f"v_{'QOlSCBRmfWY'[i:]}{i}" for i in range(8))


def didemo(videos):
    return [
        {
            "annotation_id": k,
            "description": text,
            "video": video,
            "times": [[0, 0], [1, 1], [1, 2], [1, 1]],
            "num_segments": 6,
            "dl_link": "https://www.flickr.com/video_download.gne?id=1",
        }
        for k in (0, 1)
        for video in videos
        if (text := said(video)[k])
    ]


FLICKR = tuple(f"1209039{i}@N02_1348279905{i}_87ef41739{i}.mov" for i in range(8))
FILMS = tuple(f"100{i}_Slumdog_Millionaire_00.25.4{i}.077-00.25.5{i}.718" for i in range(8))


def lsmdc(clips, sentence=True):
    return "".join(
        "\t".join(
            [clip, "00.25.49.500", "00.25.50.250", "00.25.49.077", "00.25.54.718"]
            + ([text] if sentence else [])
        )
        + "\r\n"
        for clip in clips
        for text in (said(clip) if sentence else [""])
    )


def write_layout(name, folder):
    """Write captions of eight videos in a layout; return its files, options and video names."""
    if name == "msrvtt":
        return [write_json(folder / "MSRVTT_data.json", msrvtt())], {}, VIDEOS
    if name == "msrvtt lists":
        texts = [{"image_id": v, "caption": t, "id": 0} for v in VIDEOS for t in said(v)]
        file = write_json(folder / "MSR_VTT.json", {"annotations": texts, "images": []})
        return [file], {"lists": write_lists(folder)}, VIDEOS
    if name == "vatex":
        parts = {"training_v1.0": CLIPS[:4], "validation_v1.0": CLIPS[4:6]}
        files = [write_json(folder / f"vatex_{n}.json", vatex(v)) for n, v in parts.items()]
        public = vatex(CLIPS[6:], ("enCap",))
        name = "vatex_public_test_english_v1.1.json"
        return [*files, write_json(folder / name, public)], {}, CLIPS
    if name == "activitynet":
        parts = {"train": ANET[:6], "val_1": ANET[6:], "val_2": ANET[6:]}
        files = [write_json(folder / f"{n}.json", activitynet(v)) for n, v in parts.items()]
        return files, {}, ANET
    if name == "didemo":
        parts = {"train": FLICKR[:4], "val": FLICKR[4:6], "test": FLICKR[6:]}
        files = [write_json(folder / f"{n}_data.json", didemo(v)) for n, v in parts.items()]
        return files, {}, FLICKR
    if name == "lsmdc":
        parts = {"annos_training": FILMS[:4], "annos_val": FILMS[4:6]}
        parts["challenge_1000_publictect"] = FILMS[6:]
        files = [folder / f"LSMDC16_{n}.csv" for n in parts]
        for file, videos in zip(files, parts.values(), strict=True):
            file.write_text(lsmdc(videos))
        return files, {}, FILMS
    if name == "table":
        rows = ["video_id;sentence;class", *(f"{v};{t};Fire" for v in VIDEOS for t in said(v))]
        (folder / "captions.csv").write_text("\n".join(rows))
        columns = {"video": "video_id", "caption": "sentence"}
        options = {"options": {"columns": columns}, "lists": write_lists(folder)}
        return [folder / "captions.csv"], options, VIDEOS
    file = folder / "captions.txt"
    file.write_text("\n".join(f"{v}|{text}" for v in VIDEOS for text in said(v)))
    return [file], {"lists": write_lists(folder)}, VIDEOS


@pytest.mark.parametrize(
    "name",
    [
        *("msrvtt", "msrvtt lists", "vatex", "activitynet", "didemo", "lsmdc"),
        *("table", "table of lines"),
    ],
)
def test_each_layout_leads_to_a_trained_epoch(name, tmp_path):
    files, options, videos = write_layout(name, tmp_path)
    features = write_npz(tmp_path / "features.npz", videos)
    result = imported(name.split()[0], files, features, tmp_path / "out", **options)
    assert {"train", "test"} <= set(result.counts)
    assert sum(count["videos"] for count in result.counts.values()) == 8
    folder = opened(result)
    for video in videos:
        assert (clips_of(folder, video).streams["object"] == clips(video)).all()
    trained(result, tmp_path)


def test_msrvtt_keeps_categories_durations_and_the_order_of_sentences(tmp_path):
    files, _, _ = write_layout("msrvtt", tmp_path)
    result = imported("msrvtt", files, write_npz(tmp_path / "f.npz"), tmp_path / "out")
    assert result.counts == {
        "train": {"videos": 4, "captions": 8},
        "val": {"videos": 2, "captions": 4},
        "test": {"videos": 2, "captions": 4},
    }
    row = rows_of(tmp_path / "out")["video3"]
    assert row["caption"] == said("video3")
    assert row["class"] == ["sports/actions"]
    assert row["duration"] == 8.0
    assert opened(result).open("video3").times[-1, 1] == 8.0


def test_the_test_list_of_1k_a_has_one_caption_for_each_video(tmp_path):
    content = msrvtt(("train",) * 8)
    file = write_json(tmp_path / "MSRVTT_data.json", content)
    train, test = tmp_path / "MSRVTT_train.9k.csv", tmp_path / "MSRVTT_JSFUSION_test.csv"
    train.write_text("video_id\n" + "\n".join(TRAIN[:5]))
    rows = [f'ret{i},msr{i},{video},"a man, running"' for i, video in enumerate(TEST)]
    test.write_text("\n".join(["key,vid_key,video_id,sentence", *rows]))
    result = imported(
        "msrvtt",
        [file],
        write_npz(tmp_path / "f.npz"),
        tmp_path / "out",
        lists=[("train", train), ("test", test)],
    )
    assert result.counts["test"] == {"videos": 2, "captions": 2}
    assert result.counts["train"] == {"videos": 5, "captions": 10}
    assert rows_of(tmp_path / "out")["video7"]["caption"] == ["a man, running"]
    assert result.left_out == {"video5": "in no list, or in a split that is left out"}
    assert "MSRVTT_JSFUSION_test.csv: its captions replace those of its videos" in result.remarks


def test_a_split_gets_another_meaning_or_is_left_out(tmp_path):
    file = write_json(tmp_path / "train_val_videodatainfo.json", msrvtt())
    features = write_npz(tmp_path / "f.npz")
    result = imported(
        "msrvtt",
        [file],
        features,
        tmp_path / "out",
        renamed={"validate": "test", "test": "none"},
    )
    assert {split: count["videos"] for split, count in result.counts.items()} == {
        "train": 4,
        "test": 2,
    }
    assert list(result.left_out) == ["video6", "video7"]
    all_test = imported("msrvtt", [("test", file)], features, tmp_path / "test")
    assert all_test.counts["test"]["videos"] == 8
    assert any("no video is in split 'train'" in remark for remark in all_test.remarks)


@pytest.mark.parametrize(
    ("language", "captions"),
    [("en", said(CLIPS[0])), ("zh", ["一名男子在跑。", f"{CLIPS[0]}。"]), ("both", None)],
)
def test_vatex_has_two_languages_and_clips_of_ten_seconds(language, captions, tmp_path):
    file = write_json(tmp_path / "vatex_training_v1.0.json", vatex(CLIPS))
    result = imported(
        "vatex",
        [file],
        write_npz(tmp_path / "f.npz", CLIPS),
        tmp_path / "out",
        options={"language": language},
    )
    row = rows_of(tmp_path / "out")[CLIPS[0]]
    both = [*said(CLIPS[0]), "一名男子在跑。", f"{CLIPS[0]}。"]
    assert row["caption"] == (captions or both)
    assert row["duration"] == 10.0
    assert result.counts["train"]["captions"] == (16 if captions else 32)


def test_vatex_clips_of_the_private_test_are_candidates_without_captions(tmp_path):
    files = [
        write_json(tmp_path / "vatex_training_v1.0.json", vatex(CLIPS[:6])),
        write_json(tmp_path / "vatex_private_test_without_annotations.json", vatex(CLIPS[6:], ())),
    ]
    result = imported("vatex", files, write_npz(tmp_path / "f.npz", CLIPS), tmp_path / "out")
    assert result.counts["test"] == {"videos": 2, "captions": 0}
    assert [item.queries for item in opened(result).split("test")] == [(), ()]


def test_vatex_without_the_language_is_refused(tmp_path):
    file = write_json(tmp_path / "vatex_public_test_english_v1.1.json", vatex(CLIPS, ("enCap",)))
    with pytest.raises(DataError, match="has captions, but none in 'zh'"):
        imported(
            "vatex",
            [file],
            write_npz(tmp_path / "f.npz", CLIPS),
            tmp_path / "out",
            options={"language": "zh"},
        )


def test_activitynets_sentences_are_a_paragraph_or_queries_with_moments(tmp_path):
    files, _, _ = write_layout("activitynet", tmp_path)
    # Files of features often call a video without v_.
    features = write_npz(tmp_path / "f.npz", [name[2:] for name in ANET])
    result = imported("activitynet", files, features, tmp_path / "out")
    row = rows_of(tmp_path / "out")[ANET[0]]
    assert row["caption"] == [" ".join(said(ANET[0]))]
    assert row["moments"] == [[[0.83, 19.86], [17.37, 60.81]]], "the second was written end first"
    assert any(remark.startswith("moments that were written end") for remark in result.remarks)
    assert row["duration"] == 82.73
    # Two people described the validation videos.
    assert result.counts["test"] == {"videos": 2, "captions": 4}

    alone = imported(
        "activitynet",
        [files[0], ("val", files[1])],
        features,
        tmp_path / "sentences",
        options={"queries": "sentences"},
    )
    row = rows_of(tmp_path / "sentences")[ANET[0]]
    assert row["caption"] == said(ANET[0])
    assert row["moments"] == [[[0.83, 19.86]], [[17.37, 60.81]]]
    assert alone.counts["val"] == {"videos": 2, "captions": 4}


def test_didemos_descriptions_are_gathered_by_video_and_chunks_become_seconds(tmp_path):
    files, _, _ = write_layout("didemo", tmp_path)
    # The features' names lack the suffix of the videos' files.
    features = write_npz(tmp_path / "f.npz", [name.removesuffix(".mov") for name in FLICKR])
    result = imported("didemo", files, features, tmp_path / "out", options={"queries": "sentences"})
    row = rows_of(tmp_path / "out")[FLICKR[0]]
    assert row["caption"] == said(FLICKR[0])
    assert row["moments"][0] == [[0.0, 5.0], [5.0, 10.0], [5.0, 15.0], [5.0, 10.0]]
    assert "duration" not in row, "longer videos were cut at 30 s"
    assert any("8 of 8 videos have no duration" in remark for remark in result.remarks)
    whole = imported("didemo", files, features, tmp_path / "paragraphs")
    assert whole.counts["train"] == {"videos": 4, "captions": 4}
    assert rows_of(tmp_path / "paragraphs")[FLICKR[0]]["caption"] == [" ".join(said(FLICKR[0]))]


def test_lsmdcs_lines_have_tabs_and_quotation_marks_that_mean_nothing(tmp_path):
    files, _, _ = write_layout("lsmdc", tmp_path)
    start = "\t".join([FILMS[0], *["00.25.49.077", "00.25.54.718"] * 2])
    added = f'{start}\t"SOMEONE nods.\n{start}\tHe\truns.\n{start}\t \n'
    files[0].write_text(files[0].read_text() + added)
    blind = tmp_path / "LSMDC16_annos_blindtest.csv"
    other = "0051_Film_00.00.01.000-00.00.03.000"
    blind.write_text(f"{other}\t00.00.01.100\t00.00.01.900\t00.00.01.000\t00.00.03.000\n")
    result = imported(
        "lsmdc", [*files, blind], write_npz(tmp_path / "f.npz", (*FILMS, other)), tmp_path / "out"
    )
    rows = rows_of(tmp_path / "out")
    assert rows[FILMS[0]]["caption"] == [*said(FILMS[0]), '"SOMEONE nods.', "He runs."]
    assert rows[FILMS[0]]["duration"] == 5.641
    assert rows[FILMS[0]]["moments"][0] == [[0.423, 1.173]], "as aligned by hand, within the clip"
    assert rows[other] | {"moments": 0} == {
        "video": other,
        "split": "test",
        "caption": None,
        "duration": 2.0,
        "moments": 0,
        "object_features": rows[other]["object_features"],
    }
    assert any(remark.startswith("tabs in sentences") for remark in result.remarks)


def test_a_table_keeps_labels_anomalies_classes_and_durations(tmp_path):
    rows = [
        {"video": "a", "split": "training", "caption": ["one", "two"], "label": 1, "duration": 9},
        {"video": "b", "split": "Test", "caption": "three", "label": 0, "class": "Calm"},
        {
            "video": "a",
            "split": "train",
            "caption": "more",
            "anomaly": "1-2",
            "class": "Fire; Riot",
        },
    ]
    file = write_json(tmp_path / "t.json", rows)
    imported("table", [file], write_npz(tmp_path / "f.npz", "ab"), tmp_path / "out")
    made = rows_of(tmp_path / "out")
    assert made["a"] | {"object_features": 0} == {
        "video": "a",
        "split": "train",
        "caption": ["one", "two", "more"],
        "label": 1,
        "anomaly": [[1.0, 2.0]],
        "class": ["Fire", "Riot"],
        "duration": 9.0,
        "object_features": 0,
    }
    assert made["b"]["label"] == 0


def test_every_list_of_a_split_is_read(tmp_path):
    """As lines, as a JSON list, as a table with columns of other names."""
    file = write_json(tmp_path / "MSRVTT_data.json", msrvtt())
    (tmp_path / "a.txt").write_text("video0\n\nvideo1\r\n")
    write_json(tmp_path / "b.json", ["video2"])
    (tmp_path / "c.jsonl").write_text(json.dumps({"videoid": "video3"}))
    lists = [("train", tmp_path / "a.txt"), ("val", tmp_path / "b.json")]
    lists.append(("test", tmp_path / "c.jsonl"))
    result = imported(
        "msrvtt", [file], write_npz(tmp_path / "f.npz"), tmp_path / "out", lists=lists
    )
    splits = {row["video"]: row["split"] for row in rows_of(tmp_path / "out").values()}
    assert splits == {"video0": "train", "video1": "train", "video2": "val", "video3": "test"}
    assert list(result.left_out) == ["video4", "video5", "video6", "video7"]


def refused(name, content, tmp_path, layout="msrvtt", **options):
    file = tmp_path / name
    if isinstance(content, bytes):
        file.write_bytes(content)
    elif isinstance(content, str):
        file.write_text(content)
    else:
        write_json(file, content)
    with pytest.raises(DataError) as caught:
        imported(layout, [file], write_npz(tmp_path / "f.npz"), tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".out*"))
    return str(caught.value)


def test_all_faults_of_all_files_are_listed_at_once(tmp_path):
    content = msrvtt()
    content["videos"][0]["split"] = "trian"
    content["videos"][1]["category"] = 20
    content["videos"][2]["video_id"] = "a\x00b"
    content["videos"][3]["end time"] = "noon"
    content["videos"].append("video9")
    content["sentences"][0]["caption"] = "nan"
    content["sentences"].append({"video_id": "video99", "caption": "x"})
    content["sentences"].append({"video_id": "video4"})
    said = refused("MSRVTT_data.json", content, tmp_path)
    for part in (
        "split 'trian' is not known. Did you mean 'train'?",
        "--split trian=test gives it a meaning",
        "MSRVTT_data.json, video 2: category 20 is not 0 to 19",
        r"'a\x00b' holds the control character",
        "video 4: must be a number; not 'noon'",
        "video 9: a video must be an object; not 'video9'",
        "'nan' is how programs write an empty cell",
        "sentences of videos that are not among its videos: 'video2', 'video99'",
        "sentence 18: it has no 'caption'",
    ):
        assert part in said, said


@pytest.mark.parametrize(
    ("layout", "name", "content", "message"),
    [
        ("msrvtt", "a.json", "[]", "the file must be an object; not []"),
        ("msrvtt", "a.json", '{"sentences": []}', "'videos' must be a list; not None"),
        ("msrvtt", "a.json", '{"videos": 1, "videos": 2}', "key 'videos' occurs twice"),
        ("msrvtt", "a.json", "[" * 100_000, "a.json cannot be read"),
        ("msrvtt", "a.json", b"\xff", "a.json, line 1: not UTF-8 text"),
        ("vatex", "train.json", [{"videoID": "x"}], "'videoID' must end with two times"),
        ("vatex", "train.json", [{"videoID": CLIPS[0], "enCap": "a"}], "'enCap' must be a list"),
        ("vatex", "train.json", [{"videoID": CLIPS[0], "enCap": ["\ud800"]}], "control character"),
        (
            "activitynet",
            "train.json",
            {"v_a": {"sentences": [1]}},
            "a sentence must be text; not 1",
        ),
        (
            "activitynet",
            "train.json",
            {"v_a": {"sentences": ["a"], "timestamps": [[0, 1], [1, 2]]}},
            "1 sentences, but 2 timestamps",
        ),
        (
            "activitynet",
            "train.json",
            {"v_a": {"sentences": ["a"], "timestamps": [[-1, 1]]}},
            "[-1, 1] is not the start and end of a moment",
        ),
        (
            "didemo",
            "train_data.json",
            [{"video": "a", "description": "b", "times": [[1, 6]]}],
            "[1, 6] must be the first and last chunk of a moment, 0 to 5",
        ),
        ("lsmdc", "train.csv", "a\tb\n", "line 1 has 2 cells between tabs; expected 5"),
        ("lsmdc", "train.csv", "a\t1\t2\t3\t4\tb", "'1' is not a time, as in '01.02.27.034'"),
        (
            "table",
            "train.csv",
            "vidoe,caption\na,b",
            "has no column 'video'. Did you mean 'vidoe'?",
        ),
        (
            "table",
            "a.csv",
            "video,caption\na,b",
            "videos without a split; write train=FILE, or name lists",
        ),
        (
            "table",
            "a.csv",
            "video,split,caption\na,train,b\na,test,c",
            "video 'a' is in split 'test' here and in 'train' at a.csv, row 2",
        ),
        ("table", "train.csv", "video,caption\na,", "videos of train need captions"),
    ],
)
def test_a_file_of_another_layout_says_what_was_expected(layout, name, content, message, tmp_path):
    assert message in refused(name, content, tmp_path, layout)


def test_lists_must_agree_with_the_captions_and_with_each_other(tmp_path):
    lists = write_lists(tmp_path)
    with lists[1][1].open("a") as file:
        file.write("\nvideo0\nvideo77")
    said = refused("MSRVTT_data.json", msrvtt(), tmp_path, lists=lists)
    assert "test.txt, line 3: video 'video0' is also in 'train'" in said
    assert "test.txt lists videos that the captions lack" in said
    assert "'video77'" in said
    lists[1][1].write_text("video6\nvideo77")
    file = write_json(tmp_path / "MSRVTT_data.json", msrvtt())
    features = write_npz(tmp_path / "f.npz")
    result = imported(
        "msrvtt", [file], features, tmp_path / "out", lists=lists, missing="leave-out"
    )
    assert result.left_out["video77"] == "in test.txt, but not in the captions"
