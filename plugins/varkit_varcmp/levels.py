"""The similarities of the hierarchy, each a (V, Q) matrix of values from -1 to 1.

V videos of T frames with p patches, Q queries of W words or S clips of a sound. All vectors have
length 1, or 0 in the padding. Time is always dimension 1.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from varkit_varcmp.weighting import biased_weights


def words_of_frames(
    frames: Tensor,
    words: Tensor,
    word_mask: Tensor,
    prior: Tensor,
    allowed: Tensor,
    *,
    kappa: float,
    beta: Tensor,
) -> Tensor:
    """Compare each word with the frames that show it: mean_w sum_t omega^w_t cos(V_t, E_w).

    omega^w is :func:`~.weighting.biased_weights` by the word's own relevance. X-CLIP pools the same
    matrix by softmaxes.

    Args:
        frames: ``(V, T, D)``.
        words: ``(Q, W, D)``.
        word_mask: ``(Q, W)`` bool.
        prior: ``(V, T, Q)``.
        allowed: ``(V, T, Q)`` bool.
        kappa: as in :func:`~.weighting.biased_weights`.
        beta: the same.
    """
    cosines = torch.einsum("vtd,qwd->vtqw", frames, words)
    weights = biased_weights(
        cosines, prior.unsqueeze(-1), allowed.unsqueeze(-1), kappa=kappa, beta=beta
    )
    return mean_of_words((weights * cosines).sum(dim=1), word_mask)


def best_sounds(frames: Tensor, sounds: Tensor, sound_mask: Tensor, delta: int) -> Tensor:
    """Return ``(V, T, Q)``: the cosine of each frame and the best clip around it.

    max_{|t - t'| <= delta} cos(V_t, A_t'), -inf where there is no such clip. The band allows for a
    sound that is heard a little before or after its source is seen.

    Args:
        frames: ``(V, T, D)``.
        sounds: ``(Q, S, D)``; clip t is heard while frame t is seen. This holds for a video's own
            sound of as many clips. ``train.max_clips`` averages longer ones over equal parts of
            their own length.
        sound_mask: ``(Q, S)`` bool.
        delta: clips.
    """
    length = frames.shape[1]
    best = frames.new_full((len(frames), length, len(sounds)), -torch.inf)
    for step in range(-delta, delta + 1):
        cosines = torch.einsum("vtd,qtd->vtq", frames, shifted(sounds, step, length))
        real = shifted(sound_mask.unsqueeze(-1), step, length).squeeze(-1)
        best = torch.maximum(best, cosines.masked_fill(~real.T, -torch.inf))
    return best


def shifted(x: Tensor, step: int, length: int) -> Tensor:
    """Return ``(Q, length, D)``, at t what ``(Q, S, D)`` has at t + step; 0 or False outside."""
    before = min(max(0, -step), length)
    part = x[:, max(0, step) : max(0, length + step)]
    return F.pad(part, (0, 0, before, length - before - part.shape[1]))


def words_of_patches(patches: Tensor, words: Tensor, word_mask: Tensor) -> Tensor:
    """Return ``(V, T, Q)``: the mean of each word's best place, mean_w max_j cos(Q_tj, E_w).

    Args:
        patches: ``(V, T, p, D)``.
        words: ``(Q, W, D)``.
        word_mask: ``(Q, W)`` bool.
    """
    best = torch.einsum("vtd,qwd->vtqw", patches[:, :, 0], words)
    for place in range(1, patches.shape[2]):
        best = torch.maximum(best, torch.einsum("vtd,qwd->vtqw", patches[:, :, place], words))
    return mean_of_words(best, word_mask)


def sounds_of_patches(patches: Tensor, sounds: Tensor) -> Tensor:
    """Return ``(V, T, Q)``: where a sound comes from, max_j cos(Q_tj, A_t).

    Args:
        patches: ``(V, T, p, D)``.
        sounds: ``(Q, T, D)``.
    """
    return torch.stack(
        [torch.einsum("vtd,qtd->vtq", place, sounds) for place in patches.unbind(2)]
    ).amax(dim=0)


def mean_of_words(x: Tensor, word_mask: Tensor) -> Tensor:
    """Return the mean of ``(..., Q, W)`` over the real words of ``(Q, W)``."""
    return x.masked_fill(~word_mask, 0).sum(dim=-1) / word_mask.sum(dim=-1)
