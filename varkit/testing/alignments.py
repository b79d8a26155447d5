"""What every alignment promises (:class:`varkit.interfaces.Alignment`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit.interfaces import Alignment, Representation
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    Row,
    evaluation,
    expect_finite,
    expect_own_draws,
    expect_same,
    expect_serialisable,
    expect_unchanged,
    mode,
    named_tensors,
    pad_tokens,
    seeded,
    select,
)
from varkit.testing.stand_ins import DIM, EXPERTS, make_representation, names_of

VIDEOS, QUERIES = 5, 3


@dataclass(frozen=True)
class _Case:
    alignment: Alignment
    fresh: Alignment | None
    video: Representation
    query: Representation

    def similarity(self) -> Tensor:
        with evaluation(self.alignment):
            return self.alignment.similarity(self.video, self.query)


def check_alignment(
    alignment: Alignment,
    *,
    dim: int = DIM,
    experts: Sequence[str] = EXPERTS,
    fresh: Alignment | None = None,
    subject: str = "alignment",
) -> tuple[Result, ...]:
    """Check an alignment on made-up representations of 5 videos and 3 queries.

    Both have vectors named ``cls`` and ``avg``. The videos' tokens are named like the experts, the
    queries' tokens ``words`` and ``sentence``. An alignment that reads other names by default needs
    an ``example`` that chooses one of these.

    Args:
        alignment: the component.
        dim: D.
        experts: the names of the E experts.
        fresh: another instance with the same options, which loads the state of ``alignment``.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        video = make_representation("video", VIDEOS, dim=dim, experts=experts)
        query = make_representation("query", QUERIES, dim=dim, experts=experts)
        return _Case(alignment, fresh, video, query)

    case = make_case()
    names = names_of(case.video, case.query)
    return run(subject, alignment, _CHECKS, make_case, unchanged=_unchanged, names=names)


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(video=case.video, query=case.query)


def similarity_is_a_matrix(case: _Case) -> None:
    """The similarity is a finite (V, Q) matrix of floats."""
    matrix = case.similarity()
    right = matrix.shape == (VIDEOS, QUERIES) and matrix.dtype.is_floating_point
    expect(right, f"{matrix.dtype} of shape {tuple(matrix.shape)} for V = {VIDEOS}, Q = {QUERIES}")
    expect_finite(matrix, "the similarity")


def pairs_are_independent(case: _Case) -> None:
    """The similarity of a pair does not depend on other videos and queries."""
    whole = case.similarity()
    for v, q in ((0, 0), (4, 1), (2, 2)):
        with evaluation(case.alignment):
            alone = case.alignment.similarity(select(case.video, [v]), select(case.query, [q]))
        expect_same({"": whole[v : v + 1, q : q + 1]}, {"": alone}, f"video {v}, query {q} alone")
    videos, queries = [3, 0, 4, 1, 2], [2, 0, 1]
    with evaluation(case.alignment):
        moved = case.alignment.similarity(select(case.video, videos), select(case.query, queries))
    expect_same({"": whole[videos][:, queries]}, {"": moved}, "in another order")


def padding_changes_nothing(case: _Case) -> None:
    """More padding in the tokens, with any values, does not change the similarity."""
    with evaluation(case.alignment):
        padded = case.alignment.similarity(pad_tokens(case.video, 4), pad_tokens(case.query, 2))
    expect_same({"": case.similarity()}, {"": padded}, "with more padding in the tokens")


def factors_multiply_to_similarity(case: _Case) -> None:
    """The inner products of the factors are the similarity, or neither side has factors."""
    with evaluation(case.alignment):
        video = case.alignment.factors(case.video, "video")
        query = case.alignment.factors(case.query, "query")
    absent = (video is None, query is None)
    expect(absent[0] == absent[1], f"None for the {'video' if absent[0] else 'query'} side only")
    if video is None or query is None:
        return
    right = len(video) == VIDEOS and len(query) == QUERIES and video.shape[1:] == query.shape[1:]
    shapes = f"{tuple(video.shape)} and {tuple(query.shape)}"
    expect(right and video.ndim == 2, f"shapes {shapes} instead of ({VIDEOS}, K), ({QUERIES}, K)")
    expect_same({"": case.similarity()}, {"": video @ query.T}, "as the factors' product")


def nothing_is_left_to_chance(case: _Case) -> None:
    """In evaluation nothing is random."""

    def compute() -> Row:
        return {"": case.similarity()}

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """The representations are not changed."""
    with _unchanged(case), evaluation(case.alignment):
        case.alignment.similarity(case.video, case.query)
        case.alignment.factors(case.video, "video")
        case.alignment.factors(case.query, "query")


def gradients_flow(case: _Case) -> None:
    """The similarity gives both sides finite gradients that are not all zero."""
    sides = {"video": case.video, "query": case.query}
    leaves = {name: part for name, part in named_tensors(sides).items() if part.is_floating_point()}
    for leaf in leaves.values():
        leaf.requires_grad_(True)
    with mode(case.alignment, training=True), seeded(1):
        similarity = case.alignment.similarity(case.video, case.query)
    seeds = torch.linspace(-1, 2, similarity.numel()).reshape(similarity.shape)
    torch.autograd.backward((similarity * seeds).sum())
    for side in sides:
        grads = [leaf.grad for name, leaf in leaves.items() if f"'{side}'" in name]
        reached = [grad for grad in grads if grad is not None]
        for grad in reached:
            expect_finite(grad, f"the gradient of the {side} side")
        expect(any(bool(g.any()) for g in reached), f"no gradient reaches the {side} side")


def state_is_complete(case: _Case) -> None:
    """A fresh instance that loads the saved state gives the same similarity."""

    def compute(alignment: Alignment) -> Row:
        return {"": alignment.similarity(case.video, case.query)}

    expect_serialisable(case.alignment, case.fresh, compute)


_CHECKS = (
    similarity_is_a_matrix,
    pairs_are_independent,
    padding_changes_nothing,
    factors_multiply_to_similarity,
    nothing_is_left_to_chance,
    inputs_stay,
    gradients_flow,
    state_is_complete,
)
