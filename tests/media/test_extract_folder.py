"""A folder of media becomes a store: what is in it, what survives a kill, what is refused."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.support import extractors as tiny
from tests.support.videos import make_video, picture
from varkit.errors import DataError, MediaError, PluginError, RecipeError, WriteError
from varkit.media.extract_folder import Request, Watcher, extract_folder
from varkit.media.extractors import Wanted, build_extractors, read_wanted
from varkit.media.plan import plan
from varkit.media.pool import InProcesses
from varkit.media.store import Store, file_stem, stream_file, video_name
from varkit.plugins.loading import load_plugins

PLUGIN = Path(tiny.__file__)
EYE, EAR = Wanted("eye", "eye"), Wanted("ear", "ear")
TONE = 0.3 * np.sin(np.arange(3 * 48_000) / 20)[None]


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Three videos: with sound, without, with silence."""
    folder = tmp_path_factory.mktemp("footage")
    (folder / "gate").mkdir()
    times = list(range(0, 3000, 40))
    make_video(folder / "gate" / "2024-05-01_10-00-00.mp4", times, sound=TONE)
    make_video(folder / "b.mp4", times[:30])
    make_video(folder / "quiet.mkv", times, sound=0 * TONE)
    return folder


def request(media, store, *wanted, **rest):
    return Request(media, store, wanted or (EYE, EAR), (PLUGIN,), threads=1, **rest)


def streams(store):
    return {p.name: p.read_bytes() for p in (store / "streams").iterdir()}


def rows(store):
    with Store(store) as opened:
        return {video.name: video for video in opened.catalogue.videos()}


def test_a_store_holds_what_the_extractors_made(footage, tmp_path):
    summary = extract_folder(request(footage, tmp_path / "s"))
    assert summary.whole
    videos = rows(tmp_path / "s")
    assert list(videos) == ["b.mp4", "gate/2024-05-01_10-00-00.mp4", "quiet.mkv"]
    gate = videos["gate/2024-05-01_10-00-00.mp4"]
    assert (gate.status, gate.camera, gate.start) == ("ok", "gate", "2024-05-01T10:00:00")
    assert gate.coverage == pytest.approx(1, abs=0.02)
    assert gate.duration == pytest.approx(3, abs=0.1)
    assert videos["b.mp4"].made["ear"].absent == "it has no sound"
    assert videos["quiet.mkv"].made["ear"].absent == "its sound is silent"
    with Store(tmp_path / "s") as store:
        tensors = store.tensors(gate)
        assert store.records()["ear"]["streams"]["loudness"]["classes"] == ["loud"]
        assert set(store.tensors(videos["b.mp4"])) == {"eye.light", "eye.size", "eye.times"}
    assert set(tensors) == {"eye.light", "eye.size", "eye.times", "ear.loudness", "ear.times"}
    assert tensors["eye.light"].shape == (15, 24)
    np.testing.assert_allclose(tensors["eye.times"][:, 0], np.arange(15) / 5)
    np.testing.assert_allclose(tensors["ear.times"], [[0, 1], [1, 2], [2, 3]], atol=0.1)
    np.testing.assert_allclose(tensors["ear.loudness"], 0.3 / np.sqrt(2), rtol=0.05)
    for tick, light in enumerate(tensors["eye.light"]):
        shown = picture(5 * tick, 64, 48).astype(float).mean(-1)
        fields = shown.reshape(3, 16, 4, 16).mean((1, 3)).ravel()
        np.testing.assert_allclose(light[:12], fields, atol=12)


def test_any_executor_gives_the_same_bytes(footage, tmp_path):
    extract_folder(request(footage, tmp_path / "one"))
    extract_folder(request(footage, tmp_path / "two"), InProcesses(2), workers=2)
    assert streams(tmp_path / "one") == streams(tmp_path / "two")


def test_what_is_done_is_not_opened_again_and_more_is_added(footage, tmp_path):
    store, alone = tmp_path / "s", tmp_path / "alone"
    assert len(extract_folder(request(footage, store, EYE)).done) == 3
    before = streams(store)
    assert extract_folder(request(footage, store, EYE)).done == []
    assert len(extract_folder(request(footage, store, EAR)).done) == 3
    assert streams(store) != before
    extract_folder(request(footage, alone))
    assert streams(store) == streams(alone)


def test_a_touched_file_is_kept_and_a_changed_one_is_extracted_again(footage, tmp_path):
    media, store = tmp_path / "media", tmp_path / "s"
    shutil.copytree(footage, media)
    extract_folder(request(media, store))
    before = streams(store)
    os.utime(media / "b.mp4", ns=(1, 1))
    assert extract_folder(request(media, store)).done == ["b.mp4"]
    assert streams(store) == before
    assert rows(store)["b.mp4"].source.mtime_ns == 1
    shutil.copy(media / "quiet.mkv", media / "b.mp4")
    extract_folder(request(media, store, EYE))
    changed = rows(store)["b.mp4"]
    assert set(changed.made) == {"eye"}, "streams of the old content are gone"
    with Store(store) as opened:
        assert opened.tensors(changed)["eye.light"].shape == (15, 24)


def test_another_fingerprint_is_refused_with_both_shown(footage, tmp_path):
    store = tmp_path / "s"
    extract_folder(request(footage, store, EYE))
    before = streams(store)
    other = Wanted("eye", "eye", {"fps": 4.0})
    with pytest.raises(DataError) as caught:
        extract_folder(request(footage, store, other))
    built = build_extractors([EYE, Wanted("eye2", "eye", {"fps": 4.0})], load_plugins([PLUGIN]))
    for each in built:
        assert each.fingerprint in caught.value.what
    assert "options.fps" in caught.value.what
    assert streams(store) == before
    assert extract_folder(request(footage, store, Wanted("eye2", "eye", {"fps": 4.0}))).whole


def test_a_path_does_not_count_in_the_fingerprint():
    plugins = load_plugins([PLUGIN])
    one, other, third = (
        build_extractors([Wanted("eye", "eye", options)], plugins)[0].fingerprint
        for options in ({}, {"weights": "/somewhere"}, {"stride": 2})
    )
    assert one == other != third


@pytest.mark.parametrize("executor", [None, InProcesses(2)])
def test_bad_files_are_listed_and_the_rest_is_extracted(executor, footage, tmp_path):
    media, store = tmp_path / "media", tmp_path / "s"
    shutil.copytree(footage, media)
    whole = (media / "quiet.mkv").read_bytes()
    (media / "half.mkv").write_bytes(whole[: len(whole) // 2])
    (media / "noise.mp4").write_bytes(b"no video" * 99)
    (media / "empty.mp4").touch()
    os.mkfifo(media / "pipe.mp4")
    (media / "out.mp4").symlink_to("/etc/passwd")
    strange = os.fsdecode(b"caf\xe9\n'--<b>.mp4")
    shutil.copy(media / "b.mp4", media / strange)
    kwargs = {} if executor is None else {"executor": executor, "workers": 2}
    summary = extract_folder(request(media, store), **kwargs)
    assert not summary.whole
    assert dict(summary.skipped).keys() == {"empty.mp4", "pipe.mp4", "out.mp4"}
    status = {name: video.status for name, video in rows(store).items()}
    assert status.pop("noise.mp4") == "failed"
    assert status.pop("half.mkv") == "partial"
    assert set(status.values()) == {"ok"}
    assert "caf\\xe9\n'--<b>.mp4" in status
    assert rows(store)["half.mkv"].coverage < 0.7
    assert str(media) not in rows(store)["noise.mp4"].reason
    again = extract_folder(request(media, store))
    assert again.done == [], "a file that failed is not tried again"
    assert extract_folder(request(media, store, retry=True)).done == ["noise.mp4"]


def test_a_folder_without_media_makes_no_store(tmp_path):
    (tmp_path / "media").mkdir()
    for place, what in [("media", "holds no video"), ("absent", "cannot be found")]:
        with pytest.raises(MediaError, match=what):
            extract_folder(request(tmp_path / place, tmp_path / "s"))
    assert not (tmp_path / "s").exists()


def test_nan_of_an_extractor_is_that_files_fault(footage, tmp_path):
    summary = extract_folder(request(footage, tmp_path / "s", Wanted("nan", "nan")))
    assert {video.status for video in summary.videos.values()} == {"failed"}
    assert "NaN" in summary.videos["b.mp4"].reason


def test_an_extractor_that_raises_fails_that_file_and_no_other(footage, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(footage / "b.mp4", media / "b.mp4")
    make_video(media / "a.mp4", list(range(0, 800, 40)), size=(96, 48))
    summary = extract_folder(request(media, tmp_path / "s", Wanted("mine", "raises")))
    assert {name: v.status for name, v in summary.videos.items()} == {
        "a.mp4": "failed",
        "b.mp4": "ok",
    }
    reason = summary.videos["a.mp4"].reason
    assert "extractor 'mine' failed: RuntimeError: too wide at" in reason


def test_a_worker_that_dies_is_replaced_and_its_file_tried_once_more(footage, tmp_path):
    trap = tmp_path / "trap"
    trap.touch()
    eye = Wanted("eye", "eye", {"dies": str(trap)})
    summary = extract_folder(request(footage, tmp_path / "s", eye), InProcesses(2), workers=2)
    assert not trap.exists()
    assert summary.whole
    assert len(summary.done) == 3


def test_a_file_that_kills_its_worker_twice_is_set_aside(footage, tmp_path):
    media = tmp_path / "media"
    media.mkdir()
    shutil.copy(footage / "b.mp4", media / "b.mp4")
    make_video(media / "a.mp4", list(range(0, 800, 40)), size=(96, 48))
    eye = Wanted("eye", "eye", {"dies_at": 96})
    summary = extract_folder(request(media, tmp_path / "s", eye), InProcesses(1))
    lost = summary.videos["a.mp4"]
    assert (lost.status, lost.attempts) == ("failed", 2)
    assert "SIGKILL" in lost.reason
    assert summary.videos["b.mp4"].status == "ok"
    assert extract_folder(request(media, tmp_path / "s", eye)).done == []


def test_two_writers_take_different_videos(footage, tmp_path):
    """The second starts while the first works on its first video."""
    media, store = tmp_path / "media", tmp_path / "s"
    media.mkdir()
    for index in range(6):
        shutil.copy(footage / "b.mp4", media / f"{index}.mp4")
    slow = Wanted("eye", "eye", {"slow": 0.3})
    others, half_written = [], store / "streams" / ".0.mp4.part"

    class Second(Watcher):
        def reached(self, path, seconds, of):
            if not others:
                others.append(None)
                half_written.parent.mkdir(exist_ok=True)
                half_written.touch()
                others[0] = extract_folder(request(media, store, slow))
                assert half_written.exists(), "another writer's file"

    first = extract_folder(request(media, store, slow), watcher=Second())
    assert others[0].elsewhere == ["0.mp4"]
    assert others[0].done == [f"{index}.mp4" for index in range(1, 6)]
    assert first.done == ["0.mp4"]
    assert first.whole
    assert {v.status for v in rows(store).values()} == {"ok"}
    assert len(rows(store)) == 6
    extract_folder(request(media, store, slow))
    assert not half_written.exists()


SCRIPT = """
import sys
from pathlib import Path
from varkit.media.extract_folder import Request, extract_folder
from varkit.media.extractors import Wanted
extract_folder(Request(Path(sys.argv[1]), Path(sys.argv[2]),
               [Wanted("eye", "eye", {"slow": 0.02}), Wanted("ear", "ear")],
               [Path(sys.argv[3])], threads=1))
"""


@pytest.mark.slow
def test_killed_at_random_and_started_again_it_gives_the_same_bytes(footage, tmp_path):
    media = tmp_path / "media"
    shutil.copytree(footage, media)
    for index in range(4):
        shutil.copy(media / "quiet.mkv", media / f"{index}.mkv")
    arguments = [sys.executable, "-c", SCRIPT, str(media)]
    random = np.random.default_rng(0)
    for _ in range(5):
        started = subprocess.Popen([*arguments, str(tmp_path / "killed"), str(PLUGIN)])
        while not (tmp_path / "killed" / "streams").exists() and started.poll() is None:
            time.sleep(0.02)
        time.sleep(random.random())
        started.send_signal(signal.SIGKILL)
        started.wait()
    for store in ("killed", "whole"):
        subprocess.run([*arguments, str(tmp_path / store), str(PLUGIN)], check=True)
    assert streams(tmp_path / "killed") == streams(tmp_path / "whole")
    assert rows(tmp_path / "killed") == rows(tmp_path / "whole")


def test_killed_between_a_file_and_the_catalogue_nothing_is_lost(footage, tmp_path, monkeypatch):
    """While an extractor is added to videos that the store has."""
    from varkit.media.catalogue import Catalogue

    store, alone = tmp_path / "s", tmp_path / "alone"
    extract_folder(request(footage, store, EYE))

    def kill(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Catalogue, "put", kill)
    with pytest.raises(KeyboardInterrupt):
        extract_folder(request(footage, store, EAR))
    monkeypatch.undo()
    with Store(store) as opened:
        assert all(opened.tensors(video) for video in opened.catalogue.videos())
    assert extract_folder(request(footage, store, EAR)).whole
    extract_folder(request(footage, alone))
    assert streams(store) == streams(alone)


def test_a_full_disk_keeps_what_is_there(footage, tmp_path, monkeypatch):
    import varkit.media.store as module

    store = tmp_path / "s"
    extract_folder(request(footage, store, EYE))
    before = streams(store)

    def full(path, data):
        raise WriteError("cannot write: No space left on device")

    monkeypatch.setattr(module, "write_bytes", full)
    with pytest.raises(WriteError, match="No space"):
        extract_folder(request(footage, store))
    monkeypatch.undo()
    assert streams(store) == before
    assert extract_folder(request(footage, store)).whole


def test_a_changed_stream_file_is_noticed(footage, tmp_path):
    extract_folder(request(footage, tmp_path / "s", EYE))
    video = rows(tmp_path / "s")["b.mp4"]
    path = stream_file(tmp_path / "s", video)
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with Store(tmp_path / "s") as store, pytest.raises(DataError, match="SHA-256 differs"):
        store.tensors(video)


def test_streams_that_somebody_removed_are_made_again(footage, tmp_path):
    extract_folder(request(footage, tmp_path / "s"))
    before = streams(tmp_path / "s")
    stream_file(tmp_path / "s", rows(tmp_path / "s")["b.mp4"]).unlink()
    assert extract_folder(request(footage, tmp_path / "s")).done == ["b.mp4"]
    assert streams(tmp_path / "s") == before


@pytest.mark.parametrize("content", [b"", b"no database" * 500, None])
def test_a_damaged_catalogue_is_an_error_that_names_it(content, footage, tmp_path):
    store = tmp_path / "s"
    extract_folder(request(footage, store, EYE))
    path = store / "catalogue.sqlite"
    if content is None:
        with sqlite3.connect(path) as changed:
            changed.execute("UPDATE video SET made = '{\"eye\": 3}'")
        changed.close()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=r"catalogue\.sqlite"):
        rows(store)


def test_a_newer_catalogue_is_refused(footage, tmp_path):
    extract_folder(request(footage, tmp_path / "s", EYE))
    with sqlite3.connect(tmp_path / "s" / "catalogue.sqlite") as changed:
        changed.execute("PRAGMA user_version = 9")
    changed.close()
    with pytest.raises(DataError, match="version 9"):
        rows(tmp_path / "s")


def test_a_plan_opens_the_files_and_makes_nothing(footage, tmp_path):
    planned = plan(request(footage, tmp_path / "s"))
    assert (planned.files, planned.done, planned.unknown) == (3, 0, 0)
    assert planned.seconds == pytest.approx(3 + 3 + 1.2, abs=0.2)
    eye, ear = planned.costs
    assert eye.bytes_per_hour == 4 * 25 * 5 * 3600
    assert ear.bytes_per_hour == 4 * 3600
    assert eye.pace > 0
    assert planned.time > 0
    json.dumps(planned.to_dict())
    assert not (tmp_path / "s").exists()
    extract_folder(request(footage, tmp_path / "s"))
    assert plan(request(footage, tmp_path / "s")).files == 0


def test_names_of_files_are_readable_and_differ():
    names = ["a b/c.mp4", "a_b/c.mp4", "x" * 300, "日本.mp4", "..", video_name(Path("a\udcff.mp4"))]
    files = [file_stem(name) for name in names]
    assert len(set(files)) == len(names)
    assert files[0].startswith("a_b_c.mp4-")
    assert all(len(file) < 120 and "/" not in file for file in files)


def test_extractors_are_asked_for_by_name_and_option():
    assert read_wanted(["eye,ear", "second=eye"], ["second.fps=2", "eye.crops=5"]) == [
        Wanted("eye", "eye", {"crops": 5}),
        EAR,
        Wanted("second", "eye", {"fps": 2}),
    ]


@pytest.mark.parametrize(
    ("use", "changes", "what"),
    [
        ([""], [], "at least one"),
        (["eye"], ["eey.fps=2"], "Did you mean 'eye'"),
        (["eye"], ["eye=2"], r"eye\.OPTION=VALUE"),
        (["eye"], ["eye.fsp=2"], "Did you mean 'fps'"),
        (["eye"], ["eye.frames=0"], "frames"),
        (["eye"], ["eye.fps=5000.0"], "between 0 and 1000"),
        (["a b=eye"], [], "letters, digits"),
    ],
)
def test_wrong_wishes_are_refused(use, changes, what):
    with pytest.raises(RecipeError, match=what):
        build_extractors(read_wanted(use, changes), load_plugins([PLUGIN]))


def test_an_unknown_extractor_is_refused_with_the_nearest():
    with pytest.raises(PluginError, match="Did you mean 'eye'"):
        build_extractors(read_wanted(["eyes"], []), load_plugins([PLUGIN]))
