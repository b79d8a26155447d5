"""What every objective promises (:class:`varkit.interfaces.Objective`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F

from varkit.interfaces import Objective, Pairs
from varkit.system import distributed
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    Row,
    expect_finite,
    expect_own_draws,
    expect_same,
    expect_scalar,
    expect_serialisable,
    expect_unchanged,
)

PAIRS, WIDTH = 6, 8


@dataclass(frozen=True)
class _Case:
    objective: Objective
    fresh: Objective | None
    video: Tensor
    query: Tensor
    pairs: Pairs


def check_objective(
    objective: Objective, *, fresh: Objective | None = None, subject: str = "objective"
) -> tuple[Result, ...]:
    """Check an objective on 6 made-up pairs, two of which have the same query.

    Args:
        objective: the component.
        fresh: another instance with the same options, which loads the state of ``objective``.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        generator = torch.Generator().manual_seed(17)
        video = F.normalize(torch.randn(PAIRS, WIDTH, generator=generator), dim=1)
        query = F.normalize(torch.randn(PAIRS, WIDTH, generator=generator), dim=1)
        query[3] = query[1]
        uniform = torch.rand(PAIRS, 2, generator=generator, dtype=torch.float64)
        pairs = Pairs(group=torch.tensor([0, 1, 2, 1, 3, 4]), uniform=uniform)
        return _Case(objective, fresh, video, query, pairs)

    return run(subject, objective, _CHECKS, make_case, unchanged=_unchanged)


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(video=case.video, query=case.query, pairs=case.pairs)


def loss_is_a_number(case: _Case) -> None:
    """The loss is one finite number, whether from factors or from similarities."""
    expect_scalar(case.objective.factored(case.video, case.query, case.pairs), "factored")
    expect_scalar(case.objective.dense(case.video @ case.query.T, case.pairs), "dense")


def factored_equals_dense(case: _Case) -> None:
    """The loss of factors is the loss of their inner products."""
    factored = case.objective.factored(case.video, case.query, case.pairs)
    dense = case.objective.dense(case.video @ case.query.T, case.pairs)
    expect_same({"loss": dense}, {"loss": factored}, "from factors")


def over_ranks_equals_factored(case: _Case) -> None:
    """Over one rank, ``over_ranks`` gives the loss and gradients of ``factored``."""
    over_ranks = getattr(case.objective, "over_ranks", None)
    if over_ranks is None or not dist.is_available() or distributed.world_size() > 1:
        return

    def compute(loss_of: Callable[[Tensor, Tensor, Pairs], Tensor | None]) -> Row:
        video, query = (side.clone().requires_grad_() for side in (case.video, case.query))
        loss = loss_of(video, query, case.pairs)
        if loss is None:  # the model gathers
            return {}
        of_video, of_query = torch.autograd.grad(loss, (video, query))
        return {"loss": loss, "gradient of video": of_video, "gradient of query": of_query}

    with _one_rank():
        over = compute(over_ranks)
    if over:
        expect_same(compute(case.objective.factored), over, "over one rank")


def one_pair_is_enough(case: _Case) -> None:
    """A batch of one pair has a finite loss."""
    one = case.video[:1], case.query[:1], _some(case.pairs, [0])
    expect_scalar(case.objective.factored(*one), "factored of B = 1")
    expect_scalar(case.objective.dense(one[0] @ one[1].T, one[2]), "dense of B = 1")


def diagonal_is_positive(case: _Case) -> None:
    """The loss is smaller if every video is most similar to its own query."""
    similarity = 2 * torch.eye(PAIRS) - 1
    pairs = replace(case.pairs, group=torch.arange(PAIRS))
    right = float(case.objective.dense(similarity, pairs).detach())
    wrong = float(case.objective.dense(-similarity, pairs).detach())
    expect(right < wrong, f"{right:.3g} for true pairs most similar, {wrong:.3g} for least")


def order_changes_nothing(case: _Case) -> None:
    """The order of the pairs does not change the loss."""
    order = [4, 0, 5, 2, 1, 3]
    before = case.objective.factored(case.video, case.query, case.pairs)
    after = case.objective.factored(case.video[order], case.query[order], _some(case.pairs, order))
    expect_same({"loss": before}, {"loss": after}, "in another order")


def gradients_flow(case: _Case) -> None:
    """Gradients are finite and reach both sides, ties included."""
    similarity = (case.video @ case.query.T).requires_grad_()
    video, query = (side.clone().requires_grad_() for side in (case.video, case.query))
    tied = torch.zeros(PAIRS, PAIRS, requires_grad=True)
    losses = [
        case.objective.dense(similarity, case.pairs),
        case.objective.factored(video, query, case.pairs),
        case.objective.dense(tied, case.pairs),
    ]
    torch.autograd.backward(losses)
    leaves = {"similarity": similarity, "video": video, "query": query, "tied": tied}
    for name, leaf in leaves.items():
        expect(leaf.grad is not None and bool(leaf.grad.any()), f"no gradient reaches {name}")
        expect_finite(leaf.grad if leaf.grad is not None else leaf, f"the gradient of {name}")


def nothing_is_left_to_chance(case: _Case) -> None:
    """The loss is not random."""

    def compute() -> Row:
        return {"loss": case.objective.factored(case.video, case.query, case.pairs)}

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """Factors, similarity and groups are not changed."""
    similarity = case.video @ case.query.T
    with _unchanged(case), expect_unchanged(similarity=similarity):
        case.objective.factored(case.video, case.query, case.pairs)
        case.objective.dense(similarity, case.pairs)


def state_is_complete(case: _Case) -> None:
    """A fresh instance that loads the saved state gives the same loss."""

    def compute(objective: Objective) -> Row:
        return {"loss": objective.factored(case.video, case.query, case.pairs)}

    expect_serialisable(case.objective, case.fresh, compute)


@contextmanager
def _one_rank() -> Iterator[None]:
    """Run in a process group of one, as ``torchrun --nproc-per-node 1`` does."""
    if dist.is_initialized():
        yield
        return
    store = dist.HashStore()  # type: ignore[attr-defined]  # torch does not list it
    with distributed.joined("gloo", store=store, rank=0, world_size=1):
        yield


def _some(pairs: Pairs, chosen: list[int]) -> Pairs:
    return Pairs(group=pairs.group[chosen], uniform=pairs.uniform[chosen], epoch=pairs.epoch)


_CHECKS = (
    loss_is_a_number,
    factored_equals_dense,
    over_ranks_equals_factored,
    one_pair_is_enough,
    diagonal_is_positive,
    order_changes_nothing,
    gradients_flow,
    nothing_is_left_to_chance,
    inputs_stay,
    state_is_complete,
)
