"""A split in which no film or web video is on both sides."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from varkit_datasets.disjoint import source_disjoint
from varkit_datasets.entries import Entry
from varkit_datasets.findings import Findings
from varkit_datasets.xdviolence_ar import XDViolenceAR, _read_list, layout, source
from varkit_simulator.simulated import Simulated

from tests.support.toys import clips_of
from varkit.testing.datasets import check_dataset

SPLITS = ("train", "test")


def classes_of(entries, split):
    """Videos, under an empty name, and videos of each class."""
    own = [entry for entry in entries.values() if entry.split == split]
    return Counter(name for entry in own for name in ("", *entry.classes))


@pytest.fixture(scope="module")
def real(real_data):
    found = Findings()
    entries = {}
    for split in SPLITS:
        entries |= _read_list(real_data / "xd_violence" / f"{split}.list", split, found)
    return entries


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_no_real_source_is_on_both_sides_and_classes_stay_balanced(real, seed):
    found = source_disjoint(real, source, seed)
    assert list(found) == list(real)
    sources = {s: {source(v) for v, entry in found.items() if entry.split == s} for s in SPLITS}
    assert not sources["train"] & sources["test"]
    assert len(sources["train"]) + len(sources["test"]) == 1630 + 447 - 184
    before, after = classes_of(real, "test"), classes_of(found, "test")
    assert before[""] == 800
    assert abs(after[""] - 800) <= 20
    for name in before:
        assert abs(after[name] - before[name]) <= max(5, 0.03 * before[name]), name
    for video, entry in found.items():  # where files lie, and what happens, is as it was
        assert (entry.folder, entry.classes) == (real[video].folder, real[video].classes)


def test_the_seed_decides_and_the_order_of_the_list_does_not(real):
    found = [source_disjoint(real, source, seed) for seed in (3, 3, 4)]
    assert found[0] == found[1]
    assert found[0] != found[2]
    backwards = dict(reversed(list(real.items())))
    assert source_disjoint(backwards, source, 3) == found[0]


def distance(entries, wanted):
    """Pearson's chi-square of the counts in test."""
    have = classes_of(entries, "test")
    return sum((have[k] - wanted[k]) ** 2 / max(wanted[k], 1) for k in {*have, *wanted})


def test_no_single_source_could_change_sides_for_the_better():
    random = np.random.default_rng(0)
    names = ("Normal", "Fighting", "Riot")
    entries = {
        f"film{random.integers(25)}__#{i}": Entry(
            "test" if i % 4 == 0 else "train", "x", (names[random.integers(3)],)
        )
        for i in range(120)
    }
    wanted = classes_of(entries, "test")
    found = source_disjoint(entries, source, 0)
    best = distance(found, wanted)
    for film in {source(video) for video in found}:
        flipped = dict(found)
        for video, entry in found.items():
            if source(video) == film:
                other = "train" if entry.split == "test" else "test"
                flipped[video] = Entry(other, entry.folder, entry.classes)
        assert distance(flipped, wanted) >= best - 1e-9


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The simulated audio task, which lies in the benchmark's layout."""
    root = tmp_path_factory.mktemp("xd")
    options = {"videos": 60, "median_clips": 8, "longest": 20, "width": 4}
    return Simulated(task="audio", root=str(root), **options)


def test_the_data_set_offers_it_and_says_so(world):
    options = {"root": str(world.folder), "split": "source_disjoint"}
    dataset = XDViolenceAR(**options)
    check_dataset(dataset)
    parts = {split: [item.video for item in dataset.split(split)] for split in SPLITS}
    assert not {*map(source, parts["train"])} & {*map(source, parts["test"])}
    published = [item.video for split in SPLITS for item in world.split(split)]
    assert sorted(published) == sorted(parts["train"] + parts["test"])
    assert dataset.name == "XDViolence-AR, source-disjoint split 0"
    assert dataset.simulated
    for video in parts["test"][:3]:
        same = (clips_of(data, video).streams["object"] for data in (dataset, world))
        np.testing.assert_array_equal(*same)
    remarks = layout(**options).remarks
    sizes = [f"{split} {len(videos)} videos of" for split, videos in parts.items()]
    assert any(all(size in remark for size in sizes) for remark in remarks)
    assert not any("train has parts of too" in remark for remark in remarks)
    assert XDViolenceAR(root=str(world.folder)).name == "XDViolence-AR"


def test_another_split_is_other_data(world):
    root = str(world.folder)
    fingerprints = {
        XDViolenceAR(root=root, split=split, split_seed=seed).fingerprint()
        for split, seed in (("published", 0), ("source_disjoint", 0), ("source_disjoint", 1))
    }
    assert len(fingerprints) == 3
    again = XDViolenceAR(root=root, split="published", split_seed=1).fingerprint()
    assert again in fingerprints
