"""The simulated benchmarks: deterministic, whole or absent, and shaped like the real ones."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import numpy as np
import pytest
from varkit_benchmarks.simulated import Simulated
from varkit_benchmarks.simulator.captions import sentence
from varkit_benchmarks.simulator.generate import Plan, draw_videos
from varkit_benchmarks.simulator.signals import Knobs
from varkit_benchmarks.simulator.timeline import LAWS, draw_length, draw_segments, envelope
from varkit_benchmarks.simulator.world import COLOURS

from varkit.testing import check_dataset

SMALL = {"videos": 24, "median_clips": 12, "longest": 60, "width": 8}


def plan(task="text", videos=2000, seed=0):
    knobs = Knobs(width=8, noise=1.0, camera=1.0, threat=1.0, seed=seed)
    return Plan(task, videos, 0.2, 96, 3000, 2, knobs)


@pytest.mark.parametrize("task", ["text", "audio"])
def test_it_keeps_the_promises_of_a_data_set_and_says_that_it_is_simulated(tmp_path, task):
    options = {"task": task, "root": str(tmp_path)} | SMALL
    dataset = Simulated(**options)
    check_dataset(dataset, fresh=Simulated(**options))
    assert dataset.simulated
    assert dataset.name == {"text": "simulated-ucf", "audio": "simulated-xd"}[task]
    assert dataset.widths == {"object": 8, "motion": 8}
    assert dataset.query_widths == ({} if task == "text" else {"audio": 8})
    assert (len(dataset.split("train")), len(dataset.split("test"))) == (19, 5)


@pytest.mark.parametrize("task", ["text", "audio"])
def test_two_roots_hold_the_same_bytes_and_another_seed_others(tmp_path, task):
    folders = [
        Simulated(task=task, root=str(tmp_path / name), seed=seed, **SMALL).folder
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    ]
    first, second, other = (
        {path.relative_to(f): path.read_bytes() for path in f.rglob("*") if path.is_file()}
        for f in folders
    )
    assert first == second
    assert len(first) == 24 * (2 if task == "text" else 3) + 2
    assert folders[0].name == folders[1].name != folders[2].name
    assert not set(first.values()) & set(other.values())


def test_a_complete_folder_is_used_again(tmp_path):
    folder = Simulated(root=str(tmp_path), **SMALL).folder
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    assert Simulated(root=str(tmp_path), **SMALL).folder == folder
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def _open(root, videos):
    Simulated(root=root, **(SMALL | {"videos": videos}))


def test_killed_while_generating_it_leaves_no_half_data_set(tmp_path):
    # forkserver: forking a process that has run torch may hang
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=_open, args=(str(tmp_path), 1000))
    process.start()
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob(".*.part/features/*.npy"))) < 10:
        assert time.monotonic() < deadline
        assert process.is_alive()
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [path.name[0] for path in tmp_path.iterdir()] == [".", "."], "a lock and a part"
    dataset = Simulated(root=str(tmp_path), **(SMALL | {"videos": 1000}))
    assert all(len(dataset.video(item.video)) for item in dataset.split("test"))
    assert not list(tmp_path.glob("*.part"))


def test_processes_that_start_together_make_it_once(tmp_path):
    context = multiprocessing.get_context("forkserver")
    processes = [
        context.Process(target=_open, args=(str(tmp_path), SMALL["videos"])) for _ in range(3)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert len(list(folder.rglob("*.npy"))) == SMALL["videos"] * 2


@pytest.mark.parametrize("task", ["text", "audio"])
def test_the_truth_agrees_with_what_was_generated(tmp_path, task):
    dataset = Simulated(task=task, root=str(tmp_path), **SMALL)
    truths = dataset.ground_truth()
    for item in [*dataset.split("train"), *dataset.split("test")]:
        told = truths[item.video]
        assert told["clips"] == dataset.length(item.video)
        expected = np.zeros(told["clips"], bool)
        if item.label:
            for start, end in told["events"][0]["segments"]:
                expected[start:end] = True
        np.testing.assert_array_equal(dataset.truth(item.video), expected)
        assert expected.any() == bool(item.label)
        if task == "text":
            caption = " ".join(text for _, text in told["phrases"])
            assert dataset.query(item.queries[0]).lower() == caption.lower() + "."
            named = {factor for factor, _ in told["phrases"] if factor}
            assert {"event", "target"} <= named <= set(told["factors"])


def test_the_test_split_has_one_twin_and_one_repeated_caption(tmp_path):
    dataset = Simulated(root=str(tmp_path), **SMALL)
    test = dataset.split("test")
    captions = [dataset.query(item.queries[0]) for item in test]
    assert captions[-1] == captions[1]
    assert captions[-2] == captions[0]
    first, twin, other = (dataset.video(test[i].video).streams["object"] for i in (1, -1, -2))
    np.testing.assert_array_equal(first, twin)
    assert len(other) != len(twin) or not np.array_equal(other, twin)


def test_what_is_anomalous_shows_but_not_cleanly(tmp_path):
    """A linear probe with the truth at hand; weakly supervised detectors reach about 0.85."""
    dataset = Simulated(root=str(tmp_path), videos=400, median_clips=60, longest=400)

    def clips(split):
        videos = [item.video for item in dataset.split(split)]
        read = [np.concatenate([*dataset.video(v).streams.values()], axis=1) for v in videos]
        return np.concatenate(read).astype(float), np.concatenate([*map(dataset.truth, videos)])

    x, y = clips("train")
    weights = np.linalg.solve(x.T @ x + 0.01 * len(x) * np.eye(x.shape[1]), x.T @ (y - y.mean()))
    x, y = clips("test")
    rank = np.argsort(np.argsort(x @ weights)) + 1
    auc = (rank[y].sum() - y.sum() * (y.sum() + 1) / 2) / (y.sum() * (~y).sum())
    assert 0.75 < auc < 0.93


@pytest.mark.parametrize(
    ("task", "test", "fractions", "lengths"),
    [
        # Shares of the event at 5/25/50/75/95 %: UCF-Crime's 810 training videos with event
        # labels and 140 anomalous test videos, XD-Violence's 302 test videos with time stamps.
        # Lengths as multiples of the median: UCF-Crime's 1,854 durations, XD's time stamps.
        ("text", False, (0.07, 0.17, 0.28, 0.41, 0.74), (0.21, 0.55, 1, 2.06, 9.25)),
        ("text", True, (0.03, 0.08, 0.14, 0.28, 0.55), (0.25, 0.59, 1, 2.01, 6.56)),
        ("audio", True, (0.07, 0.19, 0.31, 0.52, 0.96), (0.24, 0.64, 1, 1.96, 4.8)),
    ],
)
def test_lengths_and_shares_follow_the_benchmarks(task, test, fractions, lengths):
    rng = np.random.default_rng(0)
    law = LAWS[task, test]
    drawn = [draw_length(rng, law, median=133, longest=61_000) for _ in range(4000)]
    filled = [sum(e - s for s, e in draw_segments(rng, law, length)) / length for length in drawn]
    quantiles = (5, 25, 50, 75, 95)
    np.testing.assert_allclose(np.percentile(filled, quantiles), fractions, atol=0.11)
    np.testing.assert_allclose(np.percentile(drawn, quantiles) / 133, lengths, rtol=0.3, atol=0.1)


def test_captions_have_the_benchmarks_length_and_share_of_colours():
    videos = draw_videos(plan())
    captions = [sentence(video.phrases) for video in videos]
    words = [len(caption.split()) for caption in captions]
    assert np.mean(words) == pytest.approx(16.3, abs=1)
    assert np.std(words) == pytest.approx(6.1, abs=2.5)
    colours = [bool(set(COLOURS) & set(caption.split())) for caption in captions]
    assert np.mean(colours) == pytest.approx(0.39, abs=0.05)
    dark = [" night" in caption.lower() for caption in captions]
    assert np.mean(dark) == pytest.approx(0.135, abs=0.05)
    assert np.mean([video.scenario.anomalous for video in videos]) == pytest.approx(0.5, abs=0.02)
    assert all(caption.endswith(".") and caption[0].isupper() for caption in captions)


def test_some_videos_differ_from_another_in_a_colour_only():
    videos = draw_videos(plan())
    seen: dict[tuple, set[str]] = {}
    for video in videos:
        factors = video.scenario.factors() | {"source": video.scenario.source}
        colour = factors.pop("colour")
        seen.setdefault(tuple(factors.values()), set()).add(colour)
    pairs = sum(len(colours) - 1 for colours in seen.values())
    assert pairs / len(videos) == pytest.approx(0.03, abs=0.015)


@pytest.mark.parametrize("length", [6, 7, 40, 3000])
def test_segments_lie_apart_inside_the_video(length):
    rng = np.random.default_rng(length)
    for law in LAWS.values():
        for _ in range(300):
            segments = draw_segments(rng, law, length)
            edges = [edge for segment in segments for edge in segment]
            assert edges == sorted(set(edges)), "at least one clip each, and one between"
            assert 0 <= edges[0] <= edges[-1] <= length
            strength = envelope(segments, length)
            assert all((strength[s:e] == 1).all() for s, e in segments)
            assert ((strength > 0).sum()) <= sum(e - s + 2 for s, e in segments)
