"""A folder of one's own data: every format, and every way in which it can be wrong."""

from __future__ import annotations

import gc
import io
import json
import os
import zipfile
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from varkit_datasets.arrays import shape
from varkit_datasets.features import read_pieces
from varkit_datasets.folder import Folder
from varkit_datasets.sources import FeatureError, Source, locate

from tests.support.faulty_data import write as write_csv
from tests.support.toys import ALL, clips_of
from varkit.data.batches import training_batches, video_batches
from varkit.data.collate import segment_means
from varkit.data.in_memory import InMemory
from varkit.data.inspect.verify import survey, verify
from varkit.errors import DataError
from varkit.testing.datasets import check_dataset

STREAMS = {"object": "rgb", "motion": "flow"}


def features(length=5, width=4, seed=0, crops=None):
    dims = (length, width) if crops is None else (crops, length, width)
    return np.random.default_rng(seed).standard_normal(dims).astype(np.float32)


def make(root, *, videos=4, **changes):
    """A small healthy folder; ``changes`` are cells of the first row."""
    rows = []
    for i in range(videos):
        for column, width in (("rgb", 4), ("flow", 3)):
            np.save(root / f"{i}.{column}.npy", features(5 + i, width, seed=i))
        split = "train" if i < videos - 1 else "test"
        cells = {"rgb": f"{i}.rgb.npy", "flow": f"{i}.flow.npy", "anomaly": "", "label": i % 2}
        rows.append({"video": f"v{i}", "split": split, "caption": f"caption {i}"} | cells)
    rows[0] |= changes
    write_csv(root, rows)
    return rows


def opened(root, **options):
    return Folder(root=str(root), **({"streams": STREAMS} | options))


def test_it_keeps_the_promises_of_a_data_set(tmp_path):
    make(tmp_path)
    check_dataset(opened(tmp_path), fresh=opened(tmp_path))


def test_what_is_read_is_what_was_written(tmp_path):
    make(tmp_path, anomaly="1.0-2.1", label=1)
    folder = opened(tmp_path, seconds_per_clip=0.5)
    assert folder.name == tmp_path.name
    assert folder.widths == {"object": 4, "motion": 3}
    assert [item.video for item in folder.split("train")] == ["v0", "v1", "v2"]
    clips = clips_of(folder, "v1")
    np.testing.assert_array_equal(clips.streams["object"], features(6, 4, seed=1))
    assert clips.times[2].tolist() == [1.0, 1.5]
    assert folder.open("v1").length == len(clips) == 6
    assert folder.query("v1#0") == "caption 1"
    assert folder.truth("v0").tolist() == [False, False, True, True, False]
    assert folder.truth("v2").tolist() == [False] * 7, "label 0 says that nothing is anomalous"
    assert folder.truth("v1") is None


def test_rows_of_one_video_are_several_captions(tmp_path):
    rows = make(tmp_path)
    rows.append({"video": "v0", "caption": "another"})
    rows.append(rows[0] | {"caption": "a third"})
    write_csv(tmp_path, rows)
    folder = opened(tmp_path)
    (item, *_) = folder.split("train")
    assert [folder.query(query) for query in item.queries] == ["caption 0", "another", "a third"]


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_other_manifests_say_the_same(tmp_path, kind):
    rows = make(tmp_path)
    rows[1]["label"] = None
    write_csv(tmp_path, rows)
    other = tmp_path / f"manifest.{kind}"
    if kind == "jsonl":
        other.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    else:
        parquet = pytest.importorskip("pyarrow.parquet")
        pyarrow = pytest.importorskip("pyarrow")
        rows = [r | {"label": None if r["label"] is None else float(r["label"])} for r in rows]
        parquet.write_table(pyarrow.Table.from_pylist(rows), other)
    first, second = opened(tmp_path), opened(tmp_path, manifest=other.name)
    assert first.split("train") == second.split("train")
    assert [item.label for item in second.split("train")] == [0, None, 0]


def test_sounds_are_queries(tmp_path):
    rows = make(tmp_path)
    for i, row in enumerate(rows):
        np.save(tmp_path / f"{i}.sound.npy", features(9, 6, seed=i))
        row["audio"] = f"{i}.sound.npy"
    write_csv(tmp_path, rows)
    folder = opened(tmp_path, query="audio", seconds_per_sound_clip=0.96)
    check_dataset(folder)
    assert folder.query_widths == {"audio": 6}
    assert folder.query("v2#0").length == 9
    sound = folder.query("v2#0").means(ALL)
    np.testing.assert_array_equal(sound.streams["audio"], features(9, 6, seed=2))
    assert sound.times[0].tolist() == [0, np.float32(0.96)]


def test_flow_may_be_one_clip_shorter_and_no_more(tmp_path):
    make(tmp_path)
    np.save(tmp_path / "0.flow.npy", features(4, 3))
    folder = opened(tmp_path)
    assert folder.open("v0").length == 4
    assert [len(stream) for stream in clips_of(folder, "v0").streams.values()] == [4, 4]
    np.save(tmp_path / "0.flow.npy", features(3, 3))
    with pytest.raises(DataError, match=r"video 'v0'.*object has 5, motion has 3"):
        clips_of(folder, "v0")


def test_crops(tmp_path):
    make(tmp_path)
    np.save(tmp_path / "0.rgb.npy", features(5, 4, crops=3))
    folder = opened(tmp_path)
    with pytest.raises(DataError, match="differ in crops: object has 3, motion has 1"):
        assert folder.open("v0").crops
    np.save(tmp_path / "0.flow.npy", features(5, 3, crops=3))
    assert folder.open("v0").crops == 3
    assert folder.open("v1").crops == 1
    expected = features(5, 4, crops=3)[2]
    np.testing.assert_array_equal(clips_of(folder, "v0", 2).streams["object"], expected)
    with pytest.raises(DataError, match="has 3 crops; there is no crop 3"):
        clips_of(folder, "v0", 3)


def store(path, array, kind):
    """Write an array, with another one beside it where that goes, and return where it is."""
    file = path / f"a.{kind.split()[0]}"
    if "npy" in kind:
        np.save(file, np.asfortranarray(array) if "Fortran" in kind else array)
    elif "npz" in kind:
        save = np.savez_compressed if "compressed" in kind else np.savez
        save(file, x=np.asfortranarray(array) if "Fortran" in kind else array, y=np.zeros(2))
    else:
        native = array.astype(array.dtype.newbyteorder("="))
        save_file({"x": torch.from_numpy(native), "y": torch.zeros(2)}, file)
    return Source(file, None if "npy" in kind else "x")


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "uint8", ">f4"])
@pytest.mark.parametrize("kind", ["npy Fortran", "npz Fortran", "npz compressed", "safetensors"])
def test_formats_and_types_become_float32(tmp_path, dtype, kind):
    array = (features() * 9).astype(dtype)
    source = store(tmp_path, array, kind)
    (found,) = read_pieces(source, width=4)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_array_equal(found, array.astype(np.float32))
    assert shape(source) == (5, 4)


def test_bfloat16(tmp_path):
    save_file({"x": torch.full((3, 2), 1.5, dtype=torch.bfloat16)}, tmp_path / "a.safetensors")
    (found,) = read_pieces(Source(tmp_path / "a.safetensors"))
    assert (found == 1.5).all()


def test_one_archive_for_many_videos(tmp_path):
    rows = make(tmp_path)
    arrays, flows = (
        {f"v{i}": features(5 + i, width, seed=i) for i in range(4)} for width in (4, 3)
    )
    np.savez(tmp_path / "all.npz", **arrays)
    flows = {name: torch.from_numpy(x) for name, x in flows.items()}
    save_file(flows, tmp_path / "all.safetensors")
    for i, row in enumerate(rows):
        row |= {"rgb": f"all.npz#v{i}", "flow": f"all.safetensors#v{i}"}
    write_csv(tmp_path, rows)
    folder = opened(tmp_path)
    check_dataset(folder)
    np.testing.assert_array_equal(clips_of(folder, "v3").streams["object"], arrays["v3"])
    options = {"tokenize": None, "batch_size": 3, "max_clips": 9, "seed": 0, "epoch": 0}
    sounds = opened(tmp_path)
    sounds.query_kind, sounds.query = "clips", lambda query: folder.open(query.split("#")[0])
    one, other = (
        next(iter(training_batches(sounds, sounds.split("train"), **options, workers=workers)))
        for workers in (0, 2)
    )
    for name, stream in one.video.streams.items():
        assert torch.equal(stream, other.video.streams[name]), "readers must not share a position"


def broken_files(tmp_path):
    """File name -> content that must be refused, and what must be said."""
    buffer = io.BytesIO()
    np.save(buffer, features(50, 4))
    whole = buffer.getvalue()
    with zipfile.ZipFile(tmp_path / "lie.npz", "w") as archive:
        archive.writestr("x.npy", whole[:-40])
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", bytes(2**27))
    np.savez(tmp_path / "two.npz", a=features(), b=features())
    np.savez(tmp_path / "object.npz", x=np.array([{}, {}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "object.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    np.save(tmp_path / "text.npy", np.array([["a", "b"]]))
    np.save(tmp_path / "complex.npy", np.ones((6, 4), complex))
    np.save(tmp_path / "bool.npy", np.ones((6, 4), bool))
    np.save(tmp_path / "empty.npy", np.ones((0, 4), np.float32))
    np.save(tmp_path / "vector.npy", np.ones(4, np.float32))
    np.save(tmp_path / "four.npy", np.ones((1, 2, 3, 4), np.float32))
    np.save(tmp_path / "wide.npy", features(5, 7))
    np.save(tmp_path / "nan.npy", np.where(np.arange(20).reshape(5, 4) == 13, np.nan, 1))
    np.save(tmp_path / "inf.npy", np.full((6, 4), 1e300))
    (tmp_path / "short.npy").write_bytes(whole[:-40])
    (tmp_path / "header.npy").write_bytes(whole[:20])
    (tmp_path / "nothing.npy").write_bytes(b"")
    (tmp_path / "pickle.npy").write_bytes(b"\x80\x04K\x01.")
    (tmp_path / "short.npz").write_bytes((tmp_path / "two.npz").read_bytes()[:-30])
    save_file({"x": torch.ones(50, 4)}, tmp_path / "a.safetensors")
    (tmp_path / "short.safetensors").write_bytes((tmp_path / "a.safetensors").read_bytes()[:-9])
    return {
        "lie.npz": "is truncated: its header promises shape (50, 4)",
        "bomb.npz": "would grow from",
        "two.npz": "holds 2 arrays: name one, as in two.npz#NAME",
        "two.npz#c": "holds no array 'c'",
        "object.npz": "holds Python objects, not numbers",
        "object.npy": "holds Python objects, not numbers",
        "text.npy": "expected (T, 4)",
        "complex.npy": "holds complex128, not numbers",
        "bool.npy": "holds bool, not numbers",
        "empty.npy": "is empty: shape (0, 4)",
        "vector.npy": "has shape (4,); expected (T, 4) or (crops, T, 4)",
        "four.npy": "has shape (1, 2, 3, 4); expected",
        "wide.npy": "has shape (5, 7); expected (T, 4)",
        "nan.npy": "clip 3 holds NaN or infinity",
        "inf.npy": "clip 0 holds NaN or infinity",
        "short.npy": "is truncated: its header promises shape (50, 4)",
        "header.npy": "is damaged: its header claims 118 bytes",
        "nothing.npy": "is empty",
        "pickle.npy": "does not begin like a .npy file",
        "short.npz": "cannot be read",
        "short.safetensors": "cannot be read",
    }


def test_bad_files_are_named_with_video_and_reason(tmp_path):
    rows = make(tmp_path)
    for cell, reason in broken_files(tmp_path).items():
        rows[1]["rgb"] = cell
        write_csv(tmp_path, rows)
        folder = opened(tmp_path)
        with pytest.raises(DataError) as caught:
            clips_of(folder, "v1")
        message = str(caught.value)
        assert message.startswith(f"video 'v1', stream 'object': {tmp_path / cell} "), message
        assert reason in message
        assert "\n" not in message


def test_verify_lists_every_broken_file_and_reads_the_rest(tmp_path):
    """Also what is not a file at all, and headers made to hurt."""
    rows = make(tmp_path, videos=40)
    broken = broken_files(tmp_path)
    os.mkfifo(tmp_path / "pipe.npy")
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    (tmp_path / "device.npz").symlink_to("/dev/zero")
    (tmp_path / "folder.safetensors").mkdir()
    for name in ("sparse.npy", "sparse.npz", "sparse.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(2**40)
    for name, header in HOSTILE_HEADERS.items():
        head = b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header
        (tmp_path / name).write_bytes(head + bytes(64))
    (tmp_path / "long.npy").write_bytes(b"\x93NUMPY\x02\0" + b"\xff" * 64)
    (tmp_path / "deep.safetensors").write_bytes((9000).to_bytes(8, "little") + b"[" * 9000)
    broken |= dict.fromkeys(("sparse.npy", "sparse.npz"), "of which the disk holds 0; refused")
    broken |= {"long.npy": "its header claims 4,294,967,295 bytes"}
    broken |= dict.fromkeys(HOSTILE_HEADERS, "is damaged: its header")
    broken |= {"deep.safetensors": "cannot be read"}
    missing = ["pipe.npy", "device.npz", "folder.safetensors", "loop.npy", "gone.npy"]
    for row, cell in zip(rows, [*broken, *missing], strict=False):
        row["rgb"] = cell
    assert len(broken) > 20
    write_csv(tmp_path, rows)
    result = verify(survey(Folder, {"root": str(tmp_path), "streams": STREAMS}))
    texts = [fault.text for fault in result.faults]
    for cell, reason in broken.items():
        assert [text for text in texts if str(tmp_path / cell) in text and reason in text], cell
    listed = ", ".join(repr(row["video"]) for row in rows if row["rgb"] in missing)
    assert [text for text in texts if f"files of 5 of 40 videos are missing: {listed}" in text]
    assert result.size > 0


HOSTILE_HEADERS = {
    "nested.npy": b"[" * 5000,
    "huge.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (%s, 4)}" % (b"9" * 5000),
    "negative.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': (-4, -4)}",
    "nothing_wide.npy": b"{'descr': '|V0', 'fortran_order': False, 'shape': (10**18, 4)}",
    "text_shape.npy": b"{'descr': '<f4', 'fortran_order': False, 'shape': ('a', 4)}",
}


def test_a_file_that_vanished_is_named(tmp_path):
    make(tmp_path)
    folder = opened(tmp_path)
    (tmp_path / "1.rgb.npy").unlink()
    reader = folder.open("v1")
    looks = [lambda: reader.means(ALL), lambda: reader.pieces("object")]
    looks += [partial(getattr, reader, name) for name in ("length", "times", "crops")]
    for look in looks:
        with pytest.raises(DataError, match=r"^video 'v1', stream 'object': .*npy is not there$"):
            look()
    with pytest.raises(DataError, match=r"1\.rgb\.npy cannot be read: No such file"):
        folder.fingerprint()


@pytest.mark.parametrize("folder", ["/etc/", "../", "x/../../", "C:\\", "C:/"])
def test_paths_that_leave_the_folder_are_refused(tmp_path, folder):
    with pytest.raises(FeatureError):
        locate(tmp_path, f"{folder}a.npy")


@pytest.mark.parametrize("cell", ["a.pkl", "a.pt", "a\0.npy"])
def test_paths_of_no_features_are_refused(tmp_path, cell):
    with pytest.raises(FeatureError):
        locate(tmp_path, cell)


def test_names_may_hold_hashes_and_dots(tmp_path):
    name = "Bad.Boys.1995__#00-26-51_00-27-53_label_B2-0-0__0"
    assert locate(tmp_path, f"{name}.npy") == Source(tmp_path / f"{name}.npy")
    assert locate(tmp_path, f"all.npz#{name}") == Source(tmp_path / "all.npz", name)
    assert locate(tmp_path, f"{name}.npz#x") == Source(tmp_path / f"{name}.npz", "x")


def test_every_fault_of_a_manifest_is_reported_at_once(tmp_path):
    rows = make(tmp_path, videos=3)
    good = rows[0] | {"label": 1}
    bad = [
        ({"video": ""}, "manifest.csv, row 5, column 'video' is empty"),
        ({"split": "trian"}, "row 6, column 'split': 'trian' is not one of train, val, test. Did"),
        ({"label": "2"}, "row 7, column 'label': '2' is not a label; allowed: 0, 0.0 or false"),
        ({"caption": ""}, "row 8, video 'n3': column 'caption' is empty; only videos of val and"),
        ({"rgb": ""}, "row 9, column 'rgb' is empty"),
        ({"rgb": "../a.npy"}, "row 10, column 'rgb': '../a.npy' must be a path below the root"),
        ({"rgb": "no.npy"}, "column 'rgb': the feature files of 1 of 4 videos are missing: 'n6'"),
        ({"anomaly": "5-3"}, "row 12, column 'anomaly': '5-3' must be seconds"),
        ({"anomaly": "x"}, "row 13, column 'anomaly': 'x' must be seconds"),
        ({"anomaly": "1-inf"}, "row 14, column 'anomaly': '1-inf' must be seconds"),
        ({"anomaly": "1-2", "label": "0"}, "row 15, an anomaly in a video whose label is 0"),
        (
            {"video": "v0", "label": 0, "split": "test"},
            "row 16, video 'v0' contradicts itself: column 'split' is train before and test here",
        ),
        ({"video": "v0", "label": "1"}, "row 17, video 'v0' contradicts itself: column 'label'"),
        ({"video": "v0", "label": "", "rgb": "1.rgb.npy"}, "row 18, video 'v0' contradicts itself"),
    ]
    rows += [good | {"video": f"n{i}"} | change for i, (change, _) in enumerate(bad)]
    write_csv(tmp_path, rows)
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    for _, message in bad:
        assert message in str(caught.value)
    assert f"has {len(bad)} faults" in str(caught.value)


def test_a_row_may_have_several_faults_and_spoils_no_other(tmp_path):
    rows = make(tmp_path)
    worst = {"video": "w", "split": "no", "label": "x", "anomaly": "y", "rgb": "a.mp4"}
    nameless = {"split": "train", "caption": "x"}
    write_csv(tmp_path, [*rows, worst, {"video": "w", "caption": "more"}, nameless, nameless])
    with pytest.raises(DataError) as caught:
        opened(tmp_path)
    found = [line.split("'")[1] for line in str(caught.value).splitlines()[1:]]
    said_of_worst = ["split", "label", "anomaly", "rgb", "flow"]
    assert found == [*said_of_worst, "video", "video"], "nothing of its second row"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("manifest.csv", b"", "has no rows"),
        ("manifest.csv", b"video,split,caption,rgb,flow\n", "has no rows"),
        ("manifest.csv", b"video,splits,caption,rgb,flow\na,b,c,d,e\n", "Did you mean 'splits'?"),
        ("manifest.csv", b"video,split\na,b,c\n", "line 2 has more cells than the header"),
        ("manifest.csv", b"video,split\n\xff,b\n", "manifest.csv, line 2: not UTF-8 text"),
        ("manifest.csv", b"video:split:caption\na:b:c\n", "hint: separate the cells with commas"),
        ("manifest.csv", b"video;split,caption\n", "its header has several delimiters: comma, sem"),
        ("manifest.csv", b"video,split,caption,rgb,caption\n", "column 'caption' occurs twice"),
        (
            "manifest.jsonl",
            b'{"video": "a", "video": "b"}\n',
            "line 1: column 'video' occurs twice",
        ),
        ("manifest.json", b'{"a": {"video": "b"}}', "column 'video' occurs twice"),
        ("manifest.json", b"[[1]]", "row 1 is not a JSON object"),
        ("manifest.json", b"3", "expected a list of objects"),
        ("manifest.csv", "video".encode("utf-16"), "is UTF-16 or UTF-32 text"),
        ("manifest.jsonl", b'{"video": "a"}\n{"video": \n', "line 2"),
        ("manifest.jsonl", b"[1]\n", "line 1 is not a JSON object"),
        ("manifest.parquet", b"PAR1 no", "cannot be read"),
        ("manifest.txt", b"", "is not a .csv, .tsv, .json, .jsonl or .parquet file"),
    ],
)
def test_unreadable_manifests(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        opened(tmp_path, manifest=name)
    assert message in str(caught.value)
    assert name in str(caught.value)


def test_missing_says_what_to_do_without_raising(tmp_path):
    (line,) = Folder.missing(root=str(tmp_path / "no"), streams=STREAMS)
    assert "data.root" in line
    make(tmp_path)
    assert Folder.missing(root=str(tmp_path), streams=STREAMS) == []


def test_unknown_names_are_errors(tmp_path):
    make(tmp_path)
    folder = opened(tmp_path)
    with pytest.raises(DataError, match="no split 'val'; it has test, train"):
        folder.split("val")
    with pytest.raises(DataError, match="no video 'x'"):
        clips_of(folder, "x")
    with pytest.raises(DataError, match="at least one stream"):
        opened(tmp_path, streams={})


@pytest.mark.parametrize(
    ("anomaly", "truth"),
    [("0-5.3", [1, 1, 1, 1, 1]), ("2-3.3", [0, 0, 0, 0, 1]), ("0.6-0.7", [0, 1, 0, 0, 0])],
)
def test_a_short_anomaly_counts(tmp_path, anomaly, truth):
    make(tmp_path, label=1, anomaly=anomaly)  # of clips that end at 2.7
    assert opened(tmp_path).truth("v0").tolist() == truth


@pytest.mark.parametrize(
    ("anomaly", "said"),
    [
        ("100-120", r"at 100.0-120.0 s lies after the end of .* at 2.7 s"),
        ("0-5.4", "most of the anomaly"),
        ("2-4", "most of the anomaly"),
    ],
)
def test_an_anomaly_behind_the_end_is_an_error(tmp_path, anomaly, said):
    make(tmp_path, label=1, anomaly=anomaly)
    with pytest.raises(DataError, match=said):
        opened(tmp_path).truth("v0")


def test_the_fingerprint_changes_with_all_but_the_place_of_the_folder(tmp_path):
    root, moved = tmp_path / "a", tmp_path / "b"
    root.mkdir()
    rows = make(root)
    prints = [opened(root).fingerprint(), opened(root, seconds_per_clip=0.4).fingerprint()]
    turned = [row | {"rgb": row["flow"], "flow": row["rgb"]} for row in rows]
    write_csv(root, turned)  # of which file feeds which stream
    prints.append(opened(root).fingerprint())
    make(root, caption="another")
    prints.append(opened(root).fingerprint())
    make(root)
    root.rename(moved)
    assert opened(moved).fingerprint() == prints[0]
    np.save(moved / "2.flow.npy", features(7, 3, seed=99))
    prints.append(opened(moved).fingerprint())
    assert len(set(prints)) == 5


def test_questions_are_the_test_videos_and_their_captions_alone(tmp_path):
    rows = make(tmp_path)
    rows[1]["split"] = "test"
    write_csv(tmp_path, rows)
    first = opened(tmp_path).questions()
    np.save(tmp_path / "3.flow.npy", features(9, 3, seed=99))
    write_csv(tmp_path, [rows[0] | {"caption": "another", "label": 1}, *reversed(rows[1:])])
    assert opened(tmp_path, seconds_per_clip=0.4).questions() == first
    for change in ({"caption": "another"}, {"video": "v9"}, {"split": "train"}):
        write_csv(tmp_path, [rows[0], rows[1] | change, *rows[2:]])
        assert opened(tmp_path).questions() != first


def test_a_long_list_of_faults_is_cut(tmp_path):
    rows = make(tmp_path, videos=22)
    for count, end in ((20, "row 21, column 'label'"), (21, "... and 1 more")):
        write_csv(tmp_path, [row | {"label": "x"} for row in rows[:count]] + rows[count:])
        with pytest.raises(DataError) as caught:
            opened(tmp_path)
        assert end in str(caught.value).splitlines()[-1]


def test_where_nothing_can_be_read_the_first_video_is_named(tmp_path):
    make(tmp_path)
    for i in range(4):
        (tmp_path / f"{i}.rgb.npy").write_bytes(b"none")
    with pytest.raises(DataError, match=r"^video 'v0', stream 'object': .*0\.rgb\.npy does not"):
        opened(tmp_path)


def test_very_short_and_very_long_videos_are_evaluated(tmp_path):
    make(tmp_path)
    np.save(tmp_path / "0.rgb.npy", features(1, 4))
    np.save(tmp_path / "0.flow.npy", features(1, 3))
    np.save(tmp_path / "3.rgb.npy", np.ones((61_000, 4), np.float16))
    np.save(tmp_path / "3.flow.npy", np.ones((60_999, 3), np.float16))
    folder = opened(tmp_path)
    limits = {"max_clips": 60_000, "clips_per_batch": 20}
    batches = list(video_batches(folder, ["v3", "v0", "v1"], seed=0, **limits))
    assert [positions for positions, _ in batches] == [[1, 2], [0]]
    assert batches[0][1].mask.sum(1).tolist() == [1, 6]
    assert batches[1][1].mask.shape == (1, 60_000)  # averaged over as many segments


def slow_means(clips, count):
    edges = [i * len(clips) // count for i in range(count + 1)]
    wide = clips.astype(np.float64)
    return np.stack([wide[a:b].mean(axis=0) for a, b in pairwise(edges)])


@pytest.mark.parametrize("kind", ["npy", "npy Fortran", "npz", "safetensors"])
@pytest.mark.parametrize(
    ("length", "count", "crops"),
    [(9, 9, None), (9, 4, None), (10_007, 7, None), (10_007, 1024, 3), (9000, 8999, None)],
)
def test_pieces_are_the_first_clips_and_their_means_those_of_the_whole(
    tmp_path, kind, length, count, crops
):
    array = features(length + 1, 3, seed=length, crops=crops)
    source = store(tmp_path, array, kind)
    for crop in range(crops or 1):
        whole = (array if crops is None else array[crop])[:length]
        pieces = list(read_pieces(source, length, width=3, crop=crop))
        np.testing.assert_array_equal(np.concatenate(pieces), whole)
        means = segment_means({"object": pieces}, np.zeros((length, 2), np.float32), count)
        found = means.streams["object"]
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, slow_means(whole, count), rtol=1e-5, atol=1e-6)


def test_pieces_say_what_is_wrong(tmp_path):
    array = features(20_000, 3)
    array[17_777, 1] = np.nan
    np.save(tmp_path / "a.npy", array)
    source = Source(tmp_path / "a.npy")
    with pytest.raises(FeatureError, match="clip 17777 holds NaN or infinity"):
        list(read_pieces(source))
    assert sum(map(len, read_pieces(source, 17_777))) == 17_777, "clips behind it do not count"
    with pytest.raises(FeatureError, match="expected \\(T, 4\\)"):
        read_pieces(source, width=4)
    with pytest.raises(FeatureError, match="has 1 crops; there is no crop 1"):
        read_pieces(source, crop=1)


def test_the_longest_video_is_averaged_in_pieces_as_in_one(tmp_path):
    make(tmp_path)
    np.save(tmp_path / "0.rgb.npy", features(61_000, 4, seed=1, crops=2).astype(np.float16))
    flow = features(60_999, 3, seed=2, crops=2)
    np.save(tmp_path / "0.flow.npy", flow)
    folder = opened(tmp_path)
    for crop, count in ((0, 1024), (1, 1024), (0, 50_000)):
        whole = InMemory(clips_of(folder, "v0", crop)).means(count)
        parts = folder.open("v0").means(count, crop)
        for stream in STREAMS:
            np.testing.assert_array_equal(parts.streams[stream], whole.streams[stream])
        np.testing.assert_array_equal(parts.times, whole.times)
        expected = slow_means(flow[crop], count)
        np.testing.assert_allclose(parts.streams["motion"], expected, rtol=1e-5, atol=1e-6)


def test_an_anomaly_that_fills_just_half_a_clip_counts_anywhere(tmp_path):
    """Times are float32, which far behind the start is too coarse to say what a half is."""
    rows = make(tmp_path, label=1)
    for column, width in (("rgb", 4), ("flow", 3)):
        np.save(tmp_path / f"0.{column}.npy", np.ones((61_000, width), np.float16))
    clips = (1, 42, 60_001)
    rows[0]["anomaly"] = "; ".join(f"{(16 * c + 8) / 30!r}-{(16 * c + 48) / 30!r}" for c in clips)
    write_csv(tmp_path, rows)
    found = np.flatnonzero(opened(tmp_path, seconds_per_clip=16 / 30).truth("v0"))
    assert found.tolist() == [c + k for c in clips for k in range(3)]


def test_no_file_stays_open(tmp_path):
    make(tmp_path)
    folder = opened(tmp_path)
    clips_of(folder, "v0")
    gc.collect()  # what earlier tests left open is closed now, and not between the two looks
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        clips_of(folder, "v0"), folder.open("v1").crops, folder.open("v2").length
    assert len(os.listdir("/proc/self/fd")) == before
