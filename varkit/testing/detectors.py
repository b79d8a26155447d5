"""What every detector promises (:class:`varkit.interfaces.Detector`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.interfaces import Detector
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    GARBAGE,
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
    seeded,
)
from varkit.testing.stand_ins import LENGTHS, make_clips


@dataclass(frozen=True)
class _Case:
    detector: Detector
    fresh: Detector | None
    features: Tensor
    mask: Tensor

    def score(self, rows: list[int] | None = None) -> Tensor:
        """Score some videos (all by default), without the padding that they share."""
        rows = list(range(len(self.mask))) if rows is None else rows
        longest = int(self.mask[rows].sum(1).max())
        with evaluation(self.detector):
            return self.detector(self.features[rows, :longest], self.mask[rows, :longest])

    def loss(self, label: Tensor) -> Tensor:
        """Return the loss of made-up scores of the first videos."""
        count = len(label)
        generator = torch.Generator().manual_seed(9)
        scores = torch.rand(self.mask.shape, generator=generator) * self.mask
        return self.detector.loss(scores[:count], self.mask[:count], label)


def check_detector(
    detector: Detector, *, width: int, fresh: Detector | None = None, subject: str = "detector"
) -> tuple[Result, ...]:
    """Check a detector.

    Args:
        detector: the component.
        width: C, the channels that it reads.
        fresh: another instance with the same options, which loads the state of ``detector``.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        clips = make_clips({"raw": width})
        return _Case(detector, fresh, clips.streams["raw"], clips.mask)

    return run(subject, detector, _CHECKS, make_case, unchanged=_unchanged)


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(features=case.features, mask=case.mask)


def scores_are_confidences(case: _Case) -> None:
    """Scores are (B, T) numbers in [0, 1]."""
    scores = case.score()
    right = scores.shape == case.mask.shape and scores.dtype.is_floating_point
    expect(right, f"{scores.dtype} of shape {tuple(scores.shape)} for {tuple(case.mask.shape)}")
    expect_finite(scores, "the scores")
    low, high = float(scores.min()), float(scores.max())
    expect(low >= 0 and high <= 1, f"numbers from {low:.3g} to {high:.3g}")


def padding_scores_zero(case: _Case) -> None:
    """Scores are 0 in the padding."""
    largest = float(case.score()[~case.mask].abs().max())
    expect(largest == 0, f"up to {largest:.3g} in the padding")


def padding_changes_nothing(case: _Case) -> None:
    """More padding, with any values, changes neither scores nor loss."""
    features = case.features.masked_fill(~case.mask[..., None], GARBAGE)
    features = F.pad(features, (0, 0, 0, 9), value=GARBAGE)
    mask = F.pad(case.mask, (0, 9))
    with evaluation(case.detector):
        padded = case.detector(features, mask)
    when = "with 9 more positions of padding"
    expect_same({"scores": F.pad(case.score(), (0, 9))}, {"scores": padded}, when)
    label = torch.tensor([1.0, 0.0, 1.0, 0.0])
    scores = case.score()
    before = case.detector.loss(scores, case.mask, label)
    after = case.detector.loss(F.pad(scores, (0, 9)), mask, label)
    expect_same({"loss": before}, {"loss": after}, when)


def videos_are_independent(case: _Case) -> None:
    """In evaluation a video's scores depend neither on other videos nor on the batch's order."""
    together = case.score()
    for b, length in enumerate(LENGTHS):
        expect_same(
            {"scores": together[[b], :length]}, {"scores": case.score([b])}, f"video {b} alone"
        )
    order = list(reversed(range(len(LENGTHS))))
    expect_same({"scores": together[order]}, {"scores": case.score(order)}, "in reversed order")


def evaluation_has_no_chance(case: _Case) -> None:
    """In evaluation nothing is random."""

    def compute() -> Row:
        return {"scores": case.score()}

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """Features, mask, scores and labels are not changed."""
    label = torch.tensor([1.0, 0.0, torch.nan, 1.0])
    scores = case.score()
    with _unchanged(case), expect_unchanged(scores=scores, label=label):
        case.score()
        case.detector.loss(scores, case.mask, label)


def loss_is_finite(case: _Case) -> None:
    """The loss is one finite number for any labels, even if all are unknown."""
    known = ([1.0, 0.0, 1.0, 0.0], [1.0] * 4, [0.0] * 4, [torch.nan] * 4, [1.0])
    for label in known:
        expect_scalar(case.loss(torch.tensor(label)), f"the loss of labels {label}")


def unknown_labels_do_not_count(case: _Case) -> None:
    """A video without a known label does not change the loss."""
    without = case.loss(torch.tensor([1.0, 0.0]))
    with_unknown = case.loss(torch.tensor([1.0, 0.0, torch.nan, torch.nan]))
    expect_same({"loss": without}, {"loss": with_unknown}, "with two unlabelled videos more")


def loss_prefers_the_truth(case: _Case) -> None:
    """The loss is smaller if anomalous videos score high and normal ones low."""
    label = torch.tensor([1.0, 0.0, 1.0, 0.0])
    truth = (0.1 + 0.8 * label)[:, None] * case.mask
    lie = (0.9 - 0.8 * label)[:, None] * case.mask
    right = float(case.detector.loss(truth, case.mask, label))
    wrong = float(case.detector.loss(lie, case.mask, label))
    expect(right < wrong, f"{right:.3g} for true scores, {wrong:.3g} for opposite ones")


def gradients_flow(case: _Case) -> None:
    """The loss gives every trainable parameter a finite gradient."""
    if not isinstance(case.detector, nn.Module):
        return
    with mode(case.detector, training=True), seeded(1):
        case.detector.zero_grad()
        scores = case.detector(case.features, case.mask)
        loss = case.detector.loss(scores, case.mask, torch.tensor([1.0, 0.0, 1.0, 0.0]))
        torch.autograd.backward(loss)
    expect_gradients(dict(case.detector.named_parameters()))


def state_is_complete(case: _Case) -> None:
    """A fresh instance that loads the saved state gives the same scores."""

    def compute(detector: Detector) -> Row:
        return {"scores": detector(case.features, case.mask)}

    expect_serialisable(case.detector, case.fresh, compute)


_CHECKS = (
    scores_are_confidences,
    padding_scores_zero,
    padding_changes_nothing,
    videos_are_independent,
    evaluation_has_no_chance,
    inputs_stay,
    loss_is_finite,
    unknown_labels_do_not_count,
    loss_prefers_the_truth,
    gradients_flow,
    state_is_complete,
)
