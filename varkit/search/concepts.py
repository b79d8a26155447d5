"""An anomaly curve without training: how well each clip matches a list of sentences."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from varkit.interfaces.searching import FLOOR, Array, Channel, Track
from varkit.search.channels import clip_rows, row_scores
from varkit.search.shards import Curve

CONCEPTS = (
    "people fighting",
    "a person kicking someone on the ground",
    "an explosion",
    "a fire with smoke",
    "a gunshot",
    "glass breaking",
    "a car crash",
    "a robber with a weapon",
    "someone stealing goods",
    "a burglar breaking in",
    "vandalism",
    "a riot",
    "an arrest by the police",
    "a person screaming",
)
"""After the classes of UCF-Crime and XD-Violence."""


class Concepts:
    """Scores clips by their best match with a list of sentences.

    A clip's score for each concept is compared with its scores for unrelated sentences: the anomaly
    is the chance that as many unrelated sentences as there are concepts all score lower on this
    clip. So it needs no other video, and a clip that matches everything is not anomalous.

    A vague sentence matches everything, too. So what counts is how much better a sentence matches
    the clip than it matches a clip of which nothing is known, whose numbers are all equal.

    Args:
        channel: in which sentences and clips are compared.
        concepts: (C, K) encoded sentences.
        unrelated: (N, K) encoded sentences about everyday life.
    """

    def __init__(self, channel: Channel, concepts: Array, unrelated: Array) -> None:
        self._channel, self._count = channel, len(concepts)
        self._queries = np.concatenate([concepts, unrelated])
        for block, part in zip(channel.blocks, channel.slices, strict=True):
            if block.log:  # the logarithm of such a clip's score becomes 0
                means = self._queries[:, part].mean(axis=1, keepdims=True)
                self._queries[:, part] /= np.maximum(means, FLOOR)

    def curve(self, tracks: Mapping[str, Track]) -> Curve:
        """Return how anomalous a video is, clip by clip.

        Args:
            tracks: block -> what it says of the video; at least one.
        """
        times, rows = clip_rows(self._channel, tracks)
        # What a video lacks counts nothing, for concepts and for unrelated sentences.
        absent = np.zeros((len(self._queries), len(self._channel.blocks)), np.float32)
        scores = row_scores(self._channel, self._queries, rows, absent)
        matched, unrelated = scores[: self._count], scores[self._count :]
        best = matched.max(axis=0)
        anomaly = (unrelated < best).mean(axis=0) ** self._count
        return Curve(times, anomaly.astype(np.float32), matched.argmax(axis=0).astype(np.int16))
