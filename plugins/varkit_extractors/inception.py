"""Inception-v1 inflated to 3D (I3D), for inference (Carreira and Zisserman, CVPR 2017).

Batch normalisation is part of the convolutions before it, so a unit is a convolution and a ReLU.
Padding is TensorFlow's: what is odd goes to the end.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.backends import mkldnn
from torch.nn import functional as F

Size = tuple[int, int, int]

_STEM: tuple[tuple[str, int, int, int, int], ...] = (
    # name, input, output, kernel, stride
    ("Conv3d_1a_7x7", 0, 64, 7, 2),
    ("Conv3d_2b_1x1", 64, 64, 1, 1),
    ("Conv3d_2c_3x3", 64, 192, 3, 1),
)
_MIXED: Mapping[str, tuple[int, int, int, int, int, int, int]] = {
    # input; branch 0; branch 1: 1x1, 3x3; branch 2: 1x1, 3x3; branch 3
    "Mixed_3b": (192, 64, 96, 128, 16, 32, 32),
    "Mixed_3c": (256, 128, 128, 192, 32, 96, 64),
    "Mixed_4b": (480, 192, 96, 208, 16, 48, 64),
    "Mixed_4c": (512, 160, 112, 224, 24, 64, 64),
    "Mixed_4d": (512, 128, 128, 256, 24, 64, 64),
    "Mixed_4e": (512, 112, 144, 288, 32, 64, 64),
    "Mixed_4f": (528, 256, 160, 320, 32, 128, 128),
    "Mixed_5b": (832, 256, 160, 320, 32, 128, 128),
    "Mixed_5c": (832, 384, 192, 384, 48, 128, 128),
}
WIDTH = 1024
"""Of the features."""


class Unit(nn.Module):
    """A convolution with its batch normalisation folded in, and a ReLU.

    Args:
        inputs: channels.
        outputs: channels.
        kernel: size in time, height and width.
        stride: likewise.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.kernel = stride, kernel
        # Odd kernels of stride 1 are padded alike on both sides, which the convolution does itself.
        self.padding = kernel // 2 if stride == 1 else 0
        self.conv = nn.Conv3d(inputs, outputs, kernel, stride, self.padding)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, outputs, T', H', W') of (B, inputs, T, H, W)."""
        if self.stride > 1:
            x = _padded(x, (self.kernel,) * 3, (self.stride,) * 3)
        return F.relu_(self._convolved(x))

    def _convolved(self, x: Tensor) -> Tensor:
        onednn = mkldnn.is_available() and mkldnn.enabled  # type: ignore[no-untyped-call]
        if x.dtype != torch.float32 or x.device.type != "cpu" or not onednn:
            y: Tensor = self.conv(x)
            return y
        # Left to choose, PyTorch computes small convolutions without oneDNN: much slower, and laid
        # out in a way that slows down the pooling after them.
        padding, stride = (self.padding,) * 3, (self.stride,) * 3
        weight, bias = self.conv.weight, self.conv.bias
        return torch.mkldnn_convolution(x, weight, bias, padding, stride, (1, 1, 1), 1)


class Mixed(nn.Module):
    """Four branches side by side, joined along the channels.

    Args:
        inputs: channels.
        widths: of branch 0; of the 1x1 and the 3x3 of branch 1, of branch 2; of branch 3.
    """

    def __init__(self, inputs: int, *widths: int) -> None:
        super().__init__()
        self.b0 = Unit(inputs, widths[0], 1)
        self.b1a = Unit(inputs, widths[1], 1)
        self.b1b = Unit(widths[1], widths[2], 3)
        self.b2a = Unit(inputs, widths[3], 1)
        self.b2b = Unit(widths[3], widths[4], 3)
        self.b3b = Unit(inputs, widths[5], 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, sum of widths, T, H, W) of (B, inputs, T, H, W)."""
        pooled = F.max_pool3d(x, 3, 1, padding=1)
        branches = self.b0(x), self.b1b(self.b1a(x)), self.b2b(self.b2a(x)), self.b3b(pooled)
        return torch.cat(branches, dim=1)


class I3DNetwork(nn.Module):
    """The network.

    Args:
        channels: 3 for colours, 2 for optical flow.
        classes: how many.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        for name, inputs, outputs, kernel, stride in _STEM:
            self.add_module(name, Unit(inputs or channels, outputs, kernel, stride))
        for name, widths in _MIXED.items():
            self.add_module(name, Mixed(*widths))
        self.logits = nn.Conv3d(WIDTH, classes, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return (B, 1024) features and (B, classes) logits of (B, channels, T, H, W) pictures."""
        pools: Mapping[str, tuple[Size, Size]] = {
            "Conv3d_1a_7x7": ((1, 3, 3), (1, 2, 2)),
            "Conv3d_2c_3x3": ((1, 3, 3), (1, 2, 2)),
            "Mixed_3c": ((3, 3, 3), (2, 2, 2)),
            "Mixed_4f": ((2, 2, 2), (2, 2, 2)),
        }
        for name, part in self.named_children():
            if name == "logits":
                continue
            x = part(x)
            if name in pools:
                kernel, stride = pools[name]
                x = F.max_pool3d(_padded(x, kernel, stride), kernel, stride)
        # Two neighbouring moments and all places are averaged, then all pairs of moments.
        moments, height, width = x.shape[2:]
        pooled = F.avg_pool3d(x.float(), (min(2, moments), height, width), 1)
        features = pooled.mean(dim=(2, 3, 4))
        return features, self.logits(pooled).mean(dim=(2, 3, 4))


def _padded(x: Tensor, kernel: Size, stride: Size) -> Tensor:
    """Pad time, height and width with zeros as TensorFlow's SAME does.

    Zeros also suit max pooling here, since what is pooled is never negative.
    """
    padding: list[int] = []
    for size, k, s in zip(x.shape[:1:-1], kernel[::-1], stride[::-1], strict=True):
        total = max(k - (size % s or s), 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding) if any(padding) else x
