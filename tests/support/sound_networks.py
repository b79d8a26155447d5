"""VGGish and YAMNet, slowly and in float64: one patch, channels last as in TensorFlow."""

import numpy as np

YAMNET = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5)
YAMNET += ((2, 1024), (1, 1024))


def convolve(maps, kernel, stride=1, depthwise=False):
    """Apply an (h, w, in, out) kernel to (H, W, in) with TensorFlow's padding SAME."""
    size, sides = kernel.shape[0], maps.shape[:2]
    outs = [-(-side // stride) for side in sides]
    pads = [max(0, (out - 1) * stride + size - s) for out, s in zip(outs, sides, strict=True)]
    padded = np.pad(maps, [*((pad // 2, pad - pad // 2) for pad in pads), (0, 0)])
    result = 0
    for i in range(size):
        for j in range(size):
            seen = padded[i : i + outs[0] * stride : stride, j : j + outs[1] * stride : stride]
            seen = seen[: outs[0], : outs[1]]
            result = result + (seen * kernel[i, j, :, 0] if depthwise else seen @ kernel[i, j])
    return result


def yamnet_variables(seed):
    """Return random variables by (layer, name), shaped as in the published SavedModel."""
    chance, made, width = np.random.default_rng(seed), {}, 1
    shapes = [(3, 3, 1, 32)]
    width = 32
    for _, wider in YAMNET:
        shapes += [(3, 3, width, 1), (1, 1, width, wider)]
        width = wider
    for n, shape in enumerate(shapes):
        depthwise = n % 2 == 1
        spread = np.sqrt(2 / (9 if depthwise else shape[0] * shape[1] * shape[2]))
        outs = shape[2] if depthwise else shape[3]
        made[2 * n, "depthwise_kernel" if depthwise else "kernel"] = chance.normal(0, spread, shape)
        made[2 * n + 1, "beta"] = chance.normal(0, 0.1, outs)
        made[2 * n + 1, "moving_mean"] = chance.normal(0, 0.1, outs)
        made[2 * n + 1, "moving_variance"] = chance.uniform(0.5, 1.5, outs)
    made[54, "kernel"] = chance.normal(0, 0.03, (1024, 521))
    made[54, "bias"] = chance.normal(0, 0.03, 521)
    return {key: array.astype(np.float32) for key, array in made.items()}


def yamnet(variables, patch):
    """Return the features and scores of a (96, 64) patch."""
    strides = [2]
    for stride, _ in YAMNET:
        strides += [stride, 1]
    maps = np.asarray(patch, np.float64)[..., None]
    for n, stride in enumerate(strides):
        name = "depthwise_kernel" if n % 2 else "kernel"
        maps = convolve(maps, variables[2 * n, name], stride, depthwise=n % 2 == 1)
        beta, mean, variance = (
            variables[2 * n + 1, part] for part in ("beta", "moving_mean", "moving_variance")
        )
        maps = np.maximum((maps - mean) / np.sqrt(variance + 1e-4) + beta, 0)
    features = maps.mean(axis=(0, 1))
    return features, 1 / (1 + np.exp(-(features @ variables[54, "kernel"] + variables[54, "bias"])))


def vggish(state, patch):
    """Return the (128,) embedding of a (96, 64) patch; ``state`` is named as in the ports."""
    maps = np.asarray(patch, np.float64)[..., None]
    for n in (0, 3, 6, 8, 11, 13):
        kernel = state[f"features.{n}.weight"].transpose(2, 3, 1, 0)
        maps = np.maximum(convolve(maps, kernel) + state[f"features.{n}.bias"], 0)
        if n in (0, 3, 8, 13):
            height, width, channels = maps.shape
            maps = maps.reshape(height // 2, 2, width // 2, 2, channels).max(axis=(1, 3))
    row = maps.reshape(-1)
    for n in (0, 2, 4):
        row = state[f"embeddings.{n}.weight"] @ row + state[f"embeddings.{n}.bias"]
        row = np.maximum(row, 0) if n < 4 else row
    return row
