"""T2VLAD and X-CLIP, one pair and one number at a time, in float64.

Written from the equations, to be read rather than to be fast. `p` is a state dict of numpy
arrays; a `name` in it ends with a dot.
"""

from __future__ import annotations

import math

import numpy as np

from tests.support.reference.alan_video import attention, linear, sigmoid, softmax
from tests.support.reference.expert_mixtures import gated_embedding, mixture, netvlad, unit


def layer_norm(z, p, name, eps):
    rows = []
    for row in z:
        centred = row - row.mean()
        rows.append(centred / math.sqrt((centred**2).mean() + eps))
    return np.stack(rows) * p[name + "weight"] + p[name + "bias"]


def pre_norm_layer(z, p, name, heads, activation, eps):
    seen = layer_norm(z, p, name + "norm1.", eps)
    z = z + attention(seen, seen, p, name + "self_attn.", heads)
    inner = linear(layer_norm(z, p, name + "norm2.", eps), p, name + "linear1.")
    return z + linear(np.vectorize(activation)(inner), p, name + "linear2.")


# T2VLAD


def t2vlad_video(videos, picks, p, *, heads, training):
    """Videos, each the (T, C_e) of all experts: to local (V, E N, D) and global (V, E, D)."""
    local, greatest = [], []
    for streams, chosen in zip(videos, picks, strict=True):
        z = np.stack(
            [
                unit(linear(stream[t], p, f"project.{e}."))
                for e, stream in enumerate(streams)
                for t in chosen
            ]
        )
        z = pre_norm_layer(z, p, "layers.0.", heads, lambda x: max(x, 0.0), 1e-5)
        local.append(layer_norm(z, p, "norm.", 1e-5))
        greatest.append([np.array([max(column) for column in stream.T]) for stream in streams])
    whole = [
        gated_embedding([video[e] for video in greatest], p, f"gated.{e}.", training=training)
        for e in range(len(videos[0]))
    ]
    return np.stack(local), np.stack(whole, axis=1)


def t2vlad(videos, clips, owned, words, p, *, local, missing, training):
    """Vectors (V, E, D) and sets of clips, sets of words: to (V, Q)."""
    of_videos = {
        "assignment": p["vlad.assignment"],
        "centres": p["vlad.centres"],
        **{key.removeprefix("video_"): x for key, x in p.items() if key.startswith("video_norm.")},
    }
    u = netvlad(words, p, "vlad.", training=training)
    w = netvlad(clips, of_videos, "", training=training)
    whole = mixture(videos, owned, u, p, missing=missing, training=training)
    return local * (w @ u.T) + (1 - local) * whole


# X-CLIP


def x_clip_video(streams, picks, p, *, heads, layers):
    """The (T, C_e) of all experts: to frames (N, D) and the vector of the whole video."""
    frames = []
    for t in picks:
        projected = [linear(x[t], p, f"project.{name}.") for name, x in streams.items()]
        frames.append(sum(projected) / len(projected))
    z = np.stack([frame + p["position"][n] for n, frame in enumerate(frames)])
    for layer in range(layers):
        z = pre_norm_layer(z, p, f"layers.{layer}.", heads, lambda x: x * sigmoid(1.702 * x), 1e-12)
    return np.stack(frames), sum(unit(f + row) for f, row in zip(frames, z, strict=True)) / len(z)


def pool(x, mix, tau):
    """The attention over the similarities x of one pair."""
    share = softmax(np.array(x) / tau)
    total = 0.0
    for a in range(len(x)):
        total += sum(share[b] * mix[b, a] for b in range(len(x))) * x[a]
    return total


def x_clip(video, frames, sentence, words, p, *, tau):
    """One video (D,) with frames (F, D), one query (D,) with words (W, D): to their similarity."""
    v, s = unit(video), unit(sentence)
    f, w = [unit(row) for row in frames], [unit(row) for row in words]
    x = [[row @ p["fine"] @ column for column in f] for row in w]
    by_frame = [pool([row[j] for row in x], p["words_first"], tau) for j in range(len(f))]
    by_word = [pool(row, p["frames_first"], tau) for row in x]
    fine = pool(by_frame, p["then_frames"], tau) + pool(by_word, p["then_words"], tau)
    return (
        s @ p["coarse"] @ v
        + pool([row @ v for row in w], p["words"], tau)
        + pool([s @ row for row in f], p["frames"], tau)
        + fine / 2
    ) / 4
