"""Optical flow between neighbouring pictures, as the second stream of I3D reads it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.system.torchvision import mend_torchvision
from varkit_extractors.loading import fill, read_weights

Classical = Literal["dis", "tvl1"]
Method = Literal["dis", "tvl1", "raft"]
LARGEST = 20.0
"""Pixels; what is further counts as this far (Carreira and Zisserman 2017)."""


def classical_flow(pictures: Tensor, method: Classical) -> Tensor:
    """Return the optical flow between neighbouring pictures, by OpenCV.

    Args:
        pictures: ``(N, F + 1, H, W, 3)`` uint8, RGB.
        method: ``dis`` = dense inverse search (Kroeger et al. 2016); ``tvl1`` = Zach et al. 2007,
            as for the published features, and sixty times slower.

    Returns:
        ``(N, 2, F, H, W)`` float32, pixels to the right and down.
    """
    import cv2

    compute = _methods()[method]
    fields = []
    for clip in pictures.cpu().numpy():
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in clip]
        fields.append(np.stack([compute(*pair) for pair in pairwise(grey)]))
    return torch.from_numpy(np.stack(fields)).permute(0, 4, 1, 2, 3)


def scaled(fields: Tensor) -> Tensor:
    """Return flow in pixels cut off at 20 and divided by it: numbers in [-1, 1]."""
    return fields.clamp(-LARGEST, LARGEST) / LARGEST


class Raft(nn.Module):
    """RAFT (Teed and Deng, ECCV 2020), the large model of torchvision; meant for a GPU.

    Args:
        weights: as torchvision publishes them, ``raft_large_*.pth``, or as safetensors.

    Raises:
        CheckpointError: the weights are damaged, or not those of the model.
    """

    def __init__(self, weights: Path) -> None:
        super().__init__()
        mend_torchvision()
        from torchvision.models.optical_flow import raft_large

        self.network = raft_large(weights=None, progress=False)
        fill(self.network, read_weights(weights), weights)
        self.eval()

    def forward(self, pictures: Tensor) -> Tensor:
        """Return (N, 2, F, H, W) pixels to the right and down of (N, F + 1, H, W, 3) uint8."""
        count, several, height, width, _ = pictures.shape
        seen = pictures.flatten(0, 1).permute(0, 3, 1, 2).float() / 127.5 - 1
        # It reads sides that are multiples of 8, and at least 128.
        down, right = (max(128, -(-side // 8) * 8) - side for side in (height, width))
        seen = F.pad(seen, (0, right, 0, down), mode="replicate")
        seen = seen.reshape(count, several, *seen.shape[1:])
        before, after = seen[:, :-1].flatten(0, 1), seen[:, 1:].flatten(0, 1)
        fields: Tensor = self.network(before, after)[-1][..., :height, :width]
        return fields.reshape(count, several - 1, 2, height, width).transpose(1, 2)


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
