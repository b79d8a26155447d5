"""Small clips and modules for the tests of this folder."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F
from varkit_alan.anomaly_led import AnomalyLed
from varkit_alan.fixed_frame import FixedFrame

from tests.support.reference import alan_video as reference
from varkit.interfaces import Clips, Draws
from varkit.testing.probes import select, trim

WIDTHS = {"object": 5, "motion": 3}
LENGTHS = (5, 1, 17, 9)


def random(*shape, seed=None):
    """Normal float64 numbers, by default those of the shape."""
    generator = torch.Generator().manual_seed(sum(shape) if seed is None else seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def mask_of(*lengths, extra=0):
    return torch.arange(max(lengths) + extra) < torch.tensor(lengths)[:, None]


def draws_of(count, seed=0):
    return Draws(seed, tuple(f"video-{b}" for b in range(count)))


def counts_of(picks, clips):
    return np.bincount(picks.flatten().numpy(), minlength=clips)


def fits(counts, shares):
    """Pearson's statistic below mean + 5 standard deviations of its distribution."""
    expected = counts.sum() * np.asarray(shares)
    freedom = len(counts) - 1
    return ((counts - expected) ** 2 / expected).sum() < freedom + 5 * (2 * freedom) ** 0.5


def make_clips(lengths=LENGTHS, widths=WIDTHS, *, extra=0, garbage=50.0, seed=0):
    """Random float64 clips; the padding, `extra` more than needed, holds garbage.

    An item's features depend on its length, so items with the same length are the same.
    """
    streams = {}
    for name, width in widths.items():
        rows = []
        for length in lengths:
            generator = torch.Generator().manual_seed(100 * width + length)
            x = torch.randn(length, width, generator=generator, dtype=torch.float64)
            rows.append(F.pad(x, (0, 0, 0, max(lengths) + extra - length), value=garbage))
        streams[name] = torch.stack(rows)
    mask = mask_of(*lengths, extra=extra)
    items = tuple(f"video-{length}" for length in lengths)
    return Clips(streams, mask, torch.zeros(*mask.shape, 2), Draws(seed, items))


def take(clips, rows):
    """Some of the items, without the padding that all of them have."""
    return trim(select(clips, rows))


def single(clips):
    """The clips in single precision."""
    return replace(clips, streams={name: x.float() for name, x in clips.streams.items()})


def shake(module):
    """Move every parameter away from its initial value: zeros and ones would hide a mistake."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return module


def assert_same(found, expected, rows=slice(None)):
    """Two representations agree; `expected` only in some of its rows."""
    for kind in ("vectors", "weights", "tokens"):
        ours, theirs = getattr(found, kind), getattr(expected, kind)
        assert ours.keys() == theirs.keys()
        for name in ours:
            torch.testing.assert_close(ours[name], theirs[name][rows], rtol=1e-9, atol=1e-11)
    for name in found.picks:
        assert torch.equal(found.picks[name], expected.picks[name][rows])
    if found.scores is not None:
        width = min(found.scores.shape[1], expected.scores.shape[1])
        ours, theirs = found.scores[:, :width], expected.scores[rows, :width]
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-11)


def expect_padding_and_batch_to_change_nothing(encode, make=make_clips):
    """An encoder gives the same whatever the padding holds, and for an item among any others."""
    together = encode(make(garbage=0.0))
    for garbage in (1e4, math.nan):
        assert_same(encode(make(extra=5, garbage=garbage)), together)
    for rows in ([0], [1], [2], [3], [2, 0, 3, 1]):
        assert_same(encode(take(make(), rows)), together, rows)


def samplers():
    return {"fixed": FixedFrame(count=6), "anomaly": AnomalyLed(count=4, temperature=0.2)}


def choose(draws, item, length):
    """The picks of :func:`samplers`, the slow way."""
    r = 1 - Draws(draws.seed, (draws.items[item],)).named("anomaly").uniform(4)[0].numpy()
    fixed = reference.fixed_frame(length, 6)
    return lambda scores: [fixed, reference.roulette(scores, 0.2, r)]
