"""What every encoder promises (:class:`varkit.interfaces.Encoder`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from varkit.errors import VarkitError
from varkit.interfaces import CaptionFacts, Captions, Clips, Encoder, Representation, TextEncoder
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
        return self.encoder  # type: ignore[return-value]  # checked in the line above

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
        fresh: another instance with the same options, which loads the state of ``encoder``.
        subject: its name in messages.

    Raises:
        ConformanceError: it breaks a promise.
    """
    captions = getattr(encoder, "consumes", None) == "captions"
    checks = (*_CHECKS, tokens_point_at_text, caption_facts_add_up) if captions else _CHECKS
    case = _Case(encoder, fresh, widths, dim, len(experts))  # makes inputs each time it is asked
    return run(subject, encoder, checks, lambda: case)


def says_what_it_reads(case: _Case) -> None:
    """It is a torch module that consumes "clips" or "captions" and names its detector, or None."""
    name = type(case.encoder).__name__
    expect(isinstance(case.encoder, nn.Module), f"{name} is not a torch module")
    consumes = getattr(case.encoder, "consumes", None)
    expect(consumes in ("clips", "captions"), f"consumes = {consumes!r}")
    expect(hasattr(case.encoder, "detector"), "there is no attribute detector")


def vectors_fit(case: _Case) -> None:
    """It gives vectors, each finite and of shape (B, E, D), and weights whose rows sum to 1."""
    inputs = case.inputs
    output = case.encode(inputs)
    kind = type(output).__name__
    expect(isinstance(output, Representation), f"{kind} instead of Representation")
    expect(bool(output.vectors or output.tokens), "neither vectors nor tokens")
    shape = (len(inputs), case.experts, case.dim)
    for name, vectors in output.vectors.items():
        _expect_floats(vectors, shape, f"vectors[{name!r}]")
    for name, weights in output.weights.items():
        expect(name in output.vectors, f"weights[{name!r}], but vectors {sorted(output.vectors)}")
        _expect_floats(weights, shape[:2], f"weights[{name!r}]")
        sums = weights.sum(-1)
        expect(bool((weights >= 0).all()), f"weights[{name!r}] has negative numbers")
        expect_same({"": torch.ones_like(sums)}, {"": sums}, f"weights[{name!r}], sums of rows")


def tokens_have_masks(case: _Case) -> None:
    """Every kind of token is finite, of shape (B, L, D), and has a bool mask (B, L)."""
    output = case.encode(case.inputs)
    kinds = set(output.tokens)
    expect(kinds == set(output.masks), f"tokens {sorted(kinds)}, masks {sorted(output.masks)}")
    for name, tokens in output.tokens.items():
        mask = output.masks[name]
        _expect_floats(tokens, (len(case.inputs), mask.shape[-1], tokens.shape[-1]), name)
        right = mask.dtype == torch.bool and mask.shape == tokens.shape[:2]
        expect(right, f"masks[{name!r}] is {mask.dtype} of shape {tuple(mask.shape)}")


def scores_and_picks_fit(case: _Case) -> None:
    """Scores lie in [0, 1] and are 0 in padding; picks are ascending int64 of real clips."""
    inputs = case.inputs
    output = case.encode(inputs)
    if output.scores is not None:
        expect(case.encoder.detector is not None, "scores, but detector is None")
        _expect_floats(output.scores, tuple(inputs.mask.shape), "scores")
        inside = bool(((output.scores >= 0) & (output.scores <= 1)).all())
        expect(inside, f"scores from {output.scores.min():.3g} to {output.scores.max():.3g}")
        expect(not bool(output.scores[~inputs.mask].any()), "scores in the padding are not 0")
    for name, picks in output.picks.items():
        right = picks.dtype == torch.int64 and picks.ndim == 2 and len(picks) == len(inputs)
        expect(right, f"picks[{name!r}] is {picks.dtype} of shape {tuple(picks.shape)}")
        for b, (row, count) in enumerate(zip(picks, inputs.mask.sum(1).tolist(), strict=True)):
            wrong = [pick for pick in row.tolist() if not 0 <= pick < count]
            clips = f"video {b} has clips 0 to {count - 1}"
            expect(not wrong, f"{clips}, but picks[{name!r}] has {(wrong or [0])[0]}")
            expect(bool((row.diff() >= 0).all()), f"picks[{name!r}] of video {b} do not ascend")


def padding_changes_nothing(case: _Case) -> None:
    """More padding, with any values, changes nothing."""
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


def absent_streams_change_nothing(case: _Case) -> None:
    """What stands in a stream that an item lacks changes nothing; an encoder may also refuse it.

    Some items lack each stream in turn. All outputs are finite, and the stream has no gradient.
    """
    if case.encoder.consumes != "clips" or len(case.widths) < 2:
        return
    clips = make_clips(case.widths)
    lacks = torch.arange(len(clips)) % 2 == 1
    for stream in case.widths:
        when = f"items without stream {stream!r}"
        outputs: list[Representation] = []
        for value in (0.0, GARBAGE):
            features = clips.streams[stream].masked_fill(lacks[:, None, None], value)
            features.requires_grad_()
            given = replace(
                clips,
                streams={**clips.streams, stream: features},
                present={stream: ~lacks},
            )
            try:
                with mode(case.encoder, training=False):
                    outputs.append(case.encoder(given))
            except VarkitError as error:
                named = [clips.draws.items[b] for b in lacks.nonzero()[:, 0].tolist()]
                expect(any(map(str(error).__contains__, named)), f"{when}: {error} names none")
                break
            parts = named_tensors({"v": outputs[-1].vectors, "t": _real_tokens(outputs[-1])})
            for name, part in parts.items():
                expect_finite(part, f"{when}: {name}")
            reached = [part.sum() for part in parts.values() if part.requires_grad]
            if reached and torch.stack(reached).sum().requires_grad:
                (slope,) = torch.autograd.grad(
                    torch.stack(reached).sum(), features, allow_unused=True
                )
                touched = slope is not None and bool(slope[lacks].any())
                expect(not touched, f"{when}: its numbers have a gradient")
        else:
            for b in range(len(clips)):
                before, after = (_row(output, clips, b) for output in outputs)
                expect_same(before, after, f"item {b} with other numbers there, of {when}")


def _real_tokens(output: Representation) -> dict[str, Tensor]:
    return {name: part[output.masks[name]] for name, part in output.tokens.items()}


def items_are_independent(case: _Case) -> None:
    """In evaluation an item depends neither on other items nor on the batch's order."""
    inputs = case.inputs
    together = case.encode(inputs)
    for b in range(len(inputs)):
        alone = trim(select(inputs, [b]))
        after = _row(case.encode(alone), alone, 0)
        expect_same(_row(together, inputs, b), after, f"item {b} alone")
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
    """The inputs are not changed."""
    inputs = case.inputs
    with expect_unchanged(inputs=inputs), seeded(1):
        case.encode(inputs)
        with mode(case.encoder, training=True):
            case.encoder(inputs)


def gradients_flow(case: _Case) -> None:
    """The output gives every trainable parameter, except a detector's, a finite gradient."""
    if not isinstance(case.encoder, nn.Module):
        return
    # A detector has its own loss; whether another loss reaches it is the encoder's choice.
    detector = getattr(case.encoder, "detector", None)
    ignored = {id(p) for p in detector.parameters()} if isinstance(detector, nn.Module) else set()
    parameters = {n: p for n, p in case.encoder.named_parameters() if id(p) not in ignored}
    if not any(parameter.requires_grad for parameter in parameters.values()):
        return
    case.encoder.zero_grad()
    with mode(case.encoder, training=True), seeded(1):
        output = case.encoder(case.inputs)
        parts = named_tensors({"v": output.vectors, "w": output.weights, "t": output.tokens})
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
    captions = case.tokenizer.tokenize(TEXTS)
    kind = type(captions).__name__
    expect(isinstance(captions, Captions), f"{kind} instead of Captions")
    expect(captions.texts == TEXTS, f"texts {captions.texts}")
    shape = (len(TEXTS), captions.ids.shape[-1])
    expected = {"ids": torch.int64, "mask": torch.bool, "words": torch.bool, "offsets": torch.int64}
    for name, dtype in expected.items():
        part = getattr(captions, name)
        size = (*shape, 2) if name == "offsets" else shape
        right = part.dtype == dtype and tuple(part.shape) == size
        expect(right, f"{name} is {part.dtype} of shape {tuple(part.shape)} instead of {size}")
    expect(not bool((captions.words & ~captions.mask).any()), "words in the padding")
    stray = captions.offsets[~captions.words]
    expect(not bool(stray.any()), "offsets of tokens that are not words")
    for b, text in enumerate(TEXTS):
        expect(bool(captions.words[b].any()), f"no word token for {text!r}")
        for start, end in captions.offsets[b][captions.words[b]].tolist():
            expect(0 <= start < end <= len(text), f"offsets [{start}, {end}) in {text!r}")


def caption_facts_add_up(case: _Case) -> None:
    """If it counts unknown tokens and cut captions, equal captions count once."""
    describe = getattr(case.encoder, "caption_facts", None)
    if describe is None:
        return
    facts = describe([*TEXTS, *TEXTS])
    kind = type(facts).__name__
    expect(isinstance(facts, CaptionFacts), f"caption_facts() gives {kind} instead of CaptionFacts")
    expect(facts.captions == len(set(TEXTS)), f"{facts} of {len(set(TEXTS))} different captions")
    expect(0 <= facts.unknown <= facts.tokens, f"{facts}: more unknown tokens than tokens")
    for count in (facts.cut, facts.equal):
        expect(0 <= count <= facts.captions, f"{facts}: {count} of {facts.captions} captions")


def _expect_floats(part: Tensor, shape: tuple[int, ...], name: str) -> None:
    right = tuple(part.shape) == shape and part.dtype.is_floating_point
    expect(right, f"{name} is {part.dtype} of shape {tuple(part.shape)} instead of {shape}")
    expect_finite(part, name)


def _row(output: Representation, inputs: Clips | Captions, b: int) -> Row:
    """Return item b of a representation, without padding."""
    scores = {} if output.scores is None else {"scores": output.scores[b][inputs.mask[b]]}
    tokens = {name: part[b][output.masks[name][b]] for name, part in output.tokens.items()}
    whole = {"vectors": output.vectors, "weights": output.weights, "picks": output.picks}
    rest = named_tensors({kind: select(part, [b]) for kind, part in whole.items()})
    return scores | named_tensors({"tokens": tokens}) | rest


_CHECKS = (
    says_what_it_reads,
    vectors_fit,
    tokens_have_masks,
    scores_and_picks_fit,
    padding_changes_nothing,
    absent_streams_change_nothing,
    items_are_independent,
    one_clip_is_enough,
    evaluation_has_no_chance,
    inputs_stay,
    gradients_flow,
    state_is_complete,
)
