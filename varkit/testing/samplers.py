"""What every sampler promises (:class:`varkit.interfaces.Sampler`)."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from varkit.errors import VarkitError
from varkit.interfaces import Draws, Sampler
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import Row, expect_own_draws, expect_same, expect_unchanged
from varkit.testing.stand_ins import LENGTHS


@dataclass(frozen=True)
class _Case:
    sampler: Sampler
    scores: Tensor
    mask: Tensor
    draws: Draws

    def pick(self, *, training: bool = False) -> Tensor:
        return self.sampler(self.scores, self.mask, self.draws, training=training)

    def rows(self, order: list[int]) -> _Case:
        """Return some of the videos, without the padding that they share."""
        longest = int(self.mask[order].sum(1).max())
        return _Case(
            self.sampler,
            self.scores[order, :longest],
            self.mask[order, :longest],
            self.draws.select(order),
        )


def check_sampler(sampler: Sampler, *, subject: str = "sampler") -> tuple[Result, ...]:
    """Check a sampler.

    Args:
        sampler: the component.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """

    def make_case() -> _Case:
        mask = torch.arange(max(LENGTHS)) < torch.tensor(LENGTHS)[:, None]
        scores = torch.rand(mask.shape, generator=torch.Generator().manual_seed(3)) * mask
        draws = Draws(5, tuple(f"video-{b}" for b in range(len(LENGTHS))))
        return _Case(sampler, scores, mask, draws)

    return run(subject, sampler, _CHECKS, make_case, unchanged=_unchanged)


def _unchanged(case: _Case) -> AbstractContextManager[None]:
    return expect_unchanged(scores=case.scores, mask=case.mask)


def picks_are_positions(case: _Case) -> None:
    """Picks are int64 of shape (B, N)."""
    for training in (False, True):
        picks = case.pick(training=training)
        expect(isinstance(picks, Tensor), f"{type(picks).__name__}")
        right = picks.ndim == 2 and len(picks) == len(case.mask) and picks.shape[1] > 0
        expect(right, f"shape {tuple(picks.shape)} for B = {len(case.mask)}")
        expect(picks.dtype == torch.int64, f"{picks.dtype}")


def picks_are_real_clips(case: _Case) -> None:
    """Every pick is a real clip, never padding."""
    for training in (False, True):
        picks = case.pick(training=training)
        for video, (row, real) in enumerate(zip(picks.tolist(), case.mask, strict=True)):
            wrong = [i for i in row if not 0 <= i < len(real) or not bool(real[i])]
            count = int(real.sum())
            expect(not wrong, f"video {video} has clips 0 to {count - 1}, but {wrong} were picked")


def picks_ascend(case: _Case) -> None:
    """The picks of a video ascend."""
    for training in (False, True):
        for row in case.pick(training=training):
            steps = (row.diff() < 0).nonzero()
            pair = [int(row[i + j]) for i in steps[:1, 0] for j in (0, 1)]
            expect(not pair, f"{' is followed by '.join(map(str, pair))}")


def count_is_fixed(case: _Case) -> None:
    """N is the same for every batch, even of short videos."""
    counts = {tuple(case.rows([b]).pick().shape) for b in range(len(case.mask))}
    expect(len(counts) == 1, f"shapes {sorted(counts)} for videos of {LENGTHS} clips, one by one")


def padding_changes_nothing(case: _Case) -> None:
    """More padding does not change the picks."""
    pad = torch.nn.functional.pad
    padded = _Case(case.sampler, pad(case.scores, (0, 5)), pad(case.mask, (0, 5)), case.draws)
    for training in (False, True):
        before, after = case.pick(training=training), padded.pick(training=training)
        expect_same({"picks": before}, {"picks": after}, "with 5 more positions of padding")


def videos_are_independent(case: _Case) -> None:
    """A video's picks depend neither on other videos nor on the batch's order."""
    together = case.pick()
    for b in range(len(case.mask)):
        alone = case.rows([b]).pick()
        expect_same({"picks": together[[b]]}, {"picks": alone}, f"video {b} alone")
    order = list(reversed(range(len(case.mask))))
    expect_same({"picks": together[order]}, {"picks": case.rows(order).pick()}, "in reversed order")


def chance_is_in_draws(case: _Case) -> None:
    """The draws are the only source of chance."""
    for training in (False, True):

        def compute(training: bool = training) -> Row:
            return {"picks": case.pick(training=training)}

        expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """Scores and mask are not changed."""
    with _unchanged(case):
        case.pick(training=False)
        case.pick(training=True)


def scores_may_be_absent(case: _Case) -> None:
    """Without scores it picks clips too, or raises a VarkitError because it needs a detector."""
    try:
        picks = case.sampler(None, case.mask, case.draws, training=False)
    except VarkitError:
        return
    expect(len(picks) == len(case.mask), f"shape {tuple(picks.shape)}")


_CHECKS = (
    picks_are_positions,
    picks_are_real_clips,
    picks_ascend,
    count_is_fixed,
    padding_changes_nothing,
    videos_are_independent,
    chance_is_in_draws,
    inputs_stay,
    scores_may_be_absent,
)
