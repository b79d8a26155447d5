"""The operators as one would write them in PyTorch: expert by expert, the matrix in memory.

It runs on any device and in any dtype, and is the baseline that the benchmark compares with.
"""

from __future__ import annotations

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.similarity_ranking.sides import Side


def unit(x: Tensor) -> Tensor:
    """Scale the last dimension to length 1, in at least fp32; a zero vector stays 0.

    Its gradient there is 0 too, where that of ``F.normalize`` is up to 1e12 times the incoming one.
    """
    x = x.to(torch.promote_types(x.dtype, torch.float32))
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    zero = norm == 0
    return x * torch.where(zero, 0.0, 1 / norm.masked_fill(zero, 1.0))


def similarity(video: Side, query: Side, dtype: torch.dtype) -> Tensor:
    """Return the (V, Q) similarity in at least fp32, each expert's product in ``dtype``."""
    if video.is_factors:
        return _product(video.vectors[0], query.vectors[0], dtype)
    parts = []
    for a, (v, q) in enumerate(zip(video.vectors, query.vectors, strict=True)):
        for e in range(v.shape[1]):
            part = query.alpha[a] * _product(unit(v[:, e]), unit(q[:, e]), dtype)
            parts.append(part * query.weights[a][:, e] if query.weights else part)
    return sum(parts[1:], parts[0])


def pack(side: Side) -> Tensor:
    """Return the (B, K) factor vectors of a side in at least fp32, differentiable.

    <v_i, q_j> is then the whole similarity: unit vectors side by side, on the query side times
    weight and alpha.
    """
    if side.is_factors:
        return side.vectors[0].to(torch.promote_types(side.vectors[0].dtype, torch.float32))
    parts = []
    for a, x in enumerate(side.vectors):
        factor = unit(x)
        if side.alpha:
            factor = factor * side.alpha[a]
        if side.weights:
            factor = factor * side.weights[a].unsqueeze(-1)
        parts.append(factor.flatten(1))
    return torch.cat(parts, 1)


def ranking_loss(
    similarity: Tensor, *, margin: float | Tensor, group: Tensor, reduction: str
) -> Tensor:
    """Return the () hinge over all negatives, in both directions (ALAN, Eq. 6)."""
    positive = similarity.diagonal()
    to_query = (similarity - positive.unsqueeze(1) + margin).relu()  # s_ij - s_ii
    to_video = (similarity - positive.unsqueeze(0) + margin).relu()  # s_ji - s_ii
    same = group.unsqueeze(1) == group.unsqueeze(0)
    total = (to_query + to_video).masked_fill(same, 0.0).sum()
    if reduction == "paper":
        return total / max(len(similarity), 1)
    return total / (2 * (~same).sum()).clamp(min=1)


def info_nce(similarity: Tensor, *, scale: Tensor, group: Tensor) -> Tensor:
    """Return the () symmetric InfoNCE; others of a pair's group are in no denominator."""
    same = group.unsqueeze(1) == group.unsqueeze(0)
    same = same & ~torch.eye(len(group), dtype=torch.bool, device=group.device)
    logits = similarity * scale
    kept = logits.masked_fill(same, -torch.inf)
    both = kept.logsumexp(1) + kept.logsumexp(0) - 2 * logits.diagonal()
    return both.sum() / max(2 * len(group), 1)


def _product(left: Tensor, right: Tensor, dtype: torch.dtype) -> Tensor:
    """Return left @ right.T, multiplied in ``dtype``, in at least fp32."""
    with on_device(left.device):
        product = left.to(dtype) @ right.to(dtype).T
    return product.to(torch.promote_types(dtype, torch.float32))
