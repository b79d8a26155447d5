"""One, five or ten crops of pictures, in the order of XD-Violence's features."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Crops = Literal[1, 5, 10]


def cut_crops(pictures: Tensor, side: int, crops: Crops) -> Tensor:
    """Return the crops of pictures.

    Args:
        pictures: ``(..., H, W)``, at least ``side`` high and wide.
        side: pixels.
        crops: 1 = the centre; 5 = the centre, then top left, top right, bottom left and bottom
            right; 10 = these, then the same mirrored.

    Returns:
        ``(crops, ..., side, side)``.
    """
    height, width = pictures.shape[-2:]
    down, right = height - side, width - side
    places = [(down // 2, right // 2), (0, 0), (0, right), (down, 0), (down, right)]
    cut = [
        pictures[..., top : top + side, left : left + side]
        for top, left in places[: 1 if crops == 1 else 5]
    ]
    if crops == 10:
        cut += [crop.flip(-1) for crop in cut]
    return torch.stack(cut)
