"""What the hierarchy compares: unit vectors of videos and queries, with masks and priors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Videos:
    """V videos: unit vectors, a mask and a prior."""

    whole: Tensor  # (V, D)
    frames: Tensor  # (V, T, D)
    patches: Tensor | None  # (V, T, p, D)
    mask: Tensor  # (V, T)
    prior: Tensor  # (V, T), 0 without a detector


@dataclass(frozen=True)
class Queries:
    """Q queries: unit vectors and masks of words, of sounds, or of both."""

    whole: Tensor  # (Q, D)
    words: Tensor | None  # (Q, W, D)
    word_mask: Tensor | None
    sounds: Tensor | None  # (Q, S, D)
    sound_mask: Tensor | None
    prior: Tensor | None  # (Q, S)

    def some(self, rows: slice) -> Queries:
        """Return the queries of some rows."""

        def take(x: Tensor | None) -> Tensor | None:
            return None if x is None else x[rows]

        return Queries(
            self.whole[rows],
            take(self.words),
            take(self.word_mask),
            take(self.sounds),
            take(self.sound_mask),
            take(self.prior),
        )
