"""I3D written out plainly: batch normalisation apart, TensorFlow's padding by hand."""

from __future__ import annotations

import torch
from torch.nn import functional as F


def same(x, kernel, stride, value=0.0):
    """Pad as TensorFlow's SAME: so that ceil(size / stride) windows fit, the odd one at the end."""
    padding = []
    for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
        windows = -(-size // s)
        total = max((windows - 1) * s + k - size, 0)
        padding += [total // 2, total - total // 2]
    return F.pad(x, padding, value=value)


def reference(x, tensors):
    """Return (B, 1024) features and (B, classes) logits of (B, channels, T, H, W)."""

    def unit(x, name, stride=1):
        weight = tensors[f"{name}.conv3d.weight"]
        x = F.conv3d(same(x, weight.shape[2:], (stride,) * 3), weight, stride=stride)
        part = {key: tensors.get(f"{name}.bn.{key}") for key in ("weight", "bias")}
        mean, variance = (tensors[f"{name}.bn.running_{key}"] for key in ("mean", "var"))
        return F.relu(F.batch_norm(x, mean, variance, part["weight"], part["bias"], eps=1e-3))

    def pool(x, kernel, stride):
        return F.max_pool3d(same(x, kernel, stride, float("-inf")), kernel, stride)

    def mixed(x, name):
        return torch.cat(
            [
                unit(x, f"{name}.b0"),
                unit(unit(x, f"{name}.b1a"), f"{name}.b1b"),
                unit(unit(x, f"{name}.b2a"), f"{name}.b2b"),
                unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b"),
            ],
            dim=1,
        )

    with torch.inference_mode():
        x = pool(unit(x, "Conv3d_1a_7x7", 2), (1, 3, 3), (1, 2, 2))
        x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
        x = pool(x, (1, 3, 3), (1, 2, 2))
        x = mixed(mixed(x, "Mixed_3b"), "Mixed_3c")
        x = pool(x, (3, 3, 3), (2, 2, 2))
        for letter in "bcdef":
            x = mixed(x, f"Mixed_4{letter}")
        x = pool(x, (2, 2, 2), (2, 2, 2))
        x = mixed(mixed(x, "Mixed_5b"), "Mixed_5c")
        moments = [x[:, :, t : t + 2].mean(dim=(2, 3, 4)) for t in range(max(1, x.shape[2] - 1))]
        features = torch.stack(moments).mean(0)
        weight, bias = (tensors[f"logits.conv3d.{key}"] for key in ("weight", "bias"))
        return features, features @ weight[:, :, 0, 0, 0].T + bias
