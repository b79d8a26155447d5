"""``varkit extract`` as a person calls it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")

from tests.support import extractors as tiny
from tests.support.calls import call, failed, hint, passed, printed
from tests.support.videos import make_video

PLUGIN = Path(tiny.__file__)
TONE = 0.3 * np.sin(np.arange(2 * 48_000) / 20)[None]


@pytest.fixture
def footage(tmp_path):
    media = tmp_path / "media"
    (media / "door").mkdir(parents=True)
    make_video(media / "door" / "a.mp4", list(range(0, 2000, 40)), sound=TONE)
    make_video(media / "b.mp4", list(range(0, 1200, 40)))
    return media


def arguments(media, out, *rest, use="eye,ear"):
    return [*map(str, _arguments(media, out, rest, use))]


def extract(*given, **rest):
    return call(*arguments(*given, **rest))


def _arguments(media, out, rest, use):
    return ("extract", media, "--use", use, "--out", out, "--plugin", PLUGIN, *rest)


def test_it_says_what_was_made_and_what_is_absent(footage, tmp_path):
    output = passed(extract(footage, tmp_path / "s")).stdout
    assert "2 ok; 2 of them done now" in output
    assert "1 without ear: it has no sound" in output
    again = passed(extract(footage, tmp_path / "s")).stdout
    assert "2 ok; 0 of them done now" in again


def test_json_lists_every_video(footage, tmp_path):
    (footage / "c.mp4").write_bytes(b"none")
    result = extract(footage, tmp_path / "s", "--json")
    assert result.exit_code == 3
    told = json.loads(result.stdout)
    assert told["whole"] is False
    by_name = {video["video"]: video for video in told["videos"]}
    assert by_name["c.mp4"]["status"] == "failed"
    assert by_name["door/a.mp4"]["camera"] == "door"
    assert by_name["door/a.mp4"]["made"]["ear"] == {"clips": 2, "absent": None}
    assert by_name["b.mp4"]["made"]["ear"]["absent"] == "it has no sound"


def test_partial_and_failed_files_are_listed_with_exit_code_3(footage, tmp_path):
    whole = (footage / "b.mp4").read_bytes()
    (footage / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    (footage / "pipe.mp4").symlink_to(tmp_path)
    result = extract(footage, tmp_path / "s")
    assert result.exit_code == 3
    assert "failed:\n  cut.mp4: " in result.stdout
    assert "skipped:\n  pipe.mp4: it is a link" in result.stdout


def test_a_plan_costs_nothing(footage, tmp_path):
    output = passed(extract(footage, tmp_path / "s", "--plan")).stdout
    assert "2 files to extract, 0 in the store already" in output
    assert "eye" in output
    assert not (tmp_path / "s").exists()
    told = printed(extract(footage, tmp_path / "s", "--plan", "--json"))
    assert told["files"] == 2
    assert [cost["name"] for cost in told["costs"]] == ["eye", "ear"]


def test_options_stand_at_the_end_and_mistakes_name_the_nearest(footage, tmp_path):
    passed(extract(footage, tmp_path / "s", "eye.fps=2"))
    assert "Did you mean 'eye'" in failed(extract(footage, tmp_path / "t", "eyes.fps=2"), 2)
    assert "Did you mean 'fps'" in failed(extract(footage, tmp_path / "t", "eye.fsp=2"), 2)
    result = extract(footage, tmp_path / "s", "eye.fps=4")
    assert "options.fps" in failed(result)
    assert "another name (eye2=eye)" in hint(result)
    assert not (tmp_path / "t").exists()


@pytest.mark.parametrize("name", ["absent", "media/b.mp4/c"])
def test_a_folder_that_is_not_there_is_an_error(name, footage, tmp_path):
    assert "cannot be found" in failed(extract(tmp_path / name, tmp_path / "s"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_and_the_same_command_continues(number, footage, tmp_path):
    for index in range(5):
        shutil.copy(footage / "b.mp4", footage / f"{index}.mp4")
    command = arguments(footage, tmp_path / "s", "eye.slow=0.2", use="eye")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    program = [sys.executable, "-m", "varkit", *command]
    process = subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    while not list((tmp_path / "s").glob("streams/*")) and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number, errors
    assert "the same command continues" in errors
    output = passed(call(*command)).stdout
    assert "7 ok;" in output
    assert "7 of them done now" not in output
    assert list((tmp_path / "s" / "writers").iterdir()) == []


@pytest.mark.slow
def test_ray_gives_the_same_bytes_and_survives_the_death_of_a_worker(footage, tmp_path):
    pytest.importorskip("ray")
    for index in range(4):
        shutil.copy(footage / "b.mp4", footage / f"{index}.mp4")
    trap = tmp_path / "trap"
    trap.touch()
    for store, rest in (("ray", ["--executor", "ray", "--workers", "2"]), ("local", [])):
        passed(extract(footage, tmp_path / store, f"eye.dies={trap}", *rest, use="eye"))
    assert not trap.exists()
    made = [
        {p.name: p.read_bytes() for p in (tmp_path / s / "streams").iterdir()}
        for s in ("ray", "local")
    ]
    assert made[0] == made[1]
