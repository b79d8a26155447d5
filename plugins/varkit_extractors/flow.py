"""Optical flow between neighbouring pictures, as the second stream of I3D reads it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Method = Literal["dis", "tvl1"]
LARGEST = 20.0
"""Pixels; what is further counts as this far (Carreira and Zisserman 2017)."""


def flow(pictures: Tensor, method: Method) -> Tensor:
    """Return the optical flow between neighbouring pictures.

    Args:
        pictures: ``(N, F + 1, H, W, 3)`` uint8, RGB.
        method: ``dis`` = dense inverse search (Kroeger et al. 2016); ``tvl1`` = Zach et al. 2007,
            as for the published features, and a hundred times slower.

    Returns:
        ``(N, 2, F, H, W)`` float32 in [-1, 1]: pixels to the right and
        down, cut off at 20, over 20.
    """
    import cv2

    compute = _methods()[method]
    fields = []
    for clip in pictures.cpu().numpy():
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in clip]
        fields.append(np.stack([compute(*pair) for pair in pairwise(grey)]))
    numbers = torch.from_numpy(np.stack(fields)).permute(0, 4, 1, 2, 3)
    return numbers.clamp(-LARGEST, LARGEST) / LARGEST


def _methods() -> dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]]:
    """Return the methods; each call makes a new object, because they keep a state."""
    import cv2

    def dis(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
        search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        made: NDArray[Any] = search.calc(before, after, None)
        return made

    def tvl1(before: NDArray[Any], after: NDArray[Any]) -> NDArray[Any]:
        search = cv2.optflow.DualTVL1OpticalFlow_create()
        made: NDArray[Any] = search.calc(before, after, None)
        return made

    return {"dis": dis, "tvl1": tvl1}
