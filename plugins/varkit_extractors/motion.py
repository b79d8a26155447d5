"""Colours, gradients and motion, counted: classical features that need no weights."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from varkit.interfaces import Count, PictureClips, Positive, Stream

GRID, EDGES = 4, 8
"""Cells along each side of a picture; orientations of an edge, of 180/8 degrees each."""
WAYS = 8
"""Directions of motion, of 45 degrees each."""
SPEEDS = (1 / 32, 1 / 8, 1 / 2)
"""Limits between still, slow, medium and fast, in short sides of the picture per second."""

Pixels = NDArray[np.uint8]
Shares = NDArray[np.float64]


class Motion:
    """Histograms of colour, gradients and optical flow; nothing in them is learned.

    A clip is two neighbouring pictures. Its streams are shares that sum to 1:

    - ``colour`` (64): pixels by colour, each of R, G, B in four equal ranges, at ``16R + 4G + B``
      (colour indexing: Swain and Ballard, IJCV 1991).
    - ``gradients`` (128): strength of the grey gradient by cell of a 4 x 4 grid, row by row, and
      in it by 8 orientations from 0 degrees (an upright edge) on, without sign. It follows HOG
      (Dalal and Triggs, CVPR 2005) without overlapping blocks. Pictures of one colour have zeros.
    - ``flow`` (25): pixels by motion from the first picture to the second, found by DIS (Kroeger et
      al., ECCV 2016). Column 0 = still; then slow, medium and fast, each by 8 directions: right,
      right and down, down, and so on clockwise. It follows HOOF (Chaudhry et al., CVPR 2009).

    Args:
        fps: of the clock; the pictures of a clip are ``1 / fps`` seconds apart.
        stride: ticks between clips; the defaults give two clips a second.
    """

    def __init__(self, *, fps: Positive = 8.0, stride: Count = 4) -> None:
        self.reads = PictureClips(fps=fps, short_side=128, frames=2, stride=stride)
        self.streams = {
            "colour": Stream(4**3),
            "gradients": Stream(GRID**2 * EDGES),
            "flow": Stream(1 + len(SPEEDS) * WAYS),
        }
        self.batch = 32
        self.origin = {"version": 1, "weights": None, "flow": "DIS, medium preset"}

    @staticmethod
    def missing(**_: object) -> list[str]:
        """Say what this machine lacks."""
        if importlib.util.find_spec("cv2") is None:
            return ["OpenCV: pip install 'varkit[extractors]'"]
        return []

    def __call__(self, clips: Tensor) -> Mapping[str, Tensor]:
        """Return the streams of ``(N, 2, H, W, 3)`` clips; H and W are at least 16."""
        pixels: Pixels = clips.cpu().numpy()
        greys = np.rint(pixels @ np.array([0.299, 0.587, 0.114], np.float32)).astype(
            np.uint8
        )  # BT.601
        rows = {
            "colour": [_colours(clip) for clip in pixels],
            "gradients": [_gradients(grey) for grey in greys],
            "flow": [_flow(grey, self.reads.fps) for grey in greys],
        }
        return {name: torch.from_numpy(np.stack(row)).float() for name, row in rows.items()}


def _colours(pictures: Pixels) -> Shares:
    """Count the colours of ``(F, H, W, 3)`` pictures."""
    return _shares((pictures >> 6) @ np.array([16, 4, 1], np.uint8), None, 4**3)


def _gradients(greys: Pixels) -> Shares:
    """Sum the strengths of the gradients of ``(F, H, W)`` pictures by cell and orientation."""
    levels = greys.astype(np.float32)
    across = levels[:, 1:-1, 2:] - levels[:, 1:-1, :-2]
    down = levels[:, 2:, 1:-1] - levels[:, :-2, 1:-1]
    _, height, width = across.shape
    cells = GRID * (GRID * np.arange(height) // height)[:, None] + GRID * np.arange(width) // width
    orientations = _sectors(across, down, np.pi / EDGES) % EDGES
    return _shares(EDGES * cells + orientations, np.hypot(across, down), GRID**2 * EDGES)


def _flow(greys: Pixels, fps: float) -> Shares:
    """Count the pixels of ``(2, H, W)`` pictures by how they move."""
    import cv2

    # Made anew for each clip: it keeps settings from pictures of other sizes.
    method = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    across, down = np.moveaxis(method.calc(*np.ascontiguousarray(greys), None), -1, 0)
    speeds = np.hypot(across, down) * fps / min(greys.shape[1:])
    ways = _sectors(across, down, 2 * np.pi / WAYS) % WAYS
    classes = np.digitize(speeds, SPEEDS)
    bins = np.where(classes > 0, 1 + WAYS * (classes - 1) + ways, 0)
    return _shares(bins, None, 1 + len(SPEEDS) * WAYS)


def _sectors(across: NDArray[Any], down: NDArray[Any], angle: float) -> NDArray[np.int64]:
    """Number the directions by sectors of an angle; sector 0 lies around 'right'."""
    sectors: NDArray[np.int64] = np.rint(np.arctan2(down, across) / angle).astype(np.int64)
    return sectors


def _shares(bins: NDArray[Any], weights: NDArray[Any] | None, count: int) -> Shares:
    if weights is not None:
        weights = np.broadcast_to(weights, bins.shape).ravel()
    sums = np.bincount(bins.ravel(), weights, count)
    shares: Shares = sums / max(sums.sum(), np.finfo(float).tiny)
    return shares
