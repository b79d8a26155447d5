"""A folder whose streams are in a store, or are extracted from videos before a training."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("av")
from varkit_datasets.folder import Folder

import varkit
from tests.support import extractors as tiny
from tests.support.calls import call, failed, hint, passed, printed
from tests.support.faulty_data import write
from tests.support.stores import SILENT, clock, made, make_store, put
from tests.support.videos import make_video
from varkit.data.inspect.verify import survey, verify
from varkit.errors import DataError
from varkit.media.extraction import Made
from varkit.media.store import Store, stream_file
from varkit.testing.datasets import check_dataset

STREAMS = {"object": "image.features", "audio": "yamnet.features"}
PLUGIN = Path(tiny.__file__)
NAMES = ("gate/a.mp4", "gate/b.mp4", "yard/c.avi", "yard/d.mp4")


def usual(seed):
    return {
        "image": made("image", clock(8, 1.0), seed=seed),
        "yamnet": made("yamnet", clock(8, 0.96), seed=seed + 100),
    }


def rows(*videos, **changes):
    listed = [
        {"video": v, "split": "train" if i < len(videos) - 1 else "test", "caption": f"caption {i}"}
        for i, v in enumerate(videos)
    ]
    listed[0] |= changes
    return listed


@pytest.fixture
def root(tmp_path):
    """A folder with a store of four videos, and a manifest that names them as people do."""
    (tmp_path / "data").mkdir()
    make_store(tmp_path / "store", {name: usual(i) for i, name in enumerate(NAMES)})
    write(tmp_path / "data", rows("gate/a.mp4", "gate/b", "c.avi", "d"))
    return tmp_path / "data"


def opened(root, **options):
    given = {"root": str(root), "store": str(root.parent / "store"), "streams": STREAMS}
    return Folder(**given | options)


def faults(root, **options):
    given = {"root": str(root), "store": str(root.parent / "store"), "streams": STREAMS}
    return " | ".join(survey(Folder, given | options).faults)


def test_it_keeps_the_promises_of_a_data_set(root):
    write(root, rows("gate/a.mp4", "gate/b", "c.avi", "d", anomaly="2-4", label=1))
    check_dataset(opened(root), fresh=opened(root))
    result = verify(
        survey(
            Folder, {"root": str(root), "store": str(root.parent / "store")} | {"streams": STREAMS}
        )
    )
    assert not result.faults
    assert result.size == 4 * 4 * 8 * (4 + 2)


def test_videos_have_the_clips_and_times_of_the_store(root):
    write(root, rows("gate/a.mp4", "gate/b", "c.avi", "d", anomaly="1.9-4.1", label=1))
    data = opened(root)
    assert data.widths == {"object": 4, "audio": 2}
    assert [item.video for item in data.split("train")] == ["gate/a.mp4", "gate/b", "c.avi"]
    video = data.open("gate/b")
    np.testing.assert_allclose(video.times, clock(8, 1.0))
    expected = usual(1)
    np.testing.assert_array_equal(
        video.means(99).streams["object"], expected["image"].streams["features"]
    )
    assert data.truth("gate/a.mp4").tolist() == [False, False, True, True] + [False] * 4
    by_sound = opened(root, clips_of="audio")
    assert by_sound.open("d").times[1].tolist() == [np.float32(0.96), np.float32(1.92)]


def test_a_name_that_fits_several_videos_or_one_that_is_taken_is_a_fault(root):
    with Store(root.parent / "store", writing=True) as store:
        put(store, "yard/a.mp4", usual(9))
    write(root, rows("a", "gate/b", "b.mp4", "d"))
    given = {"root": str(root), "store": str(root.parent / "store"), "streams": STREAMS}
    rest = survey(Folder, given).dataset
    assert [i.video for s in ("train", "test") for i in rest.split(s)] == ["gate/b", "d"]
    assert rest.widths == {"object": 4, "audio": 2}
    said = faults(root)
    assert "video 'a' may be any of: gate/a.mp4, yard/a.mp4" in said
    assert "videos 'gate/b' and 'b.mp4' are the same file 'gate/b.mp4'" in said


def test_videos_without_features_follow_missing_files(root):
    with Store(root.parent / "store", writing=True) as store:
        put(store, "e.mp4", {}, status="failed", reason="no picture can be decoded")
        put(store, "f.mp4", {"image": usual(0)["image"]})
        put(store, "g.mp4", usual(0) | {"yamnet": SILENT})
    write(root, rows("gate/a.mp4", "gate/bb", "e", "f", "g", "d"))
    said = faults(root)
    for part in (
        "no features of 4 of 6 videos",
        "'gate/bb' (there is none of this name. Did you mean 'gate/b'?)",
        "'e' (no picture can be decoded)",
        "'f' ('yamnet' was not extracted from 'f.mp4')",
    ):
        assert part in said
    with pytest.warns(UserWarning, match="left out 4 of 6 videos.*may_lack does not name 'audio'"):
        data = opened(root, missing_files="leave_out")
    assert [item.video for item in data.split("train")] == ["gate/a.mp4"]
    with pytest.warns(UserWarning, match="left out 3 of 6 videos"):
        data = opened(root, missing_files="leave_out", may_lack=("audio",))
    assert data.open("g").absent == {"audio"}
    assert not data.open("g").means(3).streams["audio"].any()


def test_a_damaged_video_is_used_with_a_remark(root):
    with Store(root.parent / "store", writing=True) as store:
        damaged = replace(store.catalogue.video("gate/b.mp4"), status="partial", reason="a hole")
        store.catalogue.put(damaged)
    with pytest.warns(UserWarning, match=r"1 of 4 videos are damaged.*'gate/b' \(a hole\)"):
        assert len(opened(root).split("train")) == 3


def test_a_stream_of_a_still_video_is_a_remark(root):
    with Store(root.parent / "store", writing=True) as store:
        still = usual(0) | {"image": Made({"features": np.ones((9, 4), "f4")}, clock(9, 1.0))}
        put(store, "gate/a.mp4", still)
    given = {"root": str(root), "store": str(root.parent / "store"), "streams": STREAMS}
    result = verify(survey(Folder, given))
    assert not result.faults
    said = "videos with an extracted stream that never changes: 1 (gate/a.mp4)"
    assert said in [remark.text for remark in result.remarks]


def test_the_manifest_s_durations_must_be_the_videos(root):
    write(root, rows("gate/a.mp4", "gate/b", "c.avi", "d", duration=8.1))
    assert faults(root) == ""
    write(root, rows("gate/a.mp4", "gate/b", "c.avi", "d", duration=5))
    assert "video 'gate/a.mp4' lasts 8.0 s, not 5.0 s as the manifest says" in faults(root)


def test_streams_that_the_store_has_not_are_refused_with_those_that_it_has(root):
    with pytest.raises(DataError, match=r"no 'image.colour'.*It has: i3d.features.*image.features"):
        opened(root, streams={"object": "image.colour"})
    with pytest.raises(DataError, match="is not a store of features"):
        opened(root, store=str(root))


def test_the_fingerprint_covers_extractors_and_contents_and_nothing_else(root):
    before = opened(root).fingerprint()
    with Store(root.parent / "store", writing=True) as store:
        for i, name in enumerate(NAMES):
            more = usual(i) | {"i3d": made("i3d", clock(9, 0.64))}
            put(store, name, more)
    assert opened(root).fingerprint() == before, "another extractor changes nothing here"
    shutil.move(root.parent / "store", root.parent / "moved")
    assert opened(root, store=str(root.parent / "moved")).fingerprint() == before
    for change, options in (({"i": 5}, {}), ({}, {"image": {"fps": 2}})):
        place = root.parent / f"store{len(options)}"
        videos = {name: usual(change.get("i", i)) for i, name in enumerate(NAMES)}
        make_store(place, videos, options=options)
        other = opened(root, store=str(place))
        assert other.fingerprint() != before
        assert other.questions() == opened(root, store=str(root.parent / "moved")).questions()


def test_verify_finds_a_file_that_is_not_the_one_that_was_stored(root):
    with Store(root.parent / "store") as store:
        file = stream_file(store.root, store.catalogue.video("gate/a.mp4"))
    data = bytearray(file.read_bytes())
    data[-200] ^= 1
    file.write_bytes(data)
    result = call(
        "data",
        "verify",
        "folder",
        f"root={root}",
        f"store={root.parent / 'store'}",
        "streams={object: image.features}",
    )
    assert result.exit_code == 3
    assert "'gate/a.mp4'" in result.stdout
    assert "SHA-256 differs" in result.stdout


# From video files


RECIPE = """\
version: 1
plugins: [{plugin}]
data:
  use: folder
  root: data
  videos: footage
  extract: {{look: {{use: eye, fps: 4}}, ear: {{}}}}
  streams: {{object: look.light, audio: ear.loudness}}
  may_lack: [audio]
model: {{dim: 8, experts: [object]}}
video: {{use: mean_pool}}
query: {{use: mean_pool}}
alignments: {{avg: {{use: avg, weight: 1.0}}}}
objective: {{use: margin_ranking}}
train: {{epochs: 1, batch_size: 4, select: last}}
eval: {{trec_depth: 0}}
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    folder = tmp_path_factory.mktemp("footage")
    tone = 0.3 * np.sin(np.arange(2 * 48_000) / 20)[None]
    for i in range(5):
        times = list(range(0, 2000, 40 + 10 * i))  # other pictures in each
        make_video(folder / f"v{i}.mp4", times, sound=tone if i % 2 else None)
    return folder


@pytest.fixture
def project(footage, tmp_path, monkeypatch):
    """Videos, a manifest, sounds to search with, and a recipe; no features."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(footage, "footage")
    (tmp_path / "data").mkdir()
    listed = rows(*(f"v{i}" for i in range(5)))
    for i, row in enumerate(listed):
        np.save(tmp_path / "data" / f"{i}.npy", np.random.default_rng(i).random((5, 3), "f4"))
        row["audio"] = f"{i}.npy"
    write(tmp_path / "data", listed)
    recipe = tmp_path / "demo.yaml"
    recipe.write_text(
        RECIPE.format(plugin=PLUGIN).replace("root: data", "root: data\n  query: audio")
    )
    return tmp_path


def run(recipe, *changes):
    return call("run", recipe, *changes, "--device", "cpu", "--threads", torch.get_num_threads())


def test_a_training_extracts_first_and_then_finds_all_done(project):
    passed(run("demo.yaml"))
    store = project / "data" / "features"
    times = {file: file.stat().st_mtime_ns for file in (store / "streams").iterdir()}
    assert len(times) == 5
    passed(run("demo.yaml"))
    assert {file: file.stat().st_mtime_ns for file in times} == times
    folder = next((project / "runs").rglob("run.json")).parent
    passed(call("resume", folder))
    shutil.rmtree(project / "footage")
    passed(run("demo.yaml"))  # the store is enough
    assert varkit.evaluate(folder)["split"] == "test"
    shown = printed(call("data", "show", "demo.yaml", "v1", "--json"))
    assert shown["clips"] == 8


def test_the_constructor_does_not_extract_and_says_what_does(project):
    options = {
        "root": "data",
        "query": "audio",
        "videos": "footage",
        "extract": {"look": {"use": "eye", "fps": 4}, "ear": {}},
        "streams": {"object": "look.light"},
    }
    with pytest.raises(DataError) as caught:
        Folder(**options)
    command = "varkit extract footage --use look=eye,ear --out data/features look.fps=4"
    assert caught.value.hint == command
    assert not (project / "data" / "features").exists()
    passed(call(*command.split()[1:], "--plugin", PLUGIN))
    assert len(Folder(**options).split("train")) == 4
    with pytest.raises(DataError, match=r"'look' \(\w+\) was made with fps=4.0, not 2"):
        Folder(**options | {"extract": {"look": {"use": "eye", "fps": 2}}})
    with pytest.raises(DataError, match="videos and extract belong together"):
        Folder(**options | {"extract": {}})


def test_other_options_are_refused_by_the_store_with_both_fingerprints(project):
    passed(run("demo.yaml"))
    result = run("demo.yaml", "data.extract.look.stride=2")
    assert "differ in options.stride" in failed(result)


def test_what_is_missing_is_told_before_anything_runs(project):
    shutil.rmtree(project / "footage")
    result = call("validate", "demo.yaml")
    assert result.exit_code != 0
    assert "there is no folder footage" in result.output
    passed(call("data", "get", "folder", "root=data", "videos=footage", "streams={object: a.b}"))
    result = call("data", "verify", "folder", "root=data", "store=nowhere", "streams={object: a.b}")
    assert "there is no store nowhere" in result.output
    assert "varkit data get folder" in hint(result)
