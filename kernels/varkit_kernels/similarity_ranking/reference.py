"""The operators, written to be obviously right: one cosine an expert, one term at a time.

Slow, dense, differentiable, in the dtype of its inputs. In float64 it is what all else is tested
against.
"""

from __future__ import annotations

import torch
from torch import Tensor

from varkit_kernels.similarity_ranking.sides import Side


def similarity(video: Side, query: Side) -> Tensor:
    """Return the (V, Q) similarity.

    s_ij = sum_a alpha_a sum_e w_aje cos(v_aie, q_aje); the cosine with a zero vector is 0.
    """
    if video.is_factors:
        return video.vectors[0] @ query.vectors[0].T
    rows = []
    for i in range(len(video)):
        row = []
        for j in range(len(query)):
            total = video.vectors[0].new_zeros(())
            for a, (v, q) in enumerate(zip(video.vectors, query.vectors, strict=True)):
                for e in range(v.shape[1]):
                    weight = query.weights[a][j, e] if query.weights else 1.0
                    total = total + query.alpha[a] * weight * _cosine(v[i, e], q[j, e])
            row.append(total)
        rows.append(torch.stack(row) if row else video.vectors[0].new_zeros(0))
    return torch.stack(rows) if rows else video.vectors[0].new_zeros(0, len(query))


def ranking_loss(
    similarity: Tensor, *, margin: float, group: Tensor, reduction: str = "paper"
) -> Tensor:
    """Return the () hinge over all negatives, in both directions (ALAN, Eq. 6)."""
    count = len(similarity)
    total, terms = similarity.new_zeros(()), 0
    for i in range(count):
        for j in range(count):
            if group[i] != group[j]:
                total = total + (similarity[i, j] - similarity[i, i] + margin).relu()
                total = total + (similarity[j, i] - similarity[i, i] + margin).relu()
                terms += 2
    return total / max(count if reduction == "paper" else terms, 1)


def info_nce(similarity: Tensor, *, scale: Tensor, group: Tensor) -> Tensor:
    """Return the () symmetric InfoNCE; others of a pair's group are in no denominator."""
    count = len(similarity)
    total = similarity.sum() * 0 + scale * 0
    for i in range(count):
        kept = [j for j in range(count) if j == i or group[j] != group[i]]
        logits = scale * similarity
        total = total + logits[i, kept].logsumexp(0) - logits[i, i]
        total = total + logits[kept, i].logsumexp(0) - logits[i, i]
    return total / max(2 * count, 1)


def _cosine(v: Tensor, q: Tensor) -> Tensor:
    if not v.any() or not q.any():
        return (v * 0).sum() + (q * 0).sum()
    return v @ q / (v.square().sum().sqrt() * q.square().sum().sqrt())
