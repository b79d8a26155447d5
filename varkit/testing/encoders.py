"""What every encoder promises (:class:`varkit.interfaces.Encoder`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from varkit.interfaces import Captions, Clips, Encoder, Representation, TextEncoder
from varkit.testing.checks import Result, expect, run
from varkit.testing.probes import (
    GARBAGE,
    Row,
    evaluation,
    expect_finite,
    expect_gradients,
    expect_own_draws,
    expect_same,
    expect_serialisable,
    expect_unchanged,
    mode,
    named_tensors,
    pad,
    seeded,
    select,
    trim,
)
from varkit.testing.stand_ins import DIM, EXPERTS, TEXTS, WIDTHS, make_clips


@dataclass(frozen=True)
class _Case:
    encoder: Encoder
    fresh: Encoder | None
    widths: Mapping[str, int]
    dim: int
    experts: int

    @property
    def inputs(self) -> Any:
        """The clips or captions to encode."""
        if self.encoder.consumes == "clips":
            return make_clips(self.widths)
        return self.tokenizer.tokenize(TEXTS)

    @property
    def tokenizer(self) -> TextEncoder:
        """The encoder, as one that reads captions."""
        expect(isinstance(self.encoder, TextEncoder), "it consumes captions but has no tokenize()")
        return self.encoder  # type: ignore[return-value]  # the line above has made sure

    def encode(self, inputs: Any) -> Representation:
        with evaluation(self.encoder):
            return self.encoder(inputs)


def check_encoder(
    encoder: Encoder,
    *,
    widths: Mapping[str, int] = WIDTHS,
    dim: int = DIM,
    experts: Sequence[str] = EXPERTS,
    fresh: Encoder | None = None,
    subject: str = "encoder",
) -> tuple[Result, ...]:
    """Check an encoder, of clips or of captions.

    Args:
        encoder: the component.
        widths: stream -> D_stream of the clips that it reads.
        dim: D.
        experts: the names of the E experts.
        fresh: another instance of the same options, to load the first one's state into.
        subject: what messages call it.

    Raises:
        ConformanceError: it breaks a promise.
    """
    captions = getattr(encoder, "consumes", None) == "captions"
    checks = (*_CHECKS, tokens_point_at_text) if captions else _CHECKS
    return run(subject, checks, _Case(encoder, fresh, widths, dim, len(experts)))


def says_what_it_reads(case: _Case) -> None:
    """It is a torch module that consumes "clips" or "captions" and names its detector, or None."""
    expect(isinstance(case.encoder, nn.Module), f"{type(case.encoder).__name__}, no torch module")
    consumes = getattr(case.encoder, "consumes", None)
    expect(consumes in ("clips", "captions"), f"consumes = {consumes!r}")
    expect(hasattr(case.encoder, "detector"), "there is no attribute detector")


def vectors_fit(case: _Case) -> None:
    """It gives vectors, each finite and of shape (B, E, D), and weights whose rows sum to 1."""
    inputs = case.inputs
    found = case.encode(inputs)
    expect(isinstance(found, Representation), f"{type(found).__name__}, no Representation")
    expect(bool(found.vectors or found.tokens), "neither vectors nor tokens")
    shape = (len(inputs), case.experts, case.dim)
    for name, vectors in found.vectors.items():
        _expect_floats(vectors, shape, f"vectors[{name!r}]")
    for name, weights in found.weights.items():
        expect(name in found.vectors, f"weights[{name!r}], but vectors {sorted(found.vectors)}")
        _expect_floats(weights, shape[:2], f"weights[{name!r}]")
        sums = weights.sum(-1)
        right = bool((weights >= 0).all()) and torch.allclose(sums, torch.ones_like(sums))
        expect(right, f"weights[{name!r}] has rows that sum to {sums.tolist()}")


def tokens_have_masks(case: _Case) -> None:
    """Every kind of token is finite, of shape (B, L, D), and has a bool mask (B, L)."""
    found = case.encode(case.inputs)
    kinds = set(found.tokens)
    expect(kinds == set(found.masks), f"tokens {sorted(kinds)}, masks {sorted(found.masks)}")
    for name, tokens in found.tokens.items():
        mask = found.masks[name]
        _expect_floats(tokens, (len(case.inputs), mask.shape[-1], tokens.shape[-1]), name)
        right = mask.dtype == torch.bool and mask.shape == tokens.shape[:2]
        expect(right, f"masks[{name!r}] is {mask.dtype} of shape {tuple(mask.shape)}")


def scores_and_picks_fit(case: _Case) -> None:
    """Scores lie in [0, 1] and are 0 in padding; picks are ascending int64 of real clips."""
    inputs = case.inputs
    found = case.encode(inputs)
    if found.scores is not None:
        expect(case.encoder.detector is not None, "scores, but detector is None")
        _expect_floats(found.scores, tuple(inputs.mask.shape), "scores")
        inside = bool(((found.scores >= 0) & (found.scores <= 1)).all())
        expect(inside, f"scores from {found.scores.min():.3g} to {found.scores.max():.3g}")
        expect(not bool(found.scores[~inputs.mask].any()), "scores in the padding are not 0")
    for name, picks in found.picks.items():
        right = picks.dtype == torch.int64 and picks.ndim == 2 and len(picks) == len(inputs)
        expect(right, f"picks[{name!r}] is {picks.dtype} of shape {tuple(picks.shape)}")
        real = bool((picks >= 0).all()) and bool((picks < inputs.mask.sum(1)[:, None]).all())
        expect(real, f"picks[{name!r}] holds clips that are not there: {picks.tolist()}")
        expect(bool((picks.diff() >= 0).all()), f"picks[{name!r}] do not ascend")


def padding_changes_nothing(case: _Case) -> None:
    """Further padding, whatever it holds, changes nothing."""
    inputs = case.inputs
    padded = pad(inputs, 6)
    if isinstance(padded, Clips):
        streams = {
            name: features.masked_fill(~padded.mask[..., None], GARBAGE)
            for name, features in padded.streams.items()
        }
        padded = replace(padded, streams=streams)
    before, after = case.encode(inputs), case.encode(padded)
    for b in range(len(inputs)):
        when = f"item {b} with 6 more positions of padding"
        expect_same(_row(before, inputs, b), _row(after, padded, b), when)


def items_are_independent(case: _Case) -> None:
    """In evaluation an item depends on no other item, nor on its place in the batch."""
    inputs = case.inputs
    together = case.encode(inputs)
    for b in range(len(inputs)):
        alone = trim(select(inputs, [b]))
        found = case.encode(alone)
        expect_same(_row(together, inputs, b), _row(found, alone, 0), f"item {b} alone")
    order = list(reversed(range(len(inputs))))
    moved = case.encode(select(inputs, order))
    for place, b in enumerate(order):
        after = _row(moved, select(inputs, order), place)
        expect_same(_row(together, inputs, b), after, f"item {b} in a reversed batch")


def one_clip_is_enough(case: _Case) -> None:
    """A single item with a single clip, or a single word, is encoded to finite numbers."""
    if case.encoder.consumes == "clips":
        inputs: Clips | Captions = make_clips(case.widths, (1,))
    else:
        inputs = case.tokenizer.tokenize(["fire"])
    for name, part in named_tensors(case.encode(inputs)).items():
        expect(len(part) == 1, f"{name} has shape {tuple(part.shape)} for B = 1")
        if part.is_floating_point():
            expect_finite(part, name)


def evaluation_has_no_chance(case: _Case) -> None:
    """In evaluation the draws are the only source of chance."""
    inputs = case.inputs

    def compute() -> Row:
        return named_tensors(case.encode(inputs))

    expect_own_draws(compute)


def inputs_stay(case: _Case) -> None:
    """What is encoded is not changed."""
    inputs = case.inputs
    with expect_unchanged(inputs=inputs), seeded(1):
        case.encode(inputs)
        with mode(case.encoder, training=True):
            case.encoder(inputs)


def gradients_flow(case: _Case) -> None:
    """What it gives lets a finite gradient reach every trainable parameter but a detector's."""
    if not isinstance(case.encoder, nn.Module):
        return
    # A detector learns from its own loss: whether another reaches it is the encoder's choice.
    detector = getattr(case.encoder, "detector", None)
    spared = {id(p) for p in detector.parameters()} if isinstance(detector, nn.Module) else set()
    parameters = {n: p for n, p in case.encoder.named_parameters() if id(p) not in spared}
    if not any(parameter.requires_grad for parameter in parameters.values()):
        return
    case.encoder.zero_grad()
    with mode(case.encoder, training=True), seeded(1):
        found = case.encoder(case.inputs)
        parts = named_tensors({"v": found.vectors, "w": found.weights, "t": found.tokens})
        losses = [(part * torch.randn_like(part)).sum() for part in parts.values()]
    expect(any(loss.requires_grad for loss in losses), "its output has no gradient")
    torch.autograd.backward(torch.stack(losses).sum())
    expect_gradients(parameters)


def state_is_complete(case: _Case) -> None:
    """A fresh instance that loads the saved state encodes to the same numbers."""
    inputs = case.inputs

    def compute(encoder: Encoder) -> Row:
        return named_tensors(encoder(inputs))

    expect_serialisable(case.encoder, case.fresh, compute)


def tokens_point_at_text(case: _Case) -> None:
    """Captions hold texts, int64 ids, bool masks and, for words, the characters they cover."""
    found = case.tokenizer.tokenize(TEXTS)
    expect(isinstance(found, Captions), f"{type(found).__name__}, no Captions")
    expect(found.texts == TEXTS, f"texts {found.texts}")
    shape = (len(TEXTS), found.ids.shape[-1])
    expected = {"ids": torch.int64, "mask": torch.bool, "words": torch.bool, "offsets": torch.int64}
    for name, dtype in expected.items():
        part = getattr(found, name)
        size = (*shape, 2) if name == "offsets" else shape
        right = part.dtype == dtype and tuple(part.shape) == size
        expect(right, f"{name} is {part.dtype} of shape {tuple(part.shape)} instead of {size}")
    expect(not bool((found.words & ~found.mask).any()), "words in the padding")
    expect(not bool(found.offsets[~found.words].any()), "offsets of tokens that are no words")
    for b, text in enumerate(TEXTS):
        expect(bool(found.words[b].any()), f"no word token for {text!r}")
        for start, end in found.offsets[b][found.words[b]].tolist():
            expect(0 <= start < end <= len(text), f"offsets [{start}, {end}) in {text!r}")


def _expect_floats(found: Tensor, shape: tuple[int, ...], name: str) -> None:
    right = tuple(found.shape) == shape and found.dtype.is_floating_point
    expect(right, f"{name} is {found.dtype} of shape {tuple(found.shape)} instead of {shape}")
    expect_finite(found, name)


def _row(found: Representation, inputs: Clips | Captions, b: int) -> Row:
    """Return item b of a representation without any padding."""
    scores = {} if found.scores is None else {"scores": found.scores[b][inputs.mask[b]]}
    tokens = {name: part[b][found.masks[name][b]] for name, part in found.tokens.items()}
    whole = {"vectors": found.vectors, "weights": found.weights, "picks": found.picks}
    rest = named_tensors({kind: select(part, [b]) for kind, part in whole.items()})
    return scores | named_tensors({"tokens": tokens}) | rest


_CHECKS = (
    says_what_it_reads,
    vectors_fit,
    tokens_have_masks,
    scores_and_picks_fit,
    padding_changes_nothing,
    items_are_independent,
    one_clip_is_enough,
    evaluation_has_no_chance,
    inputs_stay,
    gradients_flow,
    state_is_complete,
)
