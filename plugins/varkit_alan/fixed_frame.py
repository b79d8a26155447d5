"""Fixed-frame sampling: clips spread over the whole video."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from varkit.interfaces import Count, Draws


class FixedFrame:
    """N clips spread over the video: its context (ALAN III-C, "FS").

    The paper samples "uniformly or randomly" and says no more. Here, with clips 0..T-1:

    * evaluation: i_j = round(j (T-1) / (N-1)), j = 0..N-1, halves up;
    * training: one clip of each of N equal segments, i_j = floor((j + u_j) T / N), u_j ~ U[0, 1).

    A video with T < N repeats clips; nothing is padded.

    Args:
        count: N (ALAN IV-B: 50).
        training_draw: ``segments`` as above, as in TSN; ``uniform`` = N independent uniform draws.
            Not in the paper.
    """

    def __init__(
        self, *, count: Count = 50, training_draw: Literal["segments", "uniform"] = "segments"
    ) -> None:
        self.count = count
        self.training_draw = training_draw

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return ``(B, N)`` ascending clips; see :class:`varkit.interfaces.Sampler`."""
        length = mask.sum(dim=1, keepdim=True)
        j = torch.arange(self.count, device=mask.device)
        if not training:
            # In integers, so that halves are exact and always round up.
            gaps = max(self.count - 1, 1)
            return (2 * j * (length - 1) + gaps) // (2 * gaps)
        u = draws.uniform(self.count).to(mask.device)
        at = (j + u) / self.count if self.training_draw == "segments" else u.sort(dim=1).values
        return (at * length).long().minimum(length - 1)
