"""What decoding gives: views of the pictures, sound, facts, and how much of the file it was."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

SOUND_RATE = 16_000
"""Samples per second of all decoded sound."""


@dataclass(frozen=True)
class View:
    """How pictures are wanted. Equal views are decoded once.

    Attributes:
        fps: ticks per second of the clock; at each tick the picture that a player shows then.
            None: each picture once, at its own time.
        short_side: pixels of the shorter side after resizing (bilinear), or None for the size that
            a player shows.
        crop: side of the square cut from the centre after resizing, or None for the whole picture.

    Raises:
        ValueError: a value is not positive, or ``crop`` does not fit into ``short_side``.
    """

    fps: float | None = None
    short_side: int | None = None
    crop: int | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise ValueError(f"fps must lie between 0 and 1000, not {self.fps}")
        for name in ("short_side", "crop"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        if self.crop is not None and (self.short_side is None or self.crop > self.short_side):
            raise ValueError(f"crop={self.crop} does not fit into short_side={self.short_side}")

    def size(self, height: float, width: float) -> tuple[int, int]:
        """Return the height and width, in pixels, after resizing and before the crop.

        Args:
            height: of the picture that a player shows, in pixels.
            width: likewise.
        """
        scale = 1.0 if self.short_side is None else self.short_side / min(height, width)
        return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True, eq=False)
class Pictures:
    """A part of a view.

    Attributes:
        view: the view that it belongs to.
        frames: ``(N, H, W, 3)``, uint8, RGB.
        times: ``(N,)``, float64, seconds on the file's clock; always increasing. Where the file is
            damaged there are no pictures, so the times jump.
    """

    view: View
    frames: npt.NDArray[np.uint8]
    times: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Sound:
    """A part of the sound.

    Attributes:
        samples: ``(N,)``, float32 in [-1, 1], mono, :data:`SOUND_RATE` samples per second.
        start: of the first sample, in seconds on the file's clock. Parts follow one another without
            a gap except where the file has none or is damaged.
    """

    samples: npt.NDArray[np.float32]
    start: float


@dataclass(frozen=True)
class Facts:
    """What a file says about itself; nothing in it has been verified by decoding.

    Attributes:
        container: FFmpeg's name of the format.
        duration: seconds, or None if the file does not say.
        picture_codec: FFmpeg's name, or None for a file without pictures.
        height: of the pictures as stored, in pixels, before any rotation; 0 without pictures.
        width: likewise.
        fps: average pictures per second, or None if the file does not say.
        sound_codec: FFmpeg's name, or None for a file without sound.
        created: the creation time in the metadata, as written there, or None.
    """

    container: str
    duration: float | None
    picture_codec: str | None
    height: int
    width: int
    fps: float | None
    sound_codec: str | None
    created: str | None


@dataclass(frozen=True)
class Coverage:
    """How much of a stream was decoded.

    Attributes:
        decoded: seconds for which there is a picture or sound.
        declared: seconds that the file says the stream has, or without that, from its first to its
            last moment.
    """

    decoded: float
    declared: float

    @property
    def share(self) -> float:
        """``decoded / declared``, between 0 and 1."""
        if self.declared <= 0:
            return 1.0 if self.decoded > 0 else 0.0
        return min(1.0, self.decoded / self.declared)


@dataclass(frozen=True)
class Outcome:
    """The end of decoding.

    Attributes:
        pictures: how much of the pictures was decoded, or None without views or pictures.
        sound: how much of the sound was decoded, or None if it was not asked for or there is none.
        problems: what is wrong with the file, one sentence each; empty if nothing is.
    """

    pictures: Coverage | None
    sound: Coverage | None
    problems: tuple[str, ...]

    @property
    def status(self) -> Literal["ok", "partial"]:
        """``partial`` if anything is missing or damaged."""
        return "partial" if self.problems else "ok"

    @property
    def coverage(self) -> float:
        """The smaller share of the two, between 0 and 1."""
        return min(
            (c.share for c in (self.pictures, self.sound) if c is not None), default=math.nan
        )
