"""Anomaly-led sampling: clips are drawn by their anomaly confidence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from varkit.errors import VarkitError
from varkit.interfaces import Count, Draws, Positive


class AnomalyLed:
    """N clips drawn in proportion to exp(confidence / temperature) (ALAN III-C, "AS", Alg. 1).

    p_i = exp(l_i / τ) / Σ_j exp(l_j / τ)                                  (ALAN, Eq. 1)
    q_i = p_1 + ... + p_i,  q_T := 1;  for r ~ U(0, 1] pick i with q_{i-1} < r <= q_i   (Eq. 2)

    Since l lies in [0, 1], no clip is more than e^(1/τ) times as likely as another: 4.17 at
    τ = 0.7. The picks are sorted, which changes the encoder's output only where its position
    embedding counts picks (``position: order``). No gradient passes: a pick is an index.

    Args:
        count: N (ALAN IV-B: 50).
        temperature: τ (ALAN IV-B: 0.7). At 0.1 nearly all picks have the highest l; large values
            ignore l.
        replace: draw with replacement, as Alg. 1's independent draws do. False draws without
            (Gumbel top-N: the N largest of l_i / τ + Gumbel noise); a video with T < N then
            gives all its clips and repeats them in that order. Not in the paper.
        evaluation: ``roulette`` = as in training, seeded by the evaluation seed and the video;
            ``systematic`` = r_j = (j + 1/2) / N, without chance. Not in the paper.
        shuffle: first permute each video's confidences at random over its clips. This control
            keeps the distribution of l but not its place in time, and so shows whether it
            matters which clips are drawn. Not in the paper.

    Raises:
        VarkitError: ``systematic`` without replacement, which its fixed r cannot do.
    """

    def __init__(
        self,
        *,
        count: Count = 50,
        temperature: Positive = 0.7,
        replace: bool = True,
        evaluation: Literal["roulette", "systematic"] = "roulette",
        shuffle: bool = False,
    ) -> None:
        if evaluation == "systematic" and not replace:
            raise VarkitError(
                "anomaly_led: evaluation=systematic needs replace=true",
                hint="set replace=true, or evaluation=roulette",
            )
        self.count = count
        self.temperature = temperature
        self.replace = replace
        self.evaluation = evaluation
        self.shuffle = shuffle

    def __call__(
        self, scores: Tensor | None, mask: Tensor, draws: Draws, *, training: bool
    ) -> Tensor:
        """Return ``(B, N)`` ascending clips; see :class:`varkit.interfaces.Sampler`.

        Raises:
            VarkitError: there are no scores, since the recipe has no detector.
        """
        if scores is None:
            raise VarkitError(
                "anomaly_led: no anomaly confidence to draw by: the recipe has no detector",
                hint="add a detector: section to the recipe, e.g. {use: temporal_convolution}",
            )
        if self.shuffle:
            scores = _shuffled(scores, mask, draws.named("shuffle"))
        # In double precision: q sums up to 61,000 terms in the benchmarks.
        logits = (scores.double() / self.temperature).masked_fill(~mask, -torch.inf)
        length = mask.sum(dim=1, keepdim=True)
        if self.replace:
            picks = self._roulette(logits, length, draws, training)
        else:
            picks = self._gumbel(logits, length, draws)
        return picks.sort(dim=1).values

    def _roulette(self, logits: Tensor, length: Tensor, draws: Draws, training: bool) -> Tensor:
        """Invert the cumulative distribution (ALAN, Eq. 2)."""
        q = logits.softmax(dim=1).cumsum(dim=1)
        if training or self.evaluation == "roulette":
            r = 1 - draws.uniform(self.count).to(q.device)
        else:
            j = torch.arange(self.count, device=q.device, dtype=q.dtype)
            r = ((j + 0.5) / self.count).repeat(len(q), 1)
        # The minimum stands for q_T := 1: rounding may leave the last q below 1, and r above it.
        return torch.searchsorted(q, r, side="left").minimum(length - 1)

    def _gumbel(self, logits: Tensor, length: Tensor, draws: Draws) -> Tensor:
        """Take the N largest noisy logits, repeating them where there are fewer than N."""
        clips = logits.shape[1]
        r = 1 - draws.uniform(clips).to(logits.device)
        keys = logits - (-r.log()).log()
        ranking = keys.topk(min(self.count, clips), dim=1).indices
        return ranking.gather(1, torch.arange(self.count, device=logits.device) % length)


def _shuffled(scores: Tensor, mask: Tensor, draws: Draws) -> Tensor:
    """Return ``(B, T)`` scores with those of each video's real clips in random order."""
    keys = draws.uniform(scores.shape[1]).to(scores.device).masked_fill(~mask, torch.inf)
    return scores.gather(1, keys.argsort(dim=1, stable=True))
