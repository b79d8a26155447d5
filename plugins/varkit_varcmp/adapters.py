"""Residual adapters over frozen features.

Before the first step every adapter adds exactly 0 to its input, so an untrained model equals
zero-shot retrieval, bit for bit.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from varkit.blocks.transformer import check_heads


class Bottleneck(nn.Module):
    """x + Up(GELU(Down(x))), with Up = 0 at first (Houlsby et al. 2019).

    Args:
        dim: D.
        reduction: Down maps to D / reduction numbers, at least one.
    """

    def __init__(self, dim: int, reduction: int) -> None:
        super().__init__()
        self.down = nn.Linear(dim, max(1, dim // reduction))
        self.up = nn.Linear(max(1, dim // reduction), dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(..., D)`` to ``(..., D)``."""
        added: Tensor = self.up(F.gelu(self.down(x)))
        return x + added


class WindowedAttention(nn.Module):
    """x + g * MHA(LN(x) + P) within windows of clips, with a gate g that is 0 at first.

    Windows do not overlap, as in VadCLIP's local Transformer; its cost is linear in T. P is a
    learned position within the window.

    Args:
        dim: D.
        heads: of the attention; must divide D.
        window: clips.
        shift: clips by which the first window is shorter, from 0 to window - 1.

    Raises:
        VarkitError: the heads do not divide D.
    """

    def __init__(self, dim: int, *, heads: int, window: int, shift: int) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.window, self.shift = window, shift
        self.norm = nn.LayerNorm(dim)
        self.position = nn.Parameter(torch.empty(window, dim).normal_(std=0.01))
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)
        self.gate = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, T, D)``; ``mask`` is ``(B, T)`` bool, True = real."""
        size, length, dim = x.shape
        after = -(length + self.shift) % self.window
        windows = F.pad(self.norm(x), (0, 0, self.shift, after)).view(-1, self.window, dim)
        empty = ~F.pad(mask, (self.shift, after)).view(-1, self.window)
        empty = empty & ~empty.all(dim=1, keepdim=True)  # a window of padding alone would give NaN
        windows = windows + self.position
        seen, _ = self.attention(
            windows, windows, windows, key_padding_mask=empty, need_weights=False
        )
        seen = seen.reshape(size, -1, dim)[:, self.shift : self.shift + length]
        added: Tensor = self.gate * seen
        return x + added


class TemporalAdapter(nn.Module):
    """Windowed attention, every second layer shifted by half a window, then a bottleneck.

    Args:
        dim: D.
        layers: of attention; 0 = clips do not see one another.
        heads: as in :class:`WindowedAttention`.
        window: the same.
        reduction: as in :class:`Bottleneck`.
    """

    def __init__(self, dim: int, *, layers: int, heads: int, window: int, reduction: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            WindowedAttention(dim, heads=heads, window=window, shift=(i % 2) * (window // 2))
            for i in range(layers)
        )
        self.bottleneck = Bottleneck(dim, reduction)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``(B, T, D)`` to ``(B, T, D)``, which is 0 where ``(B, T)`` ``mask`` is False."""
        padding = ~mask.unsqueeze(-1)
        x = x.masked_fill(padding, 0)
        for layer in self.layers:
            x = layer(x, mask)
        adapted: Tensor = self.bottleneck(x)
        return adapted.masked_fill(padding, 0)
