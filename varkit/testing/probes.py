"""Helpers of the checks: pad, select rows, watch inputs and random state, compare."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.interfaces import Captions, Clips, Representation
from varkit.testing.checks import expect

TOLERANCE = 1e-5
"""Largest change, absolute and relative, that counts as no change."""
GARBAGE = 3.0
"""The value of padding, which exposes components that read it."""

Row = dict[str, Tensor]


def pad_clips(clips: Clips, extra: int) -> Clips:
    """Return the clips with ``extra`` more positions of padding, filled with garbage."""
    streams = {
        name: F.pad(features, (0, 0, 0, extra), value=GARBAGE)
        for name, features in clips.streams.items()
    }
    return replace(
        clips,
        streams=streams,
        mask=F.pad(clips.mask, (0, extra)),
        times=F.pad(clips.times, (0, 0, 0, extra)),
    )


def pad_captions(captions: Captions, extra: int) -> Captions:
    """Return the captions with ``extra`` more positions of padding."""
    return replace(
        captions,
        ids=F.pad(captions.ids, (0, extra)),
        mask=F.pad(captions.mask, (0, extra)),
        words=F.pad(captions.words, (0, extra)),
        offsets=F.pad(captions.offsets, (0, 0, 0, extra)),
    )


def pad_tokens(representation: Representation, extra: int) -> Representation:
    """Return the representation with ``extra`` more positions of padding in its tokens."""
    tokens = {
        name: F.pad(part, (0, 0, 0, extra), value=GARBAGE)
        for name, part in representation.tokens.items()
    }
    masks = {name: F.pad(mask, (0, extra)) for name, mask in representation.masks.items()}
    return replace(representation, tokens=tokens, masks=masks)


def pad(inputs: Clips | Captions, extra: int) -> Clips | Captions:
    """Return clips or captions with ``extra`` more positions of padding."""
    return pad_clips(inputs, extra) if isinstance(inputs, Clips) else pad_captions(inputs, extra)


def select(value: Any, rows: list[int]) -> Any:
    """Return some rows, in the given order, of clips, captions, a batch or a representation."""
    if isinstance(value, Tensor):
        return value[rows]
    if isinstance(value, tuple):
        return tuple(value[row] for row in rows)
    if isinstance(value, Mapping):
        return {name: select(part, rows) for name, part in value.items()}
    if hasattr(value, "select"):
        return value.select(rows)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{f.name: select(getattr(value, f.name), rows) for f in fields(value)}
        )
    return value


def trim(inputs: Clips | Captions) -> Clips | Captions:
    """Return clips or captions without the padding that all items share."""
    longest = int(inputs.mask.sum(1).max())
    if isinstance(inputs, Captions):
        return replace(
            inputs,
            ids=inputs.ids[:, :longest],
            mask=inputs.mask[:, :longest],
            words=inputs.words[:, :longest],
            offsets=inputs.offsets[:, :longest],
        )
    return replace(
        inputs,
        streams={name: features[:, :longest] for name, features in inputs.streams.items()},
        mask=inputs.mask[:, :longest],
        times=inputs.times[:, :longest],
    )


def named_tensors(value: Any, name: str = "") -> Row:
    """Return every tensor inside a tensor, mapping or dataclass, by its path."""
    if isinstance(value, Tensor):
        return {name: value}
    if isinstance(value, Mapping):
        parts = {f"{name}[{key!r}]": part for key, part in value.items()}
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {f"{name}.{f.name}".lstrip("."): getattr(value, f.name) for f in fields(value)}
    else:
        return {}
    return {k: v for where, part in parts.items() for k, v in named_tensors(part, where).items()}


def expect_same(expected: Row, actual: Row, when: str) -> None:
    """Expect the same names and values: floats within the tolerance, integers exactly."""
    expect(
        expected.keys() == actual.keys(),
        f"{when}: parts {sorted(actual)} instead of {sorted(expected)}",
    )
    for name, before in expected.items():
        after = actual[name]
        label = name or "the result"
        expect(
            before.shape == after.shape,
            f"{when}: {label} is {tuple(after.shape)} instead of {tuple(before.shape)}",
        )
        tolerance = TOLERANCE if before.dtype.is_floating_point else 0.0
        differing = _differing(before, after, tolerance)
        where = first_difference(before, after, tolerance)
        expect(not bool(differing.any()), f"{when}: {label} differs: {where}")


def expect_finite(value: Tensor, name: str) -> None:
    """Expect no NaN and no infinity."""
    bad = int((~torch.isfinite(value)).sum())
    expect(bad == 0, f"{name} has {bad} of {value.numel()} numbers that are not finite")


def expect_scalar(loss: Tensor, name: str) -> None:
    """Expect a finite floating-point tensor of shape ()."""
    expect(isinstance(loss, Tensor), f"{name} is {type(loss).__name__} instead of a tensor")
    expect(loss.shape == (), f"{name} has shape {tuple(loss.shape)} instead of ()")
    expect(loss.dtype.is_floating_point, f"{name} has dtype {loss.dtype} instead of a float")
    expect_finite(loss, name)


@contextmanager
def evaluation(component: object) -> Iterator[None]:
    """Put a module into evaluation mode, without gradients, during a block."""
    with mode(component, training=False), torch.no_grad():
        yield


@contextmanager
def mode(component: object, *, training: bool) -> Iterator[None]:
    """Put a module into training or evaluation mode during a block."""
    before = component.training if isinstance(component, nn.Module) else False
    if isinstance(component, nn.Module):
        component.train(training)
    try:
        yield
    finally:
        if isinstance(component, nn.Module):
            component.train(before)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global random states during a block, and restore them afterwards."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])
        random.setstate(states[2])


def expect_own_draws(compute: Callable[[], Row]) -> None:
    """Expect a computation neither to read nor to advance the global random states."""
    outputs = []
    for seed in (1, 2):
        with seeded(seed):
            torch_before = torch.get_rng_state()
            numpy_before, python_before = str(np.random.get_state()), random.getstate()
            outputs.append(compute())
            used = [
                name
                for name, same in (
                    ("torch's", torch.equal(torch_before, torch.get_rng_state())),
                    ("numpy's", numpy_before == str(np.random.get_state())),
                    ("Python's", python_before == random.getstate()),
                )
                if not same
            ]
            expect(not used, f"it advances {' and '.join(used)} global random state")
    expect_same(outputs[0], outputs[1], "with another global seed")


@contextmanager
def expect_unchanged(**inputs: Any) -> Iterator[None]:
    """Expect a block not to change the inputs."""
    before = {name: part.detach().clone() for name, part in named_tensors(inputs).items()}
    yield
    after = named_tensors(inputs)
    expect(before.keys() == after.keys(), f"inputs {sorted(before)} became {sorted(after)}")
    for name, part in before.items():
        now = after[name].detach()
        same = now.shape == part.shape and now.dtype == part.dtype
        where = f": {first_difference(part, now)}" if same else ""
        same = same and not bool(_differing(part, now).any())
        short = name.removeprefix("['").replace("']", "", 1)
        expect(same, f"input {short} is changed in place{where}")


def expect_serialisable(component: object, fresh: object, compute: Callable[[Any], Row]) -> None:
    """Expect a fresh instance that loads the state, through safetensors, to compute the same."""
    if not isinstance(component, nn.Module) or not isinstance(fresh, nn.Module):
        return
    state = {name: part.detach().clone() for name, part in component.state_dict().items()}
    fresh.load_state_dict(load(save(state)))
    with evaluation(component), evaluation(fresh):
        expect_same(compute(component), compute(fresh), "in a fresh instance with the same state")


def expect_gradients(parameters: Mapping[str, Tensor]) -> None:
    """Expect every trainable parameter to have a finite gradient."""
    without = [name for name, p in parameters.items() if p.requires_grad and p.grad is None]
    expect(not without, f"no gradient reaches {', '.join(without)}")
    for name, parameter in parameters.items():
        if parameter.grad is not None:
            expect_finite(parameter.grad, f"the gradient of {name}")


def first_difference(expected: Tensor, actual: Tensor, tolerance: float = 0.0) -> str:
    """Return where two tensors of one shape differ first, and in how many numbers."""
    differing = _differing(expected, actual, tolerance)
    if not bool(differing.any()):
        return "nowhere"
    place = tuple(differing.nonzero()[0].tolist())
    at = f"at {list(place)} " if place else ""
    values = f"{_shown(actual[place])} instead of {_shown(expected[place])}"
    count = f" ({int(differing.sum())} of {differing.numel()} differ)" if place else ""
    return f"{at}{values}{count}"


def _differing(expected: Tensor, actual: Tensor, tolerance: float = 0.0) -> Tensor:
    return ~torch.isclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)


def _shown(value: Tensor) -> str:
    return f"{value.item():.6g}" if value.dtype.is_floating_point else str(value.item())
