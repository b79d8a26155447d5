"""Log-mel patches, slowly: sums of cosines and sines, and one triangle after the other."""

import numpy as np


def log_mel(clip, offset):
    """Return the (96, 64) patch of 15,600 samples."""
    n = np.arange(400)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / 400)
    edges = [700 * (np.exp(m / 1127) - 1) for m in np.linspace(mel(125), mel(7500), 66)]
    patch = np.zeros((96, 64))
    angles = 2 * np.pi * np.outer(np.arange(257), n) / 512
    for frame in range(96):
        part = np.asarray(clip, np.float64)[frame * 160 : frame * 160 + 400] * hann
        magnitudes = np.hypot(np.cos(angles) @ part, np.sin(angles) @ part)
        for band in range(64):
            patch[frame, band] = np.log(magnitudes @ triangle(*edges[band : band + 3]) + offset)
    return patch


def triangle(low, peak, high):
    """Return the weights of 257 bins from 0 to 8,000 Hz; all frequencies in Hz."""
    weights = np.zeros(257)
    for k in range(257):
        hertz = k * 8000 / 256
        if low < hertz <= peak:
            weights[k] = (mel(hertz) - mel(low)) / (mel(peak) - mel(low))
        elif peak < hertz < high:
            weights[k] = (mel(high) - mel(hertz)) / (mel(high) - mel(peak))
    return weights


def mel(hertz):
    return 1127 * np.log(1 + hertz / 700)
