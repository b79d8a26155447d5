"""Media files are found under any name, and nothing outside of the folder is."""

import os
from datetime import UTC, datetime
from pathlib import Path, PurePath

import pytest

from tests.support.videos import make_video
from varkit.errors import DataError, MediaError
from varkit.media.files import find_media
from varkit.media.recordings import camera_of, start_of

ODD = [
    "new\nline.mp4",
    "quote\"s'.MP4",
    "-i.mp4",
    "emoji 🎥.mkv",
    "<script>alert(1)</script>.webm".replace("/", "∕"),
    "x" * 251 + ".mp4",
    os.fsdecode(b"latin-\xe9.avi"),
    "%d $(touch x); `y`.mp4",
]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "root"
    (root / "gate").mkdir(parents=True)
    return root


def test_files_with_odd_names_are_found_and_decoded(decoder, tmp_path, folder):
    video = make_video(tmp_path / "a.mkv", range(0, 200, 40)).read_bytes()
    for name in ODD:
        (folder / "gate" / name).write_bytes(video)
    listing = find_media(folder)
    assert listing.files == tuple(sorted(Path("gate", name) for name in ODD))
    assert listing.skipped == ()
    for file in listing.files:
        assert decoder.decode(folder / file).facts.container == "matroska,webm"


def test_what_does_not_fit_is_skipped_with_the_reason(tmp_path, folder):
    (folder / "a.mp4").write_bytes(b"x")
    (folder / "notes.txt").write_bytes(b"x")
    (folder / "empty.mp4").touch()
    (folder / "._a.mp4").write_bytes(b"x")
    os.mkfifo(folder / "pipe.mp4")
    (folder / "b.mp4").symlink_to("a.mp4")
    (folder / "loop.mp4").symlink_to("loop.mp4")
    (tmp_path / "secret.mp4").write_bytes(b"x")
    (folder / "out.mp4").symlink_to("../secret.mp4")
    (folder / "gate" / "up").symlink_to("..")
    (folder / "folder.mp4").mkdir()
    (folder / "folder.mp4" / "c.mp4").write_bytes(b"x")
    listing = find_media(folder)
    assert list(map(str, listing.files)) == ["a.mp4", "b.mp4", "folder.mp4/c.mp4"]
    assert {str(file): reason for file, reason in listing.skipped} == {
        "._a.mp4": "its name begins with a dot",
        "empty.mp4": "it is empty",
        "gate/up": "it is a link to a folder",
        "loop.mp4": "it is a link that leads nowhere",
        "out.mp4": "it is a link that leads out of the folder",
        "pipe.mp4": "it is not a file",
    }


def test_the_folder_may_be_a_link_and_one_file_is_enough(tmp_path, folder):
    (folder / "gate" / "a.bin").write_bytes(b"x")
    (folder / "gate" / "a.mp4").write_bytes(b"x")
    (tmp_path / "link").symlink_to(folder)
    assert find_media(tmp_path / "link").files == (Path("gate/a.mp4"),)
    assert find_media(folder / "gate" / "a.bin").files == (Path("a.bin"),)
    with pytest.raises(MediaError, match="cannot be found"):
        find_media(tmp_path / "missing")


@pytest.mark.parametrize(
    ("name", "created", "expected"),
    [
        ("20240501_134530.mp4", None, "2024-05-01T13:45:30"),
        ("gate.20240501134530.mp4", None, "2024-05-01T13:45:30"),
        ("NVR_ch2_20240501134530_20240501140000.mp4", None, "2024-05-01T13:45:30"),
        ("VID-2024-05-01-13-45-30.mp4", None, "2024-05-01T13:45:30"),
        ("Screen Recording 2024-05-01 at 13.45.30.mov", None, "2024-05-01T13:45:30"),
        ("2024.05.01 13h45m30.avi", None, "2024-05-01T13:45:30"),
        ("PXL_20240501_134530123.mp4", None, "2024-05-01T13:45:30"),
        ("20240501T134530Z.mp4", None, "2024-05-01T13:45:30+00:00"),
        ("gate/2024-05-01/13.45.30-14.00.00.dav", None, "2024-05-01T13:45:30"),
        ("2024-13-01_13-45-30.mp4", None, None),
        ("1234567890123456789012.mp4", None, None),
        ("20240501.mp4", None, None),
        ("a.mp4", "2024-05-01T13:45:30.000000Z", "2024-05-01T13:45:30+00:00"),
        ("a.mp4", "2024-05-01T15:45:30+0200", "2024-05-01T15:45:30+02:00"),
        ("20240501_134530.mp4", "1904-01-01T00:00:00Z", "2024-05-01T13:45:30"),
        ("20240501_134530.mp4", "yesterday", "2024-05-01T13:45:30"),
        ("20240501_134530.mp4", "2023-01-01T00:00:00Z", "2023-01-01T00:00:00+00:00"),
        ("a.mp4", None, None),
    ],
)
def test_the_start_of_a_recording(name, created, expected):
    start = start_of(PurePath(name), created)
    assert (start and start.time.isoformat()) == expected
    if start is not None:
        assert start.source == ("metadata" if created and expected[:4] == created[:4] else "name")


def test_the_start_is_read_from_the_metadata_of_a_file(decoder, tmp_path):
    made = {"creation_time": "2024-05-01T13:45:30.000000Z"}
    for name in ("a.mp4", "a.mkv"):
        path = make_video(tmp_path / name, range(0, 200, 40), metadata=made)
        start = start_of(PurePath(name), decoder.decode(path).facts.created)
        assert start.time == datetime(2024, 5, 1, 13, 45, 30, tzinfo=UTC)
        assert start.source == "metadata"


def test_the_camera_is_the_outer_folder_or_what_a_pattern_says():
    assert camera_of(PurePath("gate/2024/a.mp4")) == "gate"
    assert camera_of(PurePath("a.mp4")) is None
    assert camera_of(PurePath("2024-05-01/ch12_main.mp4"), r"ch(?P<camera>\d+)_") == "12"
    assert camera_of(PurePath("a.mp4"), r"ch(?P<camera>\d+)_") is None
    with pytest.raises(DataError, match="is wrong"):
        camera_of(PurePath("a.mp4"), "(")
    with pytest.raises(DataError, match="no group camera") as caught:
        camera_of(PurePath("a.mp4"), r"ch(\d+)")
    assert "(?P<camera>...)" in caught.value.hint
