"""What every pretext task promises (:class:`varkit.interfaces.PretextTask`)."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from varkit.interfaces import Batch, Draws, Encoder, PretextTask, Representation, TextEncoder
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    Row,
    evaluation,
    expect_finite,
    expect_gradients,
    expect_own_draws,
    expect_same,
    expect_scalar,
    expect_serialisable,
    expect_unchanged,
    mode,
    named_tensors,
    pad,
    pad_clips,
    pad_tokens,
    seeded,
    select,
)
from varkit.testing.stand_ins import (
    DIM,
    EXPERTS,
    TEXTS,
    WIDTHS,
    Words,
    make_clips,
    make_representation,
    names_of,
)

FEATURES = 16
"""Width of sounds' streams, and of experts that are not in ``WIDTHS``."""


@dataclass(frozen=True)
class _Case:
    pretext: PretextTask
    fresh: PretextTask | None
    video: Representation
    query: Representation
    batch: Batch

    def loss(self) -> Tensor:
        with evaluation(self.pretext):
            return self.pretext(self.video, self.query, self.batch)

    def rows(self, order: list[int]) -> _Case:
        parts = (select(part, order) for part in (self.video, self.query, self.batch))
        return _Case(self.pretext, self.fresh, *parts)


def check_pretext(
    pretext: PretextTask,
    *,
    query_encoder: Encoder | None = None,
    dim: int = DIM,
    experts: Sequence[str] = EXPERTS,
    fresh: PretextTask | None = None,
    subject: str = "pretext",
) -> tuple[Result, ...]:
    """Check a pretext task on 4 pairs of made-up videos and captions, or sounds.

    Args:
        pretext: the component.
        query_encoder: encodes the queries: captions, or, if it cannot tokenise, sounds with one
            stream ``audio``. The default is a simple stand-in for captions.
        dim: D.
        experts: the names of the E experts, and of the videos' tokens.
        fresh: another instance with the same options, which loads the state of ``pretext``.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """
    encoder = Words(dim, experts) if query_encoder is None else query_encoder

    def make_case() -> _Case:
        return _Case(pretext, fresh, *make_inputs(encoder, dim=dim, experts=experts))

    case = make_case()
    names = names_of(case.video, case.query)
    return run(subject, pretext, _CHECKS, make_case, unchanged=_unchanged, names=names)


def make_inputs(
    encoder: Encoder, *, dim: int, experts: Sequence[str]
) -> tuple[Representation, Representation, Batch]:
    """Return the representations of 4 made-up videos and of their queries, and their batch."""
    size = len(TEXTS)
    inputs = (
        encoder.tokenize(TEXTS)
        if isinstance(encoder, TextEncoder)
        else make_clips({"audio": FEATURES})
    )
    with evaluation(encoder):
        query = encoder(inputs)
    batch = Batch(
        video=make_clips({name: WIDTHS.get(name, FEATURES) for name in experts}),
        query=inputs,
        label=torch.tensor([1.0, 0.0, torch.nan, 1.0]),
        group=torch.arange(size),
        draws=Draws(3, tuple(f"video-{b}|query-{b}" for b in range(size))),
    )
    return make_representation("video", size, dim=dim, experts=experts), query, batch


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(video=case.video, query=case.query, batch=case.batch)


def loss_is_a_number(case: _Case) -> None:
    """The loss is one finite number, even for a batch of one pair."""
    expect_scalar(case.loss(), "the loss")
    expect_scalar(case.rows([0]).loss(), "the loss of B = 1")


def padding_changes_nothing(case: _Case) -> None:
    """More padding of clips, queries and tokens, with any values, changes nothing."""
    query = pad(case.batch.query, 3)
    batch = replace(case.batch, video=pad_clips(case.batch.video, 5), query=query)
    padded = replace(
        case, video=pad_tokens(case.video, 4), query=pad_tokens(case.query, 3), batch=batch
    )
    expect_same({"loss": case.loss()}, {"loss": padded.loss()}, "with more padding")


def order_changes_nothing(case: _Case) -> None:
    """The order of the pairs does not change the loss."""
    moved = case.rows([2, 0, 3, 1]).loss()
    expect_same({"loss": case.loss()}, {"loss": moved}, "in another order")


def chance_is_in_draws(case: _Case) -> None:
    """In evaluation mode the batch's draws are the only source of chance."""

    def compute() -> Row:
        return {"loss": case.loss()}

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """Representations and batch are not changed."""
    with _unchanged(case):
        case.loss()


def gradients_flow(case: _Case) -> None:
    """The loss gives the task's parameters and at least one representation finite gradients."""
    leaves = {
        name: part.detach().clone().requires_grad_()
        for name, part in named_tensors({"video": case.video, "query": case.query}).items()
        if part.is_floating_point()
    }
    video, query = (
        Representation(
            vectors=_under(leaves, f"['{side}'].vectors", whole.vectors),
            weights=_under(leaves, f"['{side}'].weights", whole.weights),
            tokens=_under(leaves, f"['{side}'].tokens", whole.tokens),
            masks=whole.masks,
        )
        for side, whole in (("video", case.video), ("query", case.query))
    )
    with mode(case.pretext, training=True), seeded(1):
        if isinstance(case.pretext, nn.Module):
            case.pretext.zero_grad()
        torch.autograd.backward(case.pretext(video, query, case.batch))
    reached = [(name, leaf.grad) for name, leaf in leaves.items() if leaf.grad is not None]
    for name, grad in reached:
        expect_finite(grad, f"the gradient of {name}")
    expect(any(bool(grad.any()) for _, grad in reached), "no gradient reaches a representation")
    if isinstance(case.pretext, nn.Module):
        expect_gradients(dict(case.pretext.named_parameters()))


def state_is_complete(case: _Case) -> None:
    """A fresh instance that loads the saved state gives the same loss."""

    def compute(pretext: PretextTask) -> Row:
        return {"loss": pretext(case.video, case.query, case.batch)}

    expect_serialisable(case.pretext, case.fresh, compute)


def _under(leaves: Row, prefix: str, parts: object) -> Row:
    assert isinstance(parts, dict)
    return {name: leaves[f"{prefix}[{name!r}]"] for name in parts}


_CHECKS = (
    loss_is_a_number,
    padding_changes_nothing,
    order_changes_nothing,
    chance_is_in_draws,
    inputs_stay,
    gradients_flow,
    state_is_complete,
)
