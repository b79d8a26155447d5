"""A data set that fits in a page, for tests of what surrounds a model."""

from __future__ import annotations

from typing import Literal

import numpy as np

from varkit.data.in_memory import InMemory, hash_questions
from varkit.errors import DataError
from varkit.interfaces import Dataset, Draws, Item, Sequences

ALL = 10**6
"""More clips than any toy has."""
WORDS = ("man", "car", "door", "fire", "dog", "store", "night", "street")


def clips_of(dataset: Dataset, video: str, crop: int = 0) -> Sequences:
    """All clips of a video, as they are."""
    return dataset.open(video).means(ALL, crop)


class Toy:
    """Videos whose clips hold a code that their captions, or sounds, name."""

    simulated = True
    name = "toy"

    def __init__(self, *, videos: int = 12, query: Literal["text", "audio"] = "text") -> None:
        self.count = videos
        self.query_kind = "captions" if query == "text" else "clips"
        self.widths = {"object": 6, "motion": 5}
        self.query_widths = {} if query == "text" else {"audio": 4}

    def split(self, name: str) -> list[Item]:
        ranges = {"train": range(self.count), "test": range(self.count, self.count + 6)}
        if name not in ranges:
            raise DataError(f"toy has no split {name!r}")
        return [Item(f"v{i}", (f"v{i}#0", f"v{i}#1"), i % 2) for i in ranges[name]]

    def _random(self, key: str) -> np.random.Generator:
        return Draws(0, (key,)).numpy(0)

    def open(self, video: str) -> InMemory:
        random = self._random(video)
        length = 3 + int(video[1:]) * 5 % 19
        streams = {
            name: random.standard_normal((length, width)).astype(np.float32)
            for name, width in self.widths.items()
        }
        return InMemory(Sequences(streams, self._times(length)))

    def query(self, query: str) -> str | InMemory:
        random = self._random(query)
        if self.query_kind == "captions":
            return " ".join(random.choice(WORDS, 5))
        length = int(random.integers(2, 9))
        stream = random.standard_normal((length, 4)).astype(np.float32)
        return InMemory(Sequences({"audio": stream}, self._times(length)))

    def truth(self, video: str) -> np.ndarray | None:
        truth = np.zeros(self.open(video).length, bool)
        truth[: int(video[1:]) % 2 * 2] = True
        return truth

    def fingerprint(self) -> str:
        return f"toy-{self.count}-{self.query_kind}"

    def questions(self) -> str:
        return hash_questions(self)

    @staticmethod
    def _times(length: int) -> np.ndarray:
        edges = np.arange(length + 1, dtype=np.float32)
        return np.stack([edges[:-1], edges[1:]], axis=1)
