"""The simulated benchmarks: deterministic, whole or absent, and read as the real ones are."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import tracemalloc
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from varkit_datasets.spreadsheets import read_table
from varkit_datasets.ucfcrime_ar import UCFCrimeAR
from varkit_datasets.xdviolence_ar import XDViolenceAR
from varkit_simulator import features as looks
from varkit_simulator import files
from varkit_simulator.features import ALWAYS, STRENGTH, Knobs, cues, render
from varkit_simulator.files import write_benchmark
from varkit_simulator.simulated import Simulated

from tests.support.simulated import SMALL, factors_at, population, possible_lags
from tests.support.toys import clips_of
from varkit.errors import DataError
from varkit.testing.datasets import check_dataset

both_tasks = pytest.mark.parametrize("task", ["text", "audio"])
KNOBS = Knobs(width=8, noise=0.6, camera=1.0, threat=0.75, crops=1, seed=0)


def contents(folder):
    """Every file: its bytes, or the cells of a spreadsheet, whose bytes say when it was made."""
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    wanted = ["Video Name", "English Text"]
    return {
        name: read_table(path, wanted) if path.suffix == ".xlsx" else path.read_bytes()
        for name, path in files.items()
    }


@both_tasks
def test_it_keeps_the_promises_of_a_data_set_and_says_that_it_is_simulated(tmp_path, task):
    options = {"task": task, "root": str(tmp_path)} | SMALL
    dataset = Simulated(**options)
    check_dataset(dataset, fresh=Simulated(**options))
    assert dataset.simulated
    assert dataset.name == {"text": "simulated-ucf", "audio": "simulated-xd"}[task]
    assert dataset.widths == {"object": 8, "motion": 8}
    assert dataset.query_widths == ({} if task == "text" else {"audio": 8})
    assert len(dataset.split("train")) + len(dataset.split("test")) == 24


@both_tasks
@pytest.mark.parametrize("videos", [2, 3, 5])
def test_tiny_worlds_can_be_trained_on(tmp_path, task, videos):
    options = {"task": task, "videos": videos, "test": 0.34, "median_clips": 1, "width": 1}
    check_dataset(Simulated(size="small", root=str(tmp_path), **options))


@both_tasks
def test_two_roots_hold_the_same_and_another_seed_something_else(tmp_path, task):
    folders = [
        Simulated(task=task, root=str(tmp_path / name), seed=seed, **SMALL).folder
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, second, other = map(contents, folders)
    assert first == second
    streams = 2 if task == "text" else 3
    assert sum(name.endswith(".npy") for name in first) == 24 * streams
    assert folders[0].name == folders[1].name != folders[2].name
    assert not {first[n] for n in first if n.endswith(".npy")} & {*map(str, other.values())}


@both_tasks
def test_how_many_clips_are_in_memory_at_a_time_changes_no_byte(tmp_path, task):
    for piece in (7, 10_000):
        (tmp_path / str(piece)).mkdir()
        knobs = replace(KNOBS, crops=2)
        write_benchmark(task, population(task), knobs, tmp_path / str(piece), piece=piece)
    assert contents(tmp_path / "7") == contents(tmp_path / "10000")


def test_a_video_of_hours_is_never_in_memory_as_a_whole():
    video = replace(population(videos=4)[0], clips=30_000)
    knobs = replace(KNOBS, width=256)
    shown = cues(video, knobs.seed, "text")
    tracemalloc.start()
    pieces = render(shown, knobs, stream="motion", video=0, length=30_000, piece=500)
    total = sum(piece.nbytes for piece in pieces)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total == 30_000 * 256 * 4
    assert peak < total / 3


@pytest.mark.parametrize(("task", "reader"), [("text", UCFCrimeAR), ("audio", XDViolenceAR)])
def test_opened_as_the_real_benchmark_it_still_says_that_it_is_simulated(tmp_path, task, reader):
    written = Simulated(task=task, **SMALL, root=str(tmp_path))
    assert reader(root=str(written.folder)).simulated
    (written.folder / "ground_truth.json").unlink()
    assert not reader(root=str(written.folder)).simulated


def test_a_complete_folder_is_used_again(tmp_path):
    folder = Simulated(root=str(tmp_path), **SMALL).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert Simulated(root=str(tmp_path), **SMALL).folder == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def _open(root):
    Simulated(root=root, **SMALL)


def _killed_in_a_file(root, number):
    write, before = files.write_npy, iter(range(number))

    def write_or_die(path, shape, pieces):
        if next(before, None) is None:
            pieces = (os.kill(os.getpid(), signal.SIGKILL) for _ in pieces)
        write(path, shape, pieces)

    files.write_npy = write_or_die
    _open(root)


def test_killed_while_generating_it_leaves_no_half_data_set(tmp_path):
    # forkserver: forking a process that has run torch may hang
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_killed_in_a_file, args=(str(tmp_path), 20))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".*.part/*/*/*.npy"))) == 21
    assert [path.name[0] for path in tmp_path.iterdir()] == [".", "."], "a lock and a part"
    dataset = Simulated(root=str(tmp_path), **SMALL)
    assert all(len(clips_of(dataset, item.video)) for item in dataset.split("test"))
    assert not list(tmp_path.glob("*.part"))


def test_processes_that_start_together_make_it_once(tmp_path):
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=_open, args=(str(tmp_path),)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(list(folder.rglob("*.npy"))) == SMALL["videos"] * 2


@both_tasks
def test_what_is_read_is_what_was_drawn(tmp_path, task):
    dataset = Simulated(task=task, root=str(tmp_path), **(SMALL | {"videos": 60}))
    read = [(split, item) for split in ("train", "test") for item in dataset.split(split)]
    for (split, item), video in zip(read, population(task, 60, test=0.25), strict=True):
        assert (item.video, split) == (video.name, video.split)
        assert (item.label, item.classes) == (int(video.anomalous), video.classes)
        assert len(clips_of(dataset, video.name)) == video.clips
        query = dataset.query(item.queries[0])
        if task == "text":
            assert query == video.caption
        else:
            assert video.clips <= query.length <= video.clips + 1
            assert all((piece >= 0).all() for piece in query.pieces("audio"))


@both_tasks
def test_the_truth_is_what_the_annotations_say(tmp_path, task):
    dataset = Simulated(task=task, root=str(tmp_path), **SMALL)
    facts = dataset.ground_truth()
    for item in [*dataset.split("train"), *dataset.split("test")]:
        told, masks = facts[item.video], dataset.masks(item.video)
        assert told["clips"] == dataset.open(item.video).length
        np.testing.assert_array_equal(dataset.truth(item.video), masks["anomaly"])
        assert masks["anomaly"].any() == bool(item.label)
        for event, during in zip(told["events"], masks["events"], strict=True):
            inside = {t for start, end in event["segments"] for t in range(start, end)}
            assert set(np.flatnonzero(during)) == inside
        if item.label:
            captioned = [event["captioned"] for event in told["events"]]
            np.testing.assert_array_equal(masks["anomaly"], masks["events"][captioned].any(axis=0))


def test_phrases_are_linked_to_the_clips_that_show_them(tmp_path):
    dataset = Simulated(root=str(tmp_path), **SMALL)
    seen = set()
    for name, told in dataset.ground_truth().items():
        masks = dataset.masks(name)
        assert len(masks["phrases"]) == len(told["phrases"]) > 0
        for phrase, clips in zip(told["phrases"], masks["phrases"], strict=True):
            factor = phrase["factor"]
            seen.add(factor)
            if factor == "outcome":
                assert clips.any()
                assert set(np.flatnonzero(clips)) <= set(np.flatnonzero(masks["events"][0]))
            elif factor:
                expected = np.ones_like(clips) if factor in ALWAYS else masks["events"][0]
                np.testing.assert_array_equal(clips, expected)
            else:
                assert not clips.any()
    assert {"", "event", "outcome", "scene"} <= seen


def test_twins_have_the_same_features(tmp_path):
    videos = population(videos=200)
    twins = [v for v in videos if v.twin != v.number]
    assert twins
    chosen = [v for twin in twins for v in (videos[twin.twin], twin)]
    (tmp_path / "world").mkdir()
    write_benchmark("text", chosen, replace(KNOBS, crops=2), tmp_path / "world")
    for first, second in zip(chosen[::2], chosen[1::2], strict=True):
        for file in ("rgb/{}__0.npy", "rgb/{}__1.npy", "flow/{}__0.npy"):
            one, two = (tmp_path / "world" / file.format(v.path) for v in (first, second))
            assert one.read_bytes() == two.read_bytes()


def test_crops_are_the_same_signal_with_noise_of_their_own(tmp_path):
    options = SMALL | {"width": 256, "median_clips": 40, "longest": 200}
    dataset = Simulated(root=str(tmp_path), crops=3, **options)
    for item in dataset.split("test"):
        assert dataset.open(item.video).crops == 3
        read = [clips_of(dataset, item.video, crop).streams["object"] for crop in range(3)]
        for one, two in itertools.combinations(read, 2):  # what differs is their noise, each 0.4
            assert (one - two).std() == pytest.approx(0.4 * np.sqrt(2), rel=0.1)
        mean = np.mean(read, axis=0)
        assert np.linalg.norm(mean.mean(0)) > 0.9  # offset and scene stay


@pytest.mark.parametrize("stream", ["object", "motion"])
def test_without_noise_a_clip_is_the_sum_of_what_it_shows(stream):
    """Against a sum that is written out, at clips away from the edges of events."""
    knobs = replace(KNOBS, noise=1e-9, camera=0.0, threat=0.0, width=32)

    def look_of(value):
        words = [w for w in value.split("/")[-1].split() if w not in looks.SMALL_WORDS] or [value]
        unit = np.sum([knobs.direction(stream, word) for word in {*words}], axis=0)
        return unit / np.linalg.norm(unit)

    checked = Counter()
    for video in population(videos=12, median_clips=60, longest=200):
        shown, length = cues(video, knobs.seed, "text"), video.clips
        pieces = render(shown, knobs, stream=stream, video=video.number, length=length)
        for clip, made in enumerate(np.concatenate([*pieces])):
            if (factors := factors_at(video, clip)) is not None:
                terms = [STRENGTH[f].get(stream, 0.0) * look_of(value) for f, value in factors]
                np.testing.assert_allclose(made, np.sum(terms, axis=0), atol=1e-5)
                checked.update(factor for factor, _ in factors)
    assert min(checked[factor] for factor in ("scene", "event", "outcome")) > 20


def test_a_sound_is_late_by_a_clip_at_most_and_tells_of_its_film():
    knobs = replace(KNOBS, noise=1e-9, camera=0.0, threat=0.0, width=looks.AUDIO_WIDTH)
    videos = population("audio", videos=40, median_clips=60, longest=200)
    lags = set()
    for video in videos[:20]:
        shown = cues(video, knobs.seed, "audio")
        where = {"video": video.number, "length": video.clips}
        heard, seen = (
            np.concatenate([*render(shown, knobs, stream=stream, **where)])
            for stream in ("audio", "object")
        )
        assert (heard >= 0).all()
        possible = possible_lags(seen, heard)
        assert possible & {0, 1}
        lags |= possible if len(possible) == 1 else set()
    assert lags == {0, 1}
    code = [[p.shown for p in cues(v, knobs.seed, "audio") if p.factor == "code"] for v in videos]
    alike = {True: [], False: []}
    for (v, one), (w, two) in itertools.combinations(zip(videos, code, strict=True), 2):
        alike[v.source == w.source].append(np.corrcoef(one, two)[0, 1])
    assert alike[True], "no two videos of one film"
    assert np.mean(alike[True]) > 0.2 > np.mean(alike[False])


def test_what_is_anomalous_shows_but_not_cleanly(tmp_path):
    """A linear probe with the truth at hand; weakly supervised detectors reach about 0.85."""
    dataset = Simulated(root=str(tmp_path), videos=400, median_clips=60, longest=400)

    def clips(split):
        videos = [item.video for item in dataset.split(split)]
        read = [np.concatenate([*clips_of(dataset, v).streams.values()], axis=1) for v in videos]
        return np.concatenate(read).astype(float), np.concatenate([*map(dataset.truth, videos)])

    x, y = clips("train")
    x = np.column_stack([x, np.ones(len(x))])
    weights = np.linalg.solve(x.T @ x + 0.01 * len(x) * np.eye(x.shape[1]), x.T @ y)
    x, y = clips("test")
    rank = np.argsort(np.argsort(x @ weights[:-1])) + 1
    auc = (rank[y].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
    assert 0.75 < auc < 0.95


def test_real_captions_can_drive_it(tmp_path, real_data):
    """A handful of them: names, captions, lengths and intervals are the real ones."""
    from openpyxl import Workbook

    captions = {}
    for split, every in (("train", 20), ("test", 12)):
        book = Workbook()
        book.active.append(["Video Name", "English Text"])
        path = real_data / "ucfcrime_ar" / f"ucf_crime_{split}.xlsx"
        for _, row in read_table(path, ["Video Name", "English Text"])[::every]:
            name, caption = row.values()
            if any(kind in name for kind in ("Abuse", "Arson", "Explosion", "Normal")):
                book.active.append([f"{name}\n", caption])
                captions[name.split("/")[1].removesuffix(".mp4")] = caption
        book.save(tmp_path / f"ucf_crime_{split}.xlsx")
    options = {"size": "small", "median_clips": 138, "longest": 300, "captions": str(tmp_path)}
    options |= {"annotations": str(real_data / "ucf_crime"), "root": str(tmp_path / "cache")}
    if Simulated.missing(**options):
        pytest.skip("; ".join(Simulated.missing(**options)))
    dataset = Simulated(**options)
    check_dataset(dataset)
    items = [*dataset.split("train"), *dataset.split("test")]
    assert {i.video: dataset.query(i.queries[0]) for i in items} == captions
    truths = dataset.ground_truth()
    for item in dataset.split("test"):
        masks = dataset.masks(item.video)
        np.testing.assert_array_equal(masks["anomaly"], dataset.truth(item.video))
        assert len(masks["phrases"]) == len(truths[item.video]["phrases"]) > 0
    assert dataset.simulated


def test_captions_decide_what_the_other_options_would(tmp_path):
    for option in ({"task": "audio"}, {"videos": 5}, {"test": 0.5}):
        with pytest.raises(DataError, match="captions decide"):
            Simulated(captions=str(tmp_path), root=str(tmp_path), **option)
    assert Simulated.missing() == []
    assert any("no folder nowhere" in line for line in Simulated.missing(captions="nowhere"))
