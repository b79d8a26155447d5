"""Tiny extractors whose numbers say which pictures and samples they were given.

This file is also a plugin file, so workers in other processes can load it.
"""

from __future__ import annotations

import os
import time

import torch

from varkit import hookimpl
from varkit.interfaces import Count, PictureClips, Place, SoundClips, Stream


class Eye:
    """The mean brightness of each field of a clip's first and last pictures.

    Args:
        fps: pictures per second.
        frames: of a clip.
        stride: between clips.
        crops: how many crops; all are equal, but for their number in the first column.
        weights: a path, which must not count in the fingerprint.
        slow: seconds that each call takes.
        dies: ends the process when a file in this place exists, and removes it.
        dies_at: ends the process over pictures of this width.
    """

    def __init__(
        self,
        *,
        fps: float = 5.0,
        frames: Count = 1,
        stride: Count = 1,
        crops: Count = 1,
        weights: Place | None = None,
        slow: float = 0.0,
        dies: Place | None = None,
        dies_at: int = 0,
    ) -> None:
        self.reads = PictureClips(fps=fps, short_side=48, frames=frames, stride=stride)
        self.streams = {"light": Stream(width=24, crops=crops), "size": Stream(width=1)}
        self.batch = 4
        self.origin = {"version": 1}
        self._crops, self._slow, self._dies = crops, slow, dies
        self._dies_at = dies_at

    def __call__(self, clips):
        """Return the brightness of 4 x 3 fields, and how many pictures a clip has."""
        time.sleep(self._slow)
        if self._dies is not None and os.path.exists(self._dies):
            os.unlink(self._dies)
            os.kill(os.getpid(), 9)
        if clips.shape[3] == self._dies_at:
            os.kill(os.getpid(), 9)
        grey = clips.float().mean(-1)
        small = torch.nn.functional.adaptive_avg_pool2d(grey, (3, 4)).flatten(2)
        light = torch.cat([small[:, 0], small[:, -1]], dim=1)
        if self._crops > 1:
            light = light[:, None].repeat(1, self._crops, 1)
            light[..., 0] = torch.arange(self._crops)
        return {"light": light, "size": torch.full((len(clips), 1), float(clips.shape[1]))}


class Ear:
    """The loudness of each second."""

    def __init__(self) -> None:
        self.reads = SoundClips(samples=16_000, hop=16_000)
        self.streams = {"loudness": Stream(width=1, classes=("loud",))}
        self.batch = 4
        self.origin = {"version": 1}

    def __call__(self, clips):
        """Return the root mean square of (N, S) samples."""
        return {"loudness": clips.square().mean(1, keepdim=True).sqrt()}


class NaN(Eye):
    """An extractor that makes NaN."""

    def __call__(self, clips):
        """Return NaN."""
        return {name: stream * torch.nan for name, stream in super().__call__(clips).items()}


class Raises(Eye):
    """An extractor that raises over wide pictures."""

    def __call__(self, clips):
        """Raise, or do as the eye does."""
        if clips.shape[3] > 64:
            raise RuntimeError("too wide")
        return super().__call__(clips)


@hookimpl
def register_extractors(register):
    """Register them."""
    register("eye", Eye, summary="brightness of fields")
    register("ear", Ear, summary="loudness")
    register("nan", NaN, summary="NaN")
    register("raises", Raises, summary="an error")
