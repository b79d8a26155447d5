"""Anomaly-biased weighting: which frames of a video count for a query."""

from __future__ import annotations

import torch
from torch import Tensor


def kept(logits: Tensor, counts: Tensor, keep: float) -> Tensor:
    """Return which frames of a pair are kept: the best ceil(keep * n) of the n that count.

    Frames that tie with the last one kept are kept too, so nothing depends on their order.

    Args:
        logits: ``(V, T, Q)``.
        counts: ``(V, T, Q)`` bool, the frames that count at all; at least one a pair.
        keep: rho, from above 0 to 1.
    """
    if keep == 1:
        return counts
    # Rounding may put a product such as 0.7 * 10 above its whole number.
    many = (counts.sum(dim=1, keepdim=True) * keep - 1e-6).ceil().long().clamp(min=1)
    ranked = logits.detach().masked_fill(~counts, -torch.inf).sort(dim=1, descending=True).values
    return counts & (logits >= ranked.gather(1, many - 1))


def biased_weights(
    relevance: Tensor, prior: Tensor, allowed: Tensor, *, kappa: float, beta: Tensor
) -> Tensor:
    """Return the weights of frames, which sum to 1 over those allowed and are 0 elsewhere.

    omega_t = softmax_t(kappa cos(V_t, x) + beta a_t)

    With beta = 0 the weights depend on relevance alone.

    Args:
        relevance: ``(V, T, ...)`` cosines of frames and what they are compared with.
        prior: a, in [0, 1]; broadcasts to the shape of ``relevance``.
        allowed: bool, the same; at least one frame of every video.
        kappa: how sharply relevance counts.
        beta: ``()``, how much the prior counts.
    """
    logits = kappa * relevance + beta * prior
    return logits.masked_fill(~allowed, -torch.inf).softmax(dim=1)
