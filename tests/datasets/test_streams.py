"""Streams that single videos lack, that have other rates, or whose crops are on the second axis."""

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from varkit_datasets.features import seen_at_centres
from varkit_datasets.folder import Folder

from tests.support.faulty_data import write
from tests.support.toys import ALL, clips_of
from varkit.data.batches import training_batches
from varkit.data.inspect.verify import survey, verify
from varkit.errors import DataError
from varkit.testing.datasets import check_dataset

STREAMS = {"object": "rgb", "audio": "sound"}
NAN = np.float32("nan")


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def make(root, sounds):
    """A folder with a video for each array of `sounds`: None = an empty cell, a text = the cell."""
    rows = []
    for i, sound in enumerate(sounds):
        np.save(root / f"{i}.npy", drawn(6 + i, 4, seed=i))
        cell = sound if isinstance(sound, str) else f"{i}.s.npy" if sound is not None else ""
        if isinstance(sound, np.ndarray):
            np.save(root / f"{i}.s.npy", sound)
        split = "train" if i < len(sounds) - 1 else "test"
        row = {"video": f"v{i}", "split": split, "caption": f"number {i}", "rgb": f"{i}.npy"}
        rows.append(row | {"sound": cell})
    write(root, rows)


def opened(root, **options):
    return Folder(root=str(root), streams=STREAMS, **options)


def checked(root, **options):
    return verify(survey(Folder, {"root": str(root), "streams": STREAMS} | options))


def texts(findings):
    return [finding.text for finding in findings]


ABSENT = {
    "empty cell": None,
    "no file": "gone.npy",
    "NaN": np.full((7, 3), NAN),
    "NaN of another length": np.full((2, 3), NAN),
    "long NaN": np.full((9000, 3), NAN, np.float16),
    "no clips": np.ones((0, 3), np.float32),
}


@pytest.mark.parametrize("kind", ABSENT)
def test_a_video_may_lack_a_stream_where_the_option_says_so(tmp_path, kind):
    make(tmp_path, [drawn(6, 3), ABSENT[kind], drawn(8, 3), drawn(9, 3)])
    (fault, *_) = texts(checked(tmp_path).faults)
    assert any(word in fault for word in ("missing", "empty", "option may_lack", "differ"))
    folder = opened(tmp_path, may_lack=("audio",))
    check_dataset(folder, fresh=opened(tmp_path, may_lack=("audio",)))
    assert folder.open("v0").absent == frozenset()
    clips = clips_of(folder, "v1")
    assert clips.absent == {"audio"}
    assert clips.streams["audio"].shape == (7, 3)
    assert not clips.streams["audio"].any()
    np.testing.assert_array_equal(clips.streams["object"], drawn(7, 4, seed=1))
    short = folder.open("v1").means(3)
    assert (short.absent, short.streams["audio"].shape) == ({"audio"}, (3, 3))
    found = checked(tmp_path, may_lack=("audio",))
    assert texts(found.faults) == []
    assert "videos that lack stream 'audio': 1 (v1)" in texts(found.remarks)
    assert folder.fingerprint() == found.fingerprint


def test_a_batch_says_which_videos_lack_which_stream(tmp_path):
    make(tmp_path, [drawn(6, 3), None, drawn(8, 3), drawn(9, 3)])
    folder = opened(tmp_path, may_lack=("audio",))
    items = folder.split("train")
    (batch,) = training_batches(
        folder, items, tokenize=lambda texts: texts, batch_size=3, max_clips=ALL, seed=0, epoch=0
    )
    videos = list(batch.video.draws.items)
    assert list(batch.video.present) == ["audio"]
    assert batch.video.present["audio"].tolist() == [video != "v1" for video in videos]
    has = batch.video.has(["object", "audio"])
    assert has[videos.index("v1")].tolist() == [True, False]


@pytest.mark.parametrize(
    ("sound", "said"),
    [
        (np.where(np.arange(7)[:, None] == 3, NAN, drawn(7, 3)), "clip 3 holds NaN"),
        (np.where(np.arange(7)[:, None] < 3, NAN, drawn(7, 3)), "NaN in its first clip but not in"),
        (np.where(np.arange(3) == 1, NAN, drawn(7, 3)), "clip 0 holds NaN"),
    ],
)
def test_nan_in_some_numbers_is_a_fault_in_any_case(tmp_path, sound, said):
    make(tmp_path, [drawn(6, 3), sound, drawn(8, 3), drawn(9, 3)])
    for options in ({}, {"may_lack": ("audio",)}):
        faults = texts(checked(tmp_path, **options).faults)
        assert faults
        assert all("'v1'" in fault and "NaN" in fault for fault in faults)
    assert any(said in fault for fault in faults)


def test_a_video_that_lacks_everything_is_a_fault(tmp_path):
    make(tmp_path, [drawn(6, 3), None, drawn(8, 3), drawn(9, 3)])
    np.save(tmp_path / "1.npy", np.full((7, 4), NAN))
    faults = texts(checked(tmp_path, may_lack=("object", "audio")).faults)
    assert any("video 'v1' lacks all of its streams: object, audio" in fault for fault in faults)


def test_options_name_streams(tmp_path):
    make(tmp_path, [drawn(6, 3), drawn(7, 3)])
    for options in ({"may_lack": ("sound",)}, {"clips_of": "objct"}):
        with pytest.raises(DataError, match="Streams: object, audio"):
            opened(tmp_path, **options)


@pytest.mark.parametrize("every", [1, 2, 5, 6, 7, 12, 13, 100])
@pytest.mark.parametrize("length", [1, 2, 6, 7, 50])
def test_resampling_takes_the_clip_that_is_seen_at_the_centre(every, length):
    slow = []
    for t in range(length):
        centre = (t + 0.5) / length
        slow.append(next(i for i in range(every) if centre * every < i + 1 + 1e-12))
    found = seen_at_centres(every, length)
    exact = (np.arange(length) + 0.5) * every / length % 1 != 0  # between two clips, either
    np.testing.assert_array_equal(found[exact], np.array(slow)[exact])
    assert (np.diff(found) >= 0).all()
    assert 0 <= found.min() <= found.max() < every


def test_streams_of_other_rates_are_resampled_to_the_clips_of_one(tmp_path):
    sounds = [drawn(12, 3), drawn(3, 3), drawn(9, 3), drawn(9, 3), drawn(10_000, 3)]
    make(tmp_path, sounds)
    with pytest.raises(DataError, match="differ by more than one clip") as caught:
        clips_of(opened(tmp_path), "v0")
    assert "clips_of=STREAM" in caught.value.hint
    folder = opened(tmp_path, clips_of="object")
    check_dataset(folder, fresh=opened(tmp_path, clips_of="object"))
    for i, sound in enumerate(sounds):
        clips = clips_of(folder, f"v{i}")
        np.testing.assert_array_equal(clips.streams["object"], drawn(6 + i, 4, seed=i))
        expected = sound[seen_at_centres(len(sound), 6 + i)]
        np.testing.assert_array_equal(clips.streams["audio"], expected)
    found = checked(tmp_path, clips_of="object")
    assert texts(found.faults) == []
    remark = (
        "stream 'audio': 4 of 5 videos have 0.429 to 1e+03 times as many clips as 'object', and "
        "are resampled by time"
    )
    assert remark in texts(found.remarks)
    other = opened(tmp_path, clips_of="audio")
    assert other.open("v0").length == 12
    assert other.fingerprint() != folder.fingerprint() != opened(tmp_path).fingerprint()


@pytest.mark.parametrize("suffix", ["npy", "npz", "safetensors"])
def test_crops_may_be_on_the_second_axis(tmp_path, suffix):
    right = {i: drawn(5, 6 + i, 3, seed=i) for i in range(3)}
    for i, array in right.items():
        turned = np.ascontiguousarray(array.swapaxes(0, 1))
        if suffix == "npy":
            np.save(tmp_path / f"{i}.npy", turned)
        elif suffix == "npz":
            np.savez(tmp_path / f"{i}.npz", turned)
        else:
            save_file({"x": torch.from_numpy(turned)}, tmp_path / f"{i}.safetensors")
    rows = [
        {"video": f"v{i}", "split": s, "caption": f"number {i}", "rgb": f"{i}.{suffix}"}
        for i, s in enumerate(("train", "train", "test"))
    ]
    write(tmp_path, rows)
    options = {"root": str(tmp_path), "streams": {"object": "rgb"}}
    with pytest.raises(DataError, match=r"seem to hold \(T, crops, D\)") as caught:
        Folder(**options)
    assert "option crops_axis" in caught.value.hint
    folder = Folder(**options, crops_axis=1)
    for i, array in right.items():
        reader = folder.open(f"v{i}")
        assert (reader.length, reader.crops) == (6 + i, 5)
        for crop in range(5):
            np.testing.assert_array_equal(reader.means(ALL, crop).streams["object"], array[crop])
    assert texts(verify(survey(Folder, options | {"crops_axis": 1})).faults) == []


@pytest.mark.parametrize(("crops", "told"), [(5, False), (10, False), (12, True), (32, True)])
def test_an_unusual_number_of_crops_is_told(tmp_path, crops, told):
    make(tmp_path, [drawn(crops, 6 + i, 3, seed=i) for i in range(3)])
    for i in range(3):
        np.save(tmp_path / f"{i}.npy", drawn(crops, 6 + i, 4, seed=i))
    found = checked(tmp_path)
    assert texts(found.faults) == []
    said = [text for text in texts(found.remarks) if f"are read as {crops} crops of 6" in text]
    assert len(said) == (2 if told else 0)
    assert all("set crops_axis=1" in text for text in said)
