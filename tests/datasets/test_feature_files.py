"""Feature files as the benchmarks name them: missing, named otherwise, unlike the rest."""

from __future__ import annotations

import errno
import os
import re
import shutil

import numpy as np
import pytest
from varkit_datasets.ucfcrime_ar import UCFCrimeAR

from tests.support.toys import ALL, clips_of
from tests.support.ucfcrime_ar import TEST, TRAIN, faults, make, remarks
from varkit.data.inspect.verify import survey, verify
from varkit.errors import DataError


@pytest.mark.parametrize(
    ("wrong", "close"),
    [
        (lambda name: name.replace("__", "_"), "Abuse001_x264_0.npy"),
        (lambda name: name.replace("__", ".mp4__"), "Abuse001_x264.mp4__0.npy"),
        (str.lower, "abuse001_x264__0.npy"),
        (lambda name: name.replace(".npy", ".npz"), "Abuse001_x264__0.npz"),
    ],
)
def test_files_named_a_little_otherwise_are_pointed_at(tmp_path, wrong, close):
    make(tmp_path)
    for file in list((tmp_path / "rgb").rglob("*.npy")):
        file.rename(file.with_name(wrong(file.name)))
    (fault,) = faults(tmp_path)
    assert f"NAME__0.npy of 5 of 5 videos (did you mean '{close}'?): 'Abuse001_x264'" in fault


def test_what_is_named_a_little_otherwise_is_pointed_at(tmp_path):
    make(tmp_path)
    (tmp_path / "rgb").rename(tmp_path / "RGB")
    (tmp_path / "ucf_crime_test.xlsx").rename(tmp_path / "UCF-Crime_test.xls")
    found = faults(tmp_path)
    book = f"there is no file {tmp_path}/ucf_crime_test.xlsx (did you mean 'UCF-Crime_test.xls'?)"
    assert found == (
        book,
        f"stream 'object': there is no folder {tmp_path}/rgb (did you mean 'RGB'?)",
    )


def test_a_link_to_nothing_is_called_one(tmp_path):
    make(tmp_path)
    shutil.rmtree(tmp_path / "rgb")
    (tmp_path / "rgb").symlink_to(tmp_path / "nowhere")
    assert faults(tmp_path) == (f"stream 'object': {tmp_path}/rgb is a link that leads nowhere",)


def test_an_unreadable_folder_hides_no_other_fault(tmp_path, monkeypatch):
    """Tests may run as root, who may read everything; so the system's answer is given here."""
    make(tmp_path)
    (tmp_path / "rgb" / f"{TRAIN[2]}__0.npy").unlink()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("rgb/Arson"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    first, second = faults(tmp_path)
    assert first == f"{tmp_path}/rgb/Arson cannot be read: Permission denied"
    assert second.endswith(
        "of 3 of 5 videos: 'Arson002_x264', 'Normal_Videos001_x264', 'Arson009_x264'"
    )


def test_files_of_a_list_that_cannot_be_read_are_not_called_superfluous(tmp_path):
    make(tmp_path)
    (tmp_path / "ucf_crime_test.xlsx").unlink()
    assert not any("belong to no video" in text for text in remarks(tmp_path))
    assert not any("in no split" in text for text in remarks(tmp_path))


def test_crops_of_other_lengths_are_refused(tmp_path):
    make(tmp_path, crops=(0, 1, 2))
    for length, crop in ((5, 1), (4, 2)):
        np.save(tmp_path / "rgb" / f"{TRAIN[0]}__{crop}.npy", np.ones((length, 2), np.float32))
    opened = UCFCrimeAR(root=str(tmp_path))
    video = "Abuse001_x264"
    assert [len(clips_of(opened, video, crop)) for crop in (0, 1)] == [6, 5], "one clip is nothing"
    assert len(opened.open(video).means(5, 1)) == 5
    assert len(opened.open(video).means(3, 1)) == 3
    for count in (ALL, 3):
        with pytest.raises(DataError, match=r"__2\.npy has 4 clips; the centre crop has 6"):
            opened.open(video).means(count, 2)
    with pytest.raises(DataError, match="has 4 clips"):
        opened.open(video).pieces("object", 2)
    (fault,) = verify(survey(UCFCrimeAR, {"root": str(tmp_path)}), quick=True).faults
    assert "__2.npy has 4 clips" in fault.text
    with pytest.raises(DataError, match="has 3 crops; there is no crop 3"):
        clips_of(opened, video, 3)


def shaped(root, dims):
    """Give every video one file a stream, of the shape that ``dims(number of the video)`` says."""
    make(root, crops=(None,))
    for stream in ("rgb", "flow"):
        for i, file in enumerate(sorted((root / stream).rglob("*.npy"))):
            np.save(file, np.random.default_rng(i).standard_normal(dims(i)).astype(np.float32))


@pytest.mark.parametrize(
    ("dims", "said"),
    [
        (lambda i: (20 + i, 5, 8), "seem to hold (T, crops, D): expected (crops, T, D)"),
        (lambda i: (8, 20 + i), "seem to hold (D, T): expected (T, D)"),
        (lambda i: (5, 8, 20 + i), "seem to hold (D, T): expected (T, D)"),
    ],
)
def test_axes_the_other_way_round_are_refused(tmp_path, dims, said):
    shaped(tmp_path, dims)
    with pytest.raises(DataError) as caught:
        UCFCrimeAR(root=str(tmp_path))
    assert said in caught.value.what
    swapped = np.zeros(dims(1)).swapaxes(*map(int, re.findall(r"-?\d+", caught.value.hint)))
    assert swapped.shape[-1] == 8, "the hint helps"


def test_videos_of_one_length_are_not_called_the_other_way_round(tmp_path):
    for dims in (
        lambda i: (i + 1, 20 + i % 2, 8),  # of crops and T
        lambda i: (1 if i == 2 else 5, 32, 8),
        lambda i: (32, 16 if i == 2 else 8),
    ):
        shaped(tmp_path, dims)
        opened = UCFCrimeAR(root=str(tmp_path))
        assert opened.widths == {"object": 8, "motion": 8}
    items = *opened.split("train"), *opened.split("test")
    with pytest.raises(DataError, match=r"has shape \(32, 16\); expected \(T, 8\)"):
        [clips_of(opened, item.video) for item in items]


def test_the_width_is_that_of_most_videos_wherever_they_stand(tmp_path):
    names = [f"Abuse/Abuse{i:03}_x264" for i in range(200)]
    make(tmp_path, train=names, test=TEST)
    for i, name in enumerate(names[:80]):
        np.save(tmp_path / "rgb" / f"{name}__0.npy", np.ones((6 + i, 3), np.float32))
    assert UCFCrimeAR(root=str(tmp_path)).widths == {"object": 2, "motion": 2}
