"""What a data set that fits in memory needs: a reader of its clips, a hash of its questions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from varkit.data.collate import segment_means
from varkit.interfaces import Array, Dataset, Sequences


class InMemory:
    """A :class:`varkit.interfaces.VideoReader` of clips that are in memory.

    Args:
        centre: the clips of crop 0.
        others: those of further crops.
    """

    def __init__(self, centre: Sequences, *others: Sequences) -> None:
        self._of_crop = (centre, *others)
        self.length = len(centre)
        self.times = centre.times
        self.crops = len(self._of_crop)

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Give one stream's (T, D) clips, in one piece."""
        return iter([self._of_crop[crop].streams[stream]])

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Give all streams, averaged over ``count`` equal segments if there are more clips."""
        clips = self._of_crop[crop]
        return segment_means({n: [x] for n, x in clips.streams.items()}, clips.times, count)


def hash_questions(dataset: Dataset) -> str:
    """Return a hash of the test split's videos and of what is asked of each.

    That is captions to the letter, and every number of a sound.
    """
    asked = [
        (item.video, [_asked(dataset, query) for query in item.queries])
        for item in dataset.split("test")
    ]
    return hashlib.sha256(repr(sorted(asked)).encode()).hexdigest()


def _asked(dataset: Dataset, query: str) -> str:
    asked = dataset.query(query)
    if isinstance(asked, str):
        return asked
    digest = hashlib.sha256()
    for stream in sorted(dataset.query_widths):
        for clips in asked.pieces(stream):
            digest.update(clips.tobytes())
    return digest.hexdigest()
