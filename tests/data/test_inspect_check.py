"""The check before a training: what ``data verify`` refuses, a training refuses too."""

from __future__ import annotations

import os

import numpy as np
import pytest
from varkit_datasets.folder import Folder

from tests.support.faulty_data import change, make, spoil, write
from varkit.data.inspect import check as module
from varkit.data.inspect.check import check_data, verify_and_keep
from varkit.data.inspect.verify import Survey, survey
from varkit.errors import DataError


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache")


@pytest.fixture
def root(tmp_path):
    folder = tmp_path / "data"
    folder.mkdir()
    make(folder)
    return folder


def options(root):
    return {"root": str(root), "streams": {"object": "rgb", "motion": "flow"}}


def opened(root):
    return Folder(**options(root))


def said(root, depth="full"):
    with pytest.raises(DataError) as caught:
        check_data(opened(root), depth)
    return caught.value.what


@pytest.mark.parametrize(
    ("edit", "quick"),
    [
        (spoil(0), False),
        (spoil(3, np.inf, crop=2), False),
        (np.zeros_like, False),
        (lambda array: array[..., :2], True),
        (lambda array: array[:, :5], True),
        (lambda array: array[:2], True),
    ],
)
def test_what_verify_refuses_is_refused_in_its_words(root, edit, quick):
    change(root / "5.rgb.npy", edit)
    faults = verify_and_keep(survey(Folder, options(root))).faults
    assert faults
    assert said(root).splitlines()[1:] == [f"  {fault.text}" for fault in faults]
    if quick:
        assert said(root, "quick") == said(root)
    else:
        assert check_data(opened(root), "quick").numbers == "unread"


def test_a_training_video_copied_into_test_is_refused(root):
    for stream in ("rgb", "flow"):
        (root / f"5.{stream}.npy").write_bytes((root / f"0.{stream}.npy").read_bytes())
    assert "the same features in several splits: 'v0' (train), 'v5' (test)" in said(root)


def test_numbers_are_read_once_for_the_same_files(root):
    told = []
    first = check_data(opened(root), progress=lambda *now: told.append(now))
    assert first.numbers == "read"
    assert first.size > 0
    assert told[-1] == (6, 6)
    again = check_data(opened(root), progress=lambda *now: pytest.fail("numbers were read"))
    assert (again.numbers, again.size) == ("kept", 0)
    assert [r.text for r in again.remarks] == [r.text for r in first.remarks]


@pytest.mark.parametrize("how", ["numbers", "time", "captions", "damaged"])
def test_another_state_of_the_data_means_another_pass(root, how):
    check_data(opened(root))
    if how == "numbers":
        change(root / "1.flow.npy", lambda array: array + 1)
    elif how == "time":
        os.utime(root / "1.flow.npy", ns=(0, 0))
    elif how == "captions":
        (root / "manifest.csv").unlink()
        write(root, [row | {"caption": f"{row['video']} jumps"} for row in make(root)])
    else:
        (kept,) = module.CACHE.iterdir()
        kept.write_text('{"faults": [1], "remarks": []}')
    assert check_data(opened(root)).numbers == "read"
    assert check_data(opened(root)).numbers == "kept"


def test_faults_are_kept_until_the_file_is_mended(root):
    change(root / "5.rgb.npy", spoil(0))
    first = said(root)
    (kept,) = module.CACHE.iterdir()
    assert said(root) == first
    assert list(module.CACHE.iterdir()) == [kept]
    change(root / "5.rgb.npy", np.nan_to_num)
    assert check_data(opened(root)).numbers == "read"


def test_what_data_verify_has_read_is_not_read_again(root):
    verify_and_keep(survey(Folder, options(root)))
    assert check_data(opened(root)).numbers == "kept"


def test_without_a_place_for_results_the_numbers_are_read_each_time(root):
    module.CACHE.touch()
    for _ in range(2):
        with pytest.warns(UserWarning, match="reads all numbers again"):
            assert check_data(opened(root)).numbers == "read"


def test_remarks_on_files_are_told_too(root):
    dataset = opened(root)
    dataset.remarks = ("a file of no video",)
    for _ in range(2):
        assert "a file of no video" in [remark.text for remark in check_data(dataset).remarks]


class Bare(Folder):
    """A data set that does not list its files: only its fingerprint tells."""

    files = property()

    def fingerprint(self):
        return str(self.open("v5").length)


def test_changes_since_the_check_are_named(root):
    listed, bare = opened(root), Bare(**options(root))
    before = check_data(listed), check_data(bare)
    assert before[0].changed(listed) == before[1].changed(bare) == []
    for stream in ("rgb", "flow"):
        change(root / f"5.{stream}.npy", lambda array: array[:, 1:])
    assert before[1].changed(Bare(**options(root))) == ["its fingerprint"]
    (root / "4.rgb.npy").unlink()
    names = [str(root / name) for name in ("4.rgb.npy", "5.flow.npy", "5.rgb.npy")]
    assert before[0].changed(listed) == names


def test_a_data_set_that_cannot_be_opened_is_not_kept(root):
    (root / "0.rgb.npy").unlink()
    assert verify_and_keep(survey(Folder, options(root))).faults
    assert verify_and_keep(Survey(None, ("nothing",))).faults
    assert not module.CACHE.exists()
