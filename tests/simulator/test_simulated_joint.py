"""Simulated features like CLIP's: one space, told apart, and nothing else changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from varkit_datasets.folder import Folder
from varkit_simulator.features import LATENT, STRENGTH, Joint, JointSpace, Knobs, cues
from varkit_simulator.scenarios import words_of
from varkit_simulator.simulated import Simulated

from tests.support.simulated import SMALL, factors_at, population, possible_lags
from tests.support.toys import ALL, clips_of
from varkit.errors import DataError
from varkit.testing.datasets import check_dataset

CLIP = SMALL | {"features": "clip"}


def space(misalignment=0.0, patches=0, width=LATENT, **changes):
    knobs = {"noise": 1e-9, "camera": 0.0, "threat": 0.0} | changes
    return JointSpace(Knobs(width=width, crops=1, seed=0, **knobs), Joint(patches, misalignment))


@pytest.mark.parametrize("patches", [0, 3])
@pytest.mark.parametrize("task", ["text", "audio"])
def test_it_keeps_the_promises_of_a_data_set(tmp_path, task, patches):
    options = CLIP | {"task": task, "patches": patches, "root": str(tmp_path)}
    dataset = Simulated(**options)
    check_dataset(dataset, fresh=Simulated(**options))
    assert dataset.simulated
    assert dataset.name == {"text": "simulated-ucf-clip", "audio": "simulated-xd-clip"}[task]
    assert dataset.widths == {"clip": 8} | ({"patches": 24} if patches else {})
    assert dataset.query_kind == "clips"
    assert dataset.query_widths == {"audio": 8}


@pytest.mark.parametrize(
    ("task", "name", "content"),
    [
        ("text", "text-v3-00a731f56655e20f", "a1fa45c8d3a9f755"),
        ("audio", "audio-v3-ce3e988b2d31c1fd", "e31cb0b9cebd1a4d"),
    ],
)
def test_other_features_stay_as_they_were(tmp_path, task, name, content):
    """Bytes of files, as they were before there were such features; another VERSION, other ones."""
    folder = Simulated(root=str(tmp_path), task=task, **SMALL).folder
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.npy")):
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    assert (folder.name, digest.hexdigest()[:16]) == (name, content)


def test_it_is_deterministic_and_every_option_counts(tmp_path):
    def digest(name, **options):
        folder = Simulated(root=str(tmp_path / name), **(CLIP | options)).folder
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        return folder.name, hashlib.sha256(b"".join(p.read_bytes() for p in files)).hexdigest()

    first = digest("a")
    assert digest("b") == first
    for options in ({"misalignment": 0.1}, {"patches": 2}, {"seed": 1}, {"noise": 0.1}):
        name, content = digest("a", **options)
        assert name != first[0]
        assert content != first[1]


def test_other_features_of_a_world_ask_the_same_and_another_world_does_not(tmp_path):
    def questions(**options):
        return Simulated(root=str(tmp_path), task="audio", **options).questions()

    first = questions(**SMALL)
    assert questions(**CLIP, patches=2) == questions(**SMALL, noise=0.1) == first
    for options in ({"seed": 1}, {"others": 1}, {"median_clips": 9}):
        assert questions(**(SMALL | options)) != first


def test_numbers_of_threads_change_no_bit(tmp_path):
    """Or machines would disagree on the fingerprint of the same world."""
    code = (
        "import sys; from varkit_simulator.simulated import Simulated;"
        "print(Simulated(root=sys.argv[1], features='clip', width=512, size='small',"
        " videos=20, patches=1).fingerprint())"
    )
    told = set()
    for threads in ("1", "2"):
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), threads)
        command = [sys.executable, "-c", code, str(tmp_path / threads)]
        told.add(subprocess.check_output(command, env=os.environ | limits))
    assert len(told) == 1


@pytest.mark.parametrize("task", ["text", "audio"])
def test_a_folder_of_ones_own_reads_the_same_and_says_that_it_is_simulated(tmp_path, task):
    written = Simulated(root=str(tmp_path), task=task, patches=2, **CLIP)
    options = {"query": "audio", "seconds_per_clip": {"text": 16 / 30, "audio": 16 / 24}[task]}
    streams = {"clip": "clip", "patches": "patches"}
    read = Folder(root=str(written.folder), streams=streams, **options)
    assert read.simulated
    assert read.fingerprint() == written.fingerprint()
    for split in ("train", "test"):
        assert read.split(split) == written.split(split)
        for item in read.split(split):
            for mine, theirs in (
                (clips_of(read, item.video), clips_of(written, item.video)),
                (x.query(item.queries[0]).means(ALL) for x in (read, written)),
            ):
                np.testing.assert_array_equal(mine.times, theirs.times)
                for name in mine.streams:
                    np.testing.assert_array_equal(mine.streams[name], theirs.streams[name])


@pytest.mark.parametrize("task", ["text", "audio"])
def test_the_truth_is_exported_as_for_other_features(tmp_path, task):
    clip = Simulated(root=str(tmp_path), task=task, **CLIP)
    other = Simulated(root=str(tmp_path), task=task, **SMALL)
    assert clip.ground_truth() == other.ground_truth()
    for split in ("train", "test"):
        assert clip.split(split) == other.split(split)
        for item in clip.split(split):
            np.testing.assert_array_equal(clip.truth(item.video), other.truth(item.video))
            masks = clip.masks(item.video)
            np.testing.assert_array_equal(clip.truth(item.video), masks["anomaly"])
            if task == "text":
                words = len(str(other.query(item.queries[0])).split())
                assert clip.query(item.queries[0]).length == 1 + words
            else:
                assert 0 <= clip.query(item.queries[0]).length - clip.open(item.video).length <= 1


@pytest.mark.parametrize("sigma", [0.0, 0.5, 2.0])
def test_two_kinds_of_input_agree_as_far_as_sigma_says(sigma):
    here = space(sigma)
    things = [f"thing {i}" for i in range(300)]
    cosines = [here.thing("picture", x) @ here.thing("word", x) for x in things]
    assert np.mean(cosines) == pytest.approx(1 / (1 + sigma**2), abs=0.02)
    assert np.linalg.norm(here.thing("sound", 3)) == pytest.approx(1)


def test_the_projection_keeps_cosines():
    wide = space(width=512)
    a, b = (wide.thing("word", x) for x in ("a red car", "a red hat"))
    left, right = a @ wide.projection, b @ wide.projection
    cosine = left @ right / np.linalg.norm(left) / np.linalg.norm(right)
    assert cosine == pytest.approx(a @ b, abs=0.15)
    assert a @ b > 0.3, "they share a word"


def test_without_noise_a_clip_is_the_sum_of_what_it_shows():
    """Written out, at clips away from the edges of events."""
    here, checked = space(0.5), 0
    for video in population(videos=12):
        for clip, made in enumerate(here.frames(video, cues(video, 0, "text"))):
            if (factors := factors_at(video, clip)) is not None:
                right = np.zeros(LATENT)
                for factor, value in factors:
                    right += STRENGTH[factor]["picture"] * here.thing("picture", words_of(value))
                np.testing.assert_allclose(made, right @ here.projection, atol=1e-4)
                checked += 1
    assert checked > 50


def test_a_caption_is_near_the_clips_of_its_event():
    here, nearer = space(), []
    for video in population():
        near = here.frames(video, cues(video, 0, "text")) @ here.caption(video)[0]
        inside = np.zeros(video.clips, bool)
        for start, end in video.happenings[0].segments:
            inside[start:end] = True
        if not inside.all():
            nearer.append(near[inside].mean() > near[~inside].mean())
    assert len(nearer) > 15
    assert np.mean(nearer) > 0.9


def test_a_word_is_half_itself_and_half_its_phrase():
    here = space(0.5)
    video = population()[0]
    rows, row = here.caption(video), 1
    meant = video.happenings[0].scenario.factors()
    for phrase in video.phrases:
        whole = here.thing("word", words_of(meant.get(phrase.factor, phrase.text)))
        for word in phrase.text.split():
            both = whole + here.thing("word", word)
            right = both / np.linalg.norm(both) @ here.projection
            np.testing.assert_allclose(rows[row], right, atol=1e-5)
            row += 1
    assert row == len(rows)


def test_an_event_shows_at_one_place_and_the_scene_at_the_others():
    here = space(patches=3)
    seen = set()
    for video in population()[:12]:
        places = here.patches(video, cues(video, 0, "text")).reshape(video.clips, 3, -1)
        event = here.thing("picture", video.happenings[0].scenario.event.name) @ here.projection
        during = video.happenings[0].segments[0][0]
        strength = places[during] @ event
        seen.add(int(strength.argmax()))
        others = [p for p in range(3) if p != strength.argmax()]
        np.testing.assert_allclose(places[:, others[0]], places[:, others[1]], atol=1e-5)
    assert seen == {0, 1, 2}


def test_a_sound_is_heard_when_it_is_seen_or_a_clip_later():
    here = space()
    lags = set()
    for video in population("audio")[:12]:
        shown = cues(video, 0, "audio")
        seen, heard = here.frames(video, shown), here.sound(video, shown, video.clips)
        possible = possible_lags(seen, heard) & {0, 1}
        assert possible
        lags |= possible if len(possible) == 1 else set()
    assert lags == {0, 1}


def test_zero_shot_retrieval_is_far_from_chance_and_from_perfect_and_sigma_tunes_it():
    videos = [video for video in population(videos=100) if video.twin == video.number]
    recalls = []
    for sigma in (0.0, 0.7, 3.0):
        here = space(sigma, noise=0.4, camera=0.7, threat=0.5)
        frames = [here.frames(video, cues(video, 0, "text")) for video in videos]
        mean = np.stack([(x / np.linalg.norm(x, axis=1, keepdims=True)).mean(0) for x in frames])
        asked = np.stack([here.caption(video)[0] for video in videos])
        cosines = (mean / np.linalg.norm(mean, axis=1, keepdims=True)) @ asked.T
        recalls.append(np.mean((cosines > np.diag(cosines)).sum(0) < 10))
    chance = 10 / len(videos)
    assert 0.95 > recalls[0] > recalls[1] > 3 * chance
    assert recalls[2] < 2 * chance


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(DataError, match="only features like CLIP's have patches"):
        Simulated(root=str(tmp_path), patches=2, **SMALL)
    for options in ({"crops": 2}, {"captions": str(tmp_path)}):
        with pytest.raises(DataError, match="have one crop, and show no captions"):
            Simulated(root=str(tmp_path), **(CLIP | {"videos": None} | options))
