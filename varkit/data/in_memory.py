"""Helpers for data sets that fit in memory: a reader of clips, a hash of the questions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

from varkit.data.collate import segment_means
from varkit.interfaces import Array, Dataset, Sequences


class InMemory:
    """A :class:`varkit.interfaces.VideoReader` of clips that are in memory.

    Args:
        centre: the clips of crop 0.
        further: the clips of further crops.
    """

    def __init__(self, centre: Sequences, *further: Sequences) -> None:
        self._of_crop = (centre, *further)
        self.length = len(centre)
        self.times = centre.times
        self.crops = len(self._of_crop)
        self.absent = centre.absent

    def pieces(self, stream: str, crop: int = 0) -> Iterator[Array]:
        """Return one stream's (T, D) clips, in one piece."""
        return iter([self._of_crop[crop].streams[stream]])

    def means(self, count: int, crop: int = 0) -> Sequences:
        """Return all streams, averaged over ``count`` equal segments if there are more clips."""
        clips = self._of_crop[crop]
        means = segment_means({n: [x] for n, x in clips.streams.items()}, clips.times, count)
        return replace(means, absent=clips.absent)


def hash_questions(dataset: Dataset) -> str:
    """Return a hash of the test split's videos and queries.

    It covers the exact text of captions, and every number of sounds.
    """
    questions = [
        (item.video, [_content(dataset, query) for query in item.queries])
        for item in dataset.split("test")
    ]
    return hashlib.sha256(repr(sorted(questions)).encode()).hexdigest()


def _content(dataset: Dataset, query: str) -> str:
    """Return a caption, or a hash of a sound."""
    content = dataset.query(query)
    if isinstance(content, str):
        return content
    digest = hashlib.sha256()
    for stream in sorted(dataset.query_widths):
        for clips in content.pieces(stream):
            digest.update(clips.tobytes())
    return digest.hexdigest()
