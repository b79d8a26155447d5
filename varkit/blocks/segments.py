"""Long videos as a bounded number of equal segments, in a padded batch."""

from __future__ import annotations

import torch
from torch import Tensor


def segment_means(x: Tensor, mask: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Average each item over ``count`` equal segments; a shorter item stays as it is.

    Segment i of T clips holds the clips [floor(i T / count), floor((i + 1) T / count)), as
    :func:`varkit.data.collate.segment_means` has it for one item alone.

    Args:
        x: ``(B, T, C)``; what stands in the padding does not matter.
        mask: ``(B, T)`` bool, True = a real clip.
        count: S at most.

    Returns:
        ``(B, S, C)``, 0 in the padding, and its mask ``(B, S)``; S = min(T, count).
    """
    total = mask.sum(dim=1, keepdim=True)
    size = total.clamp(max=count)
    segment = torch.arange(min(mask.shape[1], count), device=x.device)
    real = segment < size
    first = segment * total // size
    last = (segment + 1) * total // size - 1
    # Clip by clip of every segment at once: on a GPU, unlike index_add, it repeats bit for bit.
    sums = x.new_zeros(*real.shape, x.shape[-1])
    for step in range(int(((last - first) * real).max()) + 1):
        clip = first + step
        there = real & (clip <= last)
        chosen = clip.masked_fill(~there, 0).unsqueeze(-1).expand_as(sums)
        sums = sums + x.gather(1, chosen).masked_fill(~there.unsqueeze(-1), 0)
    return sums / (last - first + 1).unsqueeze(-1), real


def spread(values: Tensor, mask: Tensor) -> Tensor:
    """Give every clip the value of its segment; the inverse of :func:`segment_means`' cut.

    Args:
        values: ``(B, S)``, S as :func:`segment_means` made it.
        mask: ``(B, T)`` bool, True = a real clip.

    Returns:
        ``(B, T)``, 0 in the padding.
    """
    total = mask.sum(dim=1, keepdim=True)
    clip = torch.arange(mask.shape[1], device=mask.device)
    segment = ((clip + 1) * total.clamp(max=values.shape[1]) - 1) // total
    chosen = segment.masked_fill(~mask, 0)
    return values.gather(1, chosen).masked_fill(~mask, 0)
