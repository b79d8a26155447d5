"""What the tests of sister methods share: modules and inputs as they are after training."""

from dataclasses import replace

import torch
from torch.nn import functional as F

from tests.support.alan import mask_of, random, shake


def trained(module):
    """In float64, and as if it had been trained: away from its initial values and statistics."""
    shake(module).double()
    generator = torch.Generator().manual_seed(2)
    for name, x in module.named_buffers():
        if name.endswith(("running_mean", "running_var")):
            x += torch.rand(x.shape, generator=generator)
    return module.eval()


def with_missing(clips):
    """The third video has no stream `object`, the last none at all.

    The references take a stream of zeros for a missing one.
    """
    streams = {name: x.clone() for name, x in clips.streams.items()}
    streams["object"][2, :17] = 0
    for x in streams.values():
        x[3, :9] = 0
    present = {name: torch.tensor([True, True, name != "object", False]) for name in streams}
    return replace(clips, streams=streams, present=present)


def masked(lengths, extra, garbage, seed):
    """Sequences of vectors of 4, and their mask; the padding, `extra` beyond need, is garbage."""
    x = F.pad(random(len(lengths), max(lengths), 4, seed=seed), (0, 0, 0, extra))
    mask = mask_of(*lengths, extra=extra)
    return x.masked_fill(~mask.unsqueeze(-1), garbage), mask
