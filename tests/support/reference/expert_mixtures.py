"""NetVLAD, Collaborative Experts and MMT, one item and one number at a time, in float64.

Written from the equations, to be read rather than to be fast. `p` is a state dict of numpy
arrays; a `name` in it ends with a dot.
"""

from __future__ import annotations

import math

import numpy as np

from tests.support.reference.alan_video import attention, gelu, linear, sigmoid, softmax


def unit(x):
    length = math.sqrt(sum(v * v for v in x))
    return x / length if length else x


def batch_norm(rows, p, name, training):
    """(R, D) by the rows' own statistics in training, else by the running ones."""
    rows = np.stack(rows)
    if training:
        mean = rows.mean(0)
        variance = ((rows - mean) ** 2).mean(0)
    else:
        mean, variance = p[name + "running_mean"], p[name + "running_var"]
    return (rows - mean) / np.sqrt(variance + 1e-5) * p[name + "weight"] + p[name + "bias"]


# NetVLAD


def netvlad(sets, p, name, *, training):
    """Sets of (L_b, D) to (B, D K), D-major; the batch statistics are over all vectors."""
    centres = p[name + "centres"]
    dim, clusters = centres.shape
    logits = [row @ p[name + "assignment"] for rows in sets for row in rows]
    shares = [softmax(row) for row in batch_norm(logits, p, name + "norm.", training)]
    out = []
    for rows in sets:
        own, shares = shares[: len(rows)], shares[len(rows) :]
        pooled = np.zeros((dim, clusters))
        for k in range(clusters):
            for x, share in zip(rows, own, strict=True):
                pooled[:, k] += share[k] * (x - centres[:, k])
            pooled[:, k] = unit(pooled[:, k])
        out.append(unit(np.array([pooled[d, k] for d in range(dim) for k in range(clusters)])))
    return np.stack(out)


# Queries


def gated_embedding(rows, p, name, *, training):
    z = [linear(row, p, name + "project.") for row in rows]
    gates = batch_norm([linear(row, p, name + "gate.") for row in z], p, name + "norm.", training)
    return np.stack([unit(row * sigmoid(gate)) for row, gate in zip(z, gates, strict=True)])


def mixture(videos, owned, whole, p, *, missing, training):
    """Vectors (V, E, D), which experts each video has, whole queries (Q, width) to (V, Q)."""
    experts = videos.shape[1]
    texts = [gated_embedding(whole, p, f"gates.{e}.", training=training) for e in range(experts)]
    out = np.zeros((len(videos), len(whole)))
    for v in range(len(videos)):
        for q in range(len(whole)):
            weights = np.ones(experts)
            if missing != "equal":
                weights = softmax(linear(whole[q], p, "weigh."))
            if missing == "renormalise":
                total = sum(w for e, w in enumerate(weights) if owned[v][e])
                weights = [w / total if owned[v][e] else 0.0 for e, w in enumerate(weights)]
            for e in range(experts):
                out[v, q] += weights[e] * (unit(videos[v, e]) @ texts[e][q])
    return out


# Collaborative Experts


def mish(x):
    return x * np.tanh(np.log1p(np.exp(x)))


def reason(rows, p, layers, training):
    rows = [linear(row, p, "reason.0.") for row in rows]
    for i in range(1, layers):
        rows = batch_norm(rows, p, f"reason.{3 * i - 2}.", training)
        rows = [linear(mish(row), p, f"reason.{3 * i}.") for row in rows]
    return rows


def collaborate(streams, p, *, update, include_self, layers, training):
    """An expert's clips (T_b, C), of every video and expert, to (B, E, D)."""
    experts, videos = len(streams), len(streams[0])
    owned = [[bool(np.any(streams[e][b])) for e in range(experts)] for b in range(videos)]
    x = [
        [unit(linear(clips.mean(0), p, f"project.{e}.")) for clips in streams[e]]
        for e in range(experts)
    ]
    out = [list(rows) for rows in x]
    for e in range(experts):
        now = out if update == "sequential" else x
        opinions = [np.zeros_like(now[e][0]) for _ in range(videos)]
        counts = [0] * videos
        for j in range(experts):
            if j == e and not include_self:
                continue
            pairs = [np.concatenate([now[e][b], now[j][b]]) for b in range(videos)]
            said = reason(pairs, p, layers, training)
            for b in range(videos):
                if owned[b][e] and owned[b][j]:
                    opinions[b] = opinions[b] + said[b]
                    counts[b] += 1
        opinions = [o / c if c else o for o, c in zip(opinions, counts, strict=True)]
        name = f"gates.{e}."
        heard = batch_norm(opinions, p, name + "opinion_norm.", training)
        own = [linear(row, p, name + "own.") for row in now[e]]
        own = batch_norm(own, p, name + "own_norm.", training)
        out[e] = [unit(now[e][b] * sigmoid(heard[b] + own[b])) for b in range(videos)]
    return np.array(out).transpose(1, 0, 2), owned


# MMT


def layer_norm(z, p, name):
    rows = [(row - row.mean()) / math.sqrt(((row - row.mean()) ** 2).mean()) for row in z]
    return np.stack(rows) * p[name + "weight"] + p[name + "bias"]


def time_position(middle, window, positions):
    return int(min(max(middle / window + 2, 0), positions - 1))


def multi_modal_transformer(streams, times, picks, p, *, window, heads, layers):
    """One video: (T, C) of every expert, (T, 2) seconds, each sampler's picks to (E, D).

    Repeated clips and the clips of missing experts are not in the sequence at all; the aggregation
    token of a missing expert is no key.
    """
    positions = len(p["position"])
    if window == "duration":
        window = max(times[:, 1]) / (positions - 3)
    kept = [i for chosen in picks for n, i in enumerate(chosen) if i not in chosen[:n]]
    z, keys, read = [p["position"][0] + p["kind"][0]], [0], []
    for e, clips in enumerate(streams):
        owned = bool(np.any(clips))
        greatest = np.array([max(column) for column in clips.T])
        read.append(len(z))
        keys += [len(z)] if owned else []
        feature = unit(linear(greatest, p, f"project.{e}."))
        z.append(feature + p["position"][0] + p["kind"][1 + e])
        for i in kept if owned else []:
            at = time_position((times[i, 0] + times[i, 1]) / 2, window, positions)
            feature = unit(linear(clips[i], p, f"project.{e}."))
            keys.append(len(z))
            z.append(feature + p["position"][at] + p["kind"][1 + e])
    z = layer_norm(np.stack(z), p, "norm.")
    for i in range(layers):
        name = f"layers.{i}."
        z = layer_norm(
            z + attention(z, z[keys], p, name + "attention.", heads), p, name + "attention_norm."
        )
        inner = linear(gelu(linear(z, p, name + "inner.")), p, name + "outer.")
        z = layer_norm(z + inner, p, name + "norm.")
    return np.stack([unit(z[i]) for i in read])
