"""The log-mel front end of AudioSet's published networks, VGGish and YAMNet.

Hershey et al., "CNN architectures for large-scale audio classification" (ICASSP 2017), as in the
published code: Hann windows of 25 ms every 10 ms, magnitudes of their Fourier transform, 64
triangles that are equally wide on HTK's mel scale from 125 to 7,500 Hz, the logarithm.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

RATE = 16_000
"""Samples a second."""
FRAMES, BANDS = 96, 64
"""The shape of a patch, in time and frequency."""
WINDOW, STEP, TRANSFORM = 400, 160, 512
"""Samples in a window, from one window to the next, and in the transform (zeros follow)."""
LOWEST, HIGHEST = 125.0, 7_500.0
"""Hz."""
SAMPLES = WINDOW + (FRAMES - 1) * STEP
"""Samples under the windows of one patch."""
HOP = FRAMES * STEP
"""Samples from a patch to the next, if they have no window in common: 0.96 s."""


class LogMel(nn.Module):
    """Turns each clip of sound into one patch.

    Args:
        offset: added to the magnitudes before the logarithm: 0.01 for VGGish, 0.001 for YAMNet.
    """

    window: Tensor
    triangles: Tensor

    def __init__(self, offset: float) -> None:
        super().__init__()
        self.offset = offset
        window = torch.hann_window(WINDOW, periodic=True, dtype=torch.float64)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("triangles", mel_triangles().float(), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Map ``(N, SAMPLES)`` in [-1, 1] to ``(N, FRAMES, BANDS)``."""
        # In float32 the rounding of a loud tone would show in the bands that are silent.
        windows = clips.unfold(-1, WINDOW, STEP) * self.window
        magnitudes = torch.fft.rfft(windows, TRANSFORM).abs().float()
        return torch.log(magnitudes @ self.triangles + self.offset)


def mel_triangles() -> Tensor:
    """Return the weights ``(TRANSFORM / 2 + 1, BANDS)`` of the bins in the bands, float64.

    The sides of a triangle are straight on the mel scale, not in Hz. The bin at 0 Hz has no weight.
    """
    low, high = (math.log1p(hertz / 700) for hertz in (LOWEST, HIGHEST))
    edges = torch.linspace(low, high, BANDS + 2, dtype=torch.float64)
    bins = torch.linspace(0, RATE / 2, TRANSFORM // 2 + 1, dtype=torch.float64)
    mel = (bins / 700).log1p()[:, None]  # but for a factor, which makes no difference here
    rising = (mel - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - mel) / (edges[2:] - edges[1:-1])
    return torch.minimum(rising, falling).clamp(min=0)
