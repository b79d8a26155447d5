"""``varkit index``, ``varkit search`` and ``varkit find`` as a person calls them."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("av")
pytest.importorskip("soxr")

import av

from tests.support.calls import call, failed, hint, passed, printed
from tests.support.footage import make_footage, write_recipe, write_video
from varkit.search.care import verify
from varkit.search.gallery import Gallery
from varkit.search.index import open_index

A, D = "gate/2024-05-01_10-00-00.mp4", "yard/night.mp4"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory with a folder of videos and a search recipe."""
    monkeypatch.chdir(tmp_path)
    make_footage(tmp_path / "media")
    write_recipe(tmp_path)
    return tmp_path


@pytest.fixture
def indexed(home):
    passed(call("index", "media", "--with", "search_shades.yaml"))
    return home


def test_index_and_search_need_no_option_but_the_recipe(indexed):
    output = passed(call("search", "bright")).stdout
    first = output.splitlines()[0] if not output.startswith("no good") else output.splitlines()[1]
    assert first.startswith(f"1  {A}  0:0")
    again = passed(call("index", "media")).stdout
    assert again.startswith("index: 4 videos, 14 windows\n")


def test_answers_as_json_and_as_paths(indexed):
    told = printed(call("search", "bright", "dark", "-k", "2", "--json"))
    assert told["schema"] == 1
    assert [answer["query"] for answer in told["answers"]] == ["bright", "dark"]
    hit = told["answers"][1]["hits"][0]
    assert hit["video"] == D
    assert hit["path"] == str(indexed / "media" / D)
    assert set(hit) >= {"score", "chance", "confident", "parts", "reasons", "moments", "more"}
    lines = passed(call("search", "bright", "-k", "1", "--paths")).stdout.splitlines()
    assert lines == [str(indexed / "media" / A)]


def test_moments_are_cut_out_as_clips(indexed):
    passed(call("search", "bright", "-k", "2", "--cut", "clips"))
    clips = sorted((indexed / "clips").iterdir())
    assert [clip.name[:3] for clip in clips] == ["01-", "02-"]
    with av.open(str(clips[0])) as file:
        bright = [frame.to_ndarray(format="gray").mean() for frame in file.decode(video=0)]
    assert len(bright) >= 15
    assert np.median(bright) > 180
    with av.open(str(clips[0])) as file:
        assert sum(frame.samples for frame in file.decode(audio=0)) > 2 * 16_000


def test_find_indexes_and_searches_in_one_go(indexed, monkeypatch):
    passed(call("index", "media", "--with", "search_shades.yaml", "--out", "media.index"))
    write_video(indexed / "media" / "new.mp4", [255] * 4)
    lines = passed(call("find", "media", "bright", "--paths", "-k", "1")).stdout.splitlines()
    assert lines == [str(indexed / "media" / "new.mp4")]


def test_two_indexes_are_fused_by_rank(indexed):
    passed(call("index", "media", "--with", "search_shades.yaml", "--out", "other"))
    told = printed(call("search", "bright", "--index", "index", "--index", "other", "--json"))
    hits = told["answers"][0]["hits"]
    assert hits[0]["video"] == A
    assert hits[0]["score"] == pytest.approx(2 / 61)


def test_filters_and_what_they_leave(indexed):
    output = passed(call("search", "bright", "--camera", "yard", "-k", "9")).stdout
    assert "gate/" not in output
    empty = passed(call("search", "bright", "--after", "2030-01-01")).stdout
    assert empty == "nothing in the index passes the filters\n"
    assert "no camera 'yrad'. Did you mean 'yard'?" in failed(
        call("search", "bright", "--camera", "yrad")
    )


def test_mistakes_are_told(home):
    assert "there is no index index" in failed(call("search", "bright"))
    assert "varkit index VIDEOS" in hint(call("search", "bright"))
    nothing = call("search")
    assert nothing.exit_code == 2
    assert "say what to find" in nothing.stderr
    assert "say which videos to index" in failed(call("index", "--with", "labels"))
    failed(call("index", "nowhere", "--with", "search_shades.yaml"))
    result = call("run", "search_labels")
    assert "is a search recipe" in failed(result, 2)
    assert "varkit index VIDEOS --with labels" in hint(result)


def test_an_index_is_not_made_among_other_files(home):
    result = call("index", "media", "--with", "search_shades.yaml", "--out", "media")
    assert "media is a folder with other things in it (gate), not an index" in failed(result)
    assert sorted(path.name for path in (home / "media").iterdir()) == ["gate", "yard"]
    assert "Did you mean 'verify'?" in call("index", "verfy").stderr
    assert "Did you mean 'labels'?" in failed(call("index", "media", "--with", "labls"), 2)


def test_an_unfinished_index_says_so(indexed):
    from varkit.search.facts import read_facts
    from varkit.search.indexing import IndexWriter
    from varkit.search.parts import plugins_of

    root = indexed / "index"
    assert call("search", "bright", "--index", root).stderr == ""
    with IndexWriter(root, read_facts(root), plugins_of(read_facts(root))):
        pass  # as if it was killed here
    assert "is not finished" in call("search", "bright", "--index", root).stderr
    passed(call("index", "media"))
    assert call("search", "bright", "--index", root).stderr == ""


def test_an_answer_is_shown_even_if_a_clip_fails(indexed):
    (indexed / "media" / A).unlink()
    result = call("search", "bright", "-k", "2", "--cut", "clips")
    assert result.exit_code == 1
    assert A in result.stdout
    assert "no clip: " in result.stderr
    assert len(list((indexed / "clips").iterdir())) == 1


def test_damaged_videos_end_with_exit_code_3(indexed):
    (indexed / "media" / "broken.mp4").write_bytes(b"none")
    result = call("index", "media")
    assert result.exit_code == 3
    assert "not in the index: broken.mp4: " in result.stdout
    told = json.loads(call("index", "media", "--json").stdout)
    assert list(told["left_out"]) == ["broken.mp4"]


def test_the_index_is_looked_after(indexed):
    assert passed(call("index", "verify")).stdout == "index: whole\n"
    assert "videos           4" in passed(call("index", "stats")).stdout
    assert "removed yard/night.mp4" in passed(call("index", "delete", "index", D)).stdout
    assert D not in passed(call("search", "dark", "-k", "9")).stdout
    passed(call("index", "rebuild"))
    shard = next((indexed / "index" / "shards").iterdir())
    shard.write_bytes(shard.read_bytes()[:-1])
    assert "1 problems" in call("index", "verify").stdout


def test_names_from_strangers_cannot_control_the_terminal(home):
    (home / "media" / D).rename(home / "media" / "\x1b]0;own\x07.mp4")
    passed(call("index", "media", "--with", "search_shades.yaml"))
    assert "\x1b" not in passed(call("search", "dark", "-k", "9")).stdout


def test_whatever_kills_indexing_loses_nothing(home):
    """Ten kills at random moments; the last start finishes, and nothing is there twice or half."""
    for number in range(12):
        write_video(home / "media" / f"{number}.mp4", [10 * number] * 3)
    command = [sys.executable, "-m", "varkit", "index", "media", "--with", "search_shades.yaml"]
    chance, seen = random.Random(0), set()
    for round_ in range(10):
        process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        time.sleep(chance.uniform(0.5, 3.5))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if not (home / "index" / "catalogue.sqlite").exists():
            continue
        with Gallery(home / "index") as gallery:
            there = {member.name for member in gallery.members()}
        assert seen <= there, f"round {round_}: {seen - there} were there before"
        seen = there
        with open_index(home / "index") as index:
            hits = index.search("bright", k=99)
        assert len({hit.video for hit in hits}) == len(hits)
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
    assert verify(home / "index") == []
    with open_index(home / "index") as index:
        assert len(index.videos) == 16
    kept = {file.name for file in (home / "index" / "shards").iterdir()}
    with Gallery(home / "index") as gallery:
        assert kept == {member.shard for member in gallery.members()}


def test_a_full_disk_is_told_and_the_next_start_goes_on(home):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, ({0}, {0}));"
    code = (
        limit + "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import sys; from varkit.cli import main; sys.argv[0] = 'varkit'; main()"
    )
    command = ["index", "media", "--with", "search_shades.yaml"]
    small = subprocess.run(
        [sys.executable, "-c", code.format(40_000), *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert small.returncode == 1, small
    assert "error" in small.stderr
    assert "Traceback" not in small.stderr
    passed(call(*command))
    assert verify(home / "index") == []
