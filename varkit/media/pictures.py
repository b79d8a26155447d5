"""Decoded pictures, resampled to the clock of each view and brought to its size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from varkit.errors import MediaError
from varkit.media.chunks import View
from varkit.media.limits import Limits

Image = npt.NDArray[np.uint8]
EARLY = 0.001
"""A picture counts for a tick up to this many seconds before it: containers round to 1 ms."""


class Ticks:
    """The clock of a view: which ticks fall into the time in which a picture is shown."""

    def __init__(self, fps: float | None) -> None:
        self._fps = fps
        self._next: int | None = None

    def within(self, start: float, end: float) -> list[float]:
        """Return the times to give a picture that is shown from ``start`` to ``end`` seconds."""
        if self._fps is None:
            return [start]
        first = math.ceil((start - EARLY) * self._fps)
        if self._next is None and first == 1:
            first = 0  # what a player shows while it waits for the first picture
        last = math.ceil((end - EARLY) * self._fps)
        times = [tick / self._fps for tick in range(max(first, self._next or 0), last)]
        self._next = max(last, self._next or 0)
        return times


class Screen:
    """Turns a decoded picture into what a player would show: scaled, turned, square pixels.

    Args:
        view: how it is wanted.
        limits: the pixels that it may have.

    The first picture decides on size and turn; later ones of another size are scaled to it.
    """

    def __init__(self, view: View, limits: Limits) -> None:
        self._view = view
        self._limits = limits
        self._reformatter = VideoReformatter()
        self._size: tuple[int, int] | None = None
        self._turn = False, False, False
        self._latest: tuple[Any, Image] | None = None

    def show(self, frame: Any, aspect: float) -> Image:
        """Return a picture, ``(H, W, 3)``, uint8, RGB.

        Args:
            frame: a decoded picture.
            aspect: width of its pixels over their height.

        Raises:
            MediaError: it would have too many pixels.
        """
        if self._latest is not None and self._latest[0] is frame:
            return self._latest[1]
        if self._size is None:
            self._turn = orientation(frame)
            self._size = self._view.size(frame.height, frame.width * aspect)
            if math.prod(self._size) > self._limits.pixels:
                height, width = self._size
                raise MediaError(f"resized to {width} x {height}, its pictures would be too big")
        height, width = self._size
        scaled = self._reformatter.reformat(frame, width, height, "rgb24", threads=1)
        plane = scaled.planes[0]
        rows = np.frombuffer(memoryview(plane), np.uint8).reshape(height, plane.line_size)
        image: Image = rows[:, : 3 * width].reshape(height, width, 3)
        transposed, upside_down, mirrored = self._turn
        if transposed:
            image = image.transpose(1, 0, 2)
        image = image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
        if self._view.crop is not None:
            top, left = ((side - self._view.crop) // 2 for side in image.shape[:2])
            image = image[top : top + self._view.crop, left : left + self._view.crop]
        self._latest = frame, image
        return image


def orientation(frame: Any) -> tuple[bool, bool, bool]:
    """Return how a player turns a picture: swap its axes, then flip its rows, its columns.

    The display matrix of a file maps ``(x, y)`` of the stored picture to
    ``(a x + c y, b x + d y)`` (ISO/IEC 14496-12, 6.2.2). Angles between right ones are rounded.
    """
    try:
        data = frame.side_data.get("DISPLAYMATRIX")
    except (KeyError, ValueError):
        data = None
    if data is None:
        return False, False, False
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].tolist()
    if abs(a) >= abs(b):
        return False, d < 0, a < 0
    return True, b < 0, c < 0
