"""Clips of sound, cut from decoded files as the contract of extractors says."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from tests.support.videos import collect
from varkit.interfaces import SoundClips
from varkit.media.decode import Decoder


def clips_of(samples: Tensor, reads: SoundClips) -> Tensor:
    """Cut ``(S,)`` samples into ``(N, reads.samples)``."""
    if len(samples) < reads.samples:
        return torch.nn.functional.pad(samples, (0, reads.samples - len(samples)))[None]
    return samples.unfold(0, reads.samples, reads.hop)


def decoded(decoder: Decoder, path: Path) -> Tensor:
    """Return the ``(S,)`` samples of a file; S may be 0."""
    _, parts, _ = collect(decoder, path, sound=True)
    return torch.cat([torch.zeros(0), *(torch.from_numpy(part.samples) for part in parts)])
