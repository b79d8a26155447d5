"""Another split of the same videos, in which no source is in both train and test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from varkit.interfaces import derive_seed
from varkit_datasets.entries import Entry


def source_disjoint(
    entries: Mapping[str, Entry], source: Callable[[str], str], seed: int
) -> dict[str, Entry]:
    """Move videos between train and test, all videos of a source together.

    The new test split should have as many videos as the old one, in total and of each class. All
    sources begin in train. In random order, each changes its side if that brings these counts
    closer to the old ones (Pearson's chi-square); this repeats until none changes.

    Args:
        entries: video -> entry, of the published split.
        source: video -> what it was cut from.
        seed: another seed gives another split; a source's place in the order depends only on the
            seed and the source's name.

    Returns:
        The same videos in the same order, with the folders of their files unchanged.
    """
    groups: dict[str, list[str]] = {}
    for video in entries:
        groups.setdefault(source(video), []).append(video)
    counts = {name: _counts(entries[video] for video in group) for name, group in groups.items()}
    wanted = _counts(entry for entry in entries.values() if entry.split == "test")
    order = sorted(groups, key=lambda name: (derive_seed(seed, "source", name), name))
    lacking, test, moved = Counter(wanted), set[str](), True
    while moved:
        moved = False
        for name in order:
            way = -1 if name in test else 1
            # (lacking - way count)^2 < lacking^2, summed over what is counted
            gain = sum(
                count * (2 * way * lacking[key] - count) / max(wanted[key], 1)
                for key, count in counts[name].items()
            )
            if gain > 1e-9:
                for key, count in counts[name].items():
                    lacking[key] -= way * count
                test ^= {name}
                moved = True
    return {
        video: replace(entry, split="test" if source(video) in test else "train")
        for video, entry in entries.items()
    }


def _counts(entries: Iterable[Entry]) -> Counter[str]:
    """Count all videos, under an empty name, and those of each class."""
    counts: Counter[str] = Counter()
    for entry in entries:
        counts.update(("", *entry.classes))
    return counts
