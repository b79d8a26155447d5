"""The public functions of this operator, the same for every backend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from varkit_kernels.device import on_device
from varkit_kernels.errors import InputError
from varkit_kernels.similarity_ranking import backends, compiled, cpu_small, eager, in_forward
from varkit_kernels.similarity_ranking.backends import Choice, choose
from varkit_kernels.similarity_ranking.hinge import RankingLoss, terms
from varkit_kernels.similarity_ranking.sides import Side, Vectors, check_group, make_sides
from varkit_kernels.similarity_ranking.softmax import InfoNCE
from varkit_kernels.similarity_ranking.task import Task

REDUCTIONS = ("paper", "mean")

GRADIENTS = ("auto", "dense", "gather", "forward")


def ranking_loss(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None = None,
    *,
    alpha: Sequence[float] | None = None,
    margin: float = 0.05,
    group: Tensor | None = None,
    reduction: str = "paper",
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    gradient: str = "auto",
) -> Tensor:
    """Return ALAN's ranking loss over all negatives of a batch, in both directions (Eq. 6).

    s_ij = sum_a alpha_a sum_e w_aje cos(v_aie, q_aje)
    L = 1/B sum_i sum_{j != i} [s_ij - s_ii + margin]_+ + [s_ji - s_ii + margin]_+

    The B x B matrix is not built by the ``cpu`` and ``triton`` backends. A zero vector has cosine 0
    with everything, and gradient 0. The result repeats bit for bit on one machine.

    Args:
        video: (B, E, D) an alignment; or one (B, K) tensor of factor vectors.
        query: the same, row b belonging to video b.
        weights: (B, E) an alignment; 0 for a missing expert. None = 1.
        alpha: a number an alignment. None = 1.
        margin: Delta.
        group: (B,) int64; pairs with equal ids are not negatives of one another. None = all differ.
        reduction: ``paper`` divides by B; ``mean`` by the number of hinges.
        dtype: in which products are computed. None = autocast's where it is on, else the vectors'
            own, on the CPU at least fp32. The rest, and the loss, are in at least fp32.
        backend: ``auto``, ``eager``, ``compiled``, ``cpu`` or ``triton``; see :func:`explain`.
        gradient: how a fused backend makes it. ``dense`` keeps 2 bits a pair and multiplies with
            them; ``gather`` makes a list of the pairs that violate of these bits and adds up rows;
            ``forward`` makes it in the forward pass and keeps no bits. ``auto`` gathers where few
            pairs violate, and takes ``forward`` where B^2 / 4 bytes are more than
            :data:`in_forward.MASK`.

    Returns:
        () the loss, 0 for B < 2. It can be differentiated once.

    Raises:
        InputError: the arguments do not fit together.
        BackendError: the backend that was asked for cannot run here.

    >>> eye = torch.eye(3)
    >>> ranking_loss(eye, eye[[1, 0, 2]], margin=0.5)
    tensor(2.3333)
    """
    if reduction not in REDUCTIONS:
        raise InputError(f"reduction is {reduction!r}; there are {' and '.join(REDUCTIONS)}")
    if gradient not in GRADIENTS:
        raise InputError(f"gradient is {gradient!r}; there are {', '.join(GRADIENTS)}")
    left, right = make_sides(video, query, weights, alpha, paired=True)
    ids = check_group(group, len(left), left.vectors[0].device)
    choice = choose(left, backend, dtype)
    if gradient != "auto" and choice.backend not in ("cpu", "triton"):
        raise InputError(f"gradient={gradient!r} is for cpu and triton, not for {choice.backend}")
    if choice.backend == "eager":
        similarity = eager.similarity(left, right, choice.dtype)
        return eager.ranking_loss(similarity, margin=margin, group=ids, reduction=reduction)
    if choice.backend == "compiled":
        delta = torch.tensor(margin, dtype=_wide(choice.dtype), device=ids.device)
        return compiled.ranking_loss()(left, right, delta, ids, reduction, choice.dtype)
    function, options = _form(left, choice, gradient)
    return _fused(function, left, right, ids, choice, margin, terms(ids, reduction), *options)


def ranking_loss_from_factors(
    video: Tensor,
    query: Tensor,
    *,
    margin: float = 0.05,
    group: Tensor | None = None,
    reduction: str = "paper",
    dtype: torch.dtype | None = None,
    backend: str = "auto",
    gradient: str = "auto",
) -> Tensor:
    """Return the ranking loss of (B, K) factor vectors, whose inner products are the similarity.

    Arguments, result and errors are those of :func:`ranking_loss`.
    """
    return ranking_loss(
        video,
        query,
        margin=margin,
        group=group,
        reduction=reduction,
        dtype=dtype,
        backend=backend,
        gradient=gradient,
    )


def info_nce(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None = None,
    *,
    scale: float | Tensor,
    alpha: Sequence[float] | None = None,
    group: Tensor | None = None,
    dtype: torch.dtype | None = None,
    backend: str = "auto",
) -> Tensor:
    """Return the symmetric InfoNCE of the same similarity: CLIP's loss.

    L = 1/2B sum_i lse_j(scale s_ij) + lse_j(scale s_ji) - 2 scale s_ii

    Args:
        video: as in :func:`ranking_loss`.
        query: likewise.
        weights: likewise.
        scale: 1 / temperature, a number or a () tensor, which gets its gradient.
        alpha: as in :func:`ranking_loss`.
        group: pairs with equal ids are in no denominator of one another. None = all differ.
        dtype: as in :func:`ranking_loss`.
        backend: likewise.

    Returns:
        () the loss, 0 for B = 0. It can be differentiated once.

    Raises:
        InputError: the arguments do not fit together.
        BackendError: the backend that was asked for cannot run here.
    """
    left, right = make_sides(video, query, weights, alpha, paired=True)
    ids = check_group(group, len(left), left.vectors[0].device)
    choice = choose(left, backend, dtype)
    wide = _wide(choice.dtype)
    factor = torch.as_tensor(scale, dtype=wide, device=ids.device)
    if factor.ndim:
        raise InputError(f"scale is {tuple(factor.shape)}, not a number or a () tensor")
    if choice.backend == "eager":
        similarity = eager.similarity(left, right, choice.dtype)
        return eager.info_nce(similarity, scale=factor, group=ids)
    if choice.backend == "compiled":
        return compiled.info_nce()(left, right, factor, ids, choice.dtype)
    return _fused(InfoNCE, left, right, ids, choice, factor)


def similarity(
    video: Vectors,
    query: Vectors,
    weights: Sequence[Tensor] | None = None,
    *,
    alpha: Sequence[float] | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Return the (V, Q) similarity, differentiable, for whoever needs the matrix itself.

    It is one product of factor vectors, which the vendor's library computes best; there is no
    backend to choose.

    Args:
        video: (V, E, D) an alignment; or one (V, K) tensor of factor vectors.
        query: (Q, E, D) an alignment; or (Q, K).
        weights: as in :func:`ranking_loss`.
        alpha: likewise.
        dtype: likewise.

    Raises:
        InputError: the arguments do not fit together.
    """
    left, right = make_sides(video, query, weights, alpha, paired=False)
    chosen = choose(left, "eager", dtype).dtype
    with on_device(left.vectors[0].device):
        return compiled.similarity(left, right, chosen)


def explain(video: Vectors, *, backend: str = "auto", dtype: torch.dtype | None = None) -> Choice:
    """Say which backend would run for such vectors, in which dtype, and why; print it to read it.

    Raises:
        InputError: there is no such backend.
        BackendError: it cannot run for these inputs.
    """
    side = make_sides(video, video, None, None, paired=False)[0]
    choice = choose(side, backend, dtype)
    return replace(choice, refused=backends.refusals(side, choice.dtype))


def _form(
    side: Side, choice: Choice, gradient: str
) -> tuple[type[torch.autograd.Function], tuple[str, ...]]:
    """Return the function of a fused backend, and the options that it takes of its own."""
    if gradient == "forward":
        return in_forward.RankingLossInForward, ()
    if gradient == "auto":
        if choice.backend == "cpu" and cpu_small.fits(side, choice.dtype):
            return cpu_small.SmallRankingLoss, ()
        if torch.is_grad_enabled() and in_forward.pays(len(side)):
            return in_forward.RankingLossInForward, ()
    return RankingLoss, (gradient,)


def _fused(
    function: type[torch.autograd.Function],
    video: Side,
    query: Side,
    group: Tensor,
    choice: Choice,
    *options: Any,
) -> Tensor:
    """Apply an autograd function of a fused backend."""
    task = Task(backends.operations(choice.backend), video, query, group, choice.dtype)
    tensors = (*video.tensors, *query.tensors)
    if not torch.is_grad_enabled():  # else a mask would be written that nobody asks for
        tensors = tuple(x.detach() for x in tensors)
    loss: Tensor = function.apply(task, *options, *tensors)  # type: ignore[no-untyped-call]  # torch leaves it untyped
    return loss


def _wide(dtype: torch.dtype) -> torch.dtype:
    return torch.promote_types(dtype, torch.float32)
